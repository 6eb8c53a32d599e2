"""The sink that copies dreams: to a disk, and to an S3 server and an SFTP-like store, replacing nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer

from deepdream_engine.errors import BadOption, NotDelivered
from tests.delivering import Desk, again, check, deliver


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "copies").mkdir()
    return Desk(tmp_path)


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_copy_lies_below_the_folder_as_the_dream_below_its_own(desk: Desk, form: str) -> None:
    delivery = desk.dream("trip/photo.classic.jpg")
    for each in (delivery, again(delivery)):
        deliver("copy", each, url=form.format(desk.root / "copies"))
    assert files_below(desk.root / "copies") == ["trip/photo.classic.jpg"]
    assert (desk.root / "copies/trip/photo.classic.jpg").read_bytes() == Path(delivery.output).read_bytes()


def test_the_key_says_how_copies_are_called(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", os.fspath(desk.root))
    key = "{folder}/{year}/{month}-{day}/{recipe}-{job:04}-{stem}{suffix}"
    deliver("copy", desk.dream("trip/photo.classic.jpg"), url="${WHERE}/copies", key=key)
    [made] = files_below(desk.root / "copies")
    assert made.startswith("in/2026/0")
    assert made.endswith("/classic-0001-photo.classic.jpg")


def test_a_copy_replaces_nothing(desk: Desk) -> None:
    theirs = desk.root / "copies" / "photo.classic.jpg"
    theirs.write_bytes(b"mine")
    for seed in (1, 2, 1):
        deliver("copy", desk.dream(seed=seed), url=os.fspath(desk.root / "copies"))
    assert theirs.read_bytes() == b"mine"
    assert files_below(desk.root / "copies") == ["photo.classic-2.jpg", "photo.classic-3.jpg", "photo.classic.jpg"]


def test_a_disk_that_is_away_is_waited_for_and_not_made(desk: Desk) -> None:
    (desk.root / "copies").rmdir()
    with pytest.raises(NotDelivered, match=r"copies' is not there. Make it, or mount its disk"):
        deliver("copy", desk.dream(), url=os.fspath(desk.root / "copies"))
    assert not (desk.root / "copies").exists()


def test_copies_never_go_into_the_watched_folder(desk: Desk) -> None:
    delivery = desk.dream()
    (desk.root / "link").symlink_to(desk.root / "in")
    (desk.root / "other").mkdir()
    watching = replace(delivery, watched=(os.fspath(desk.root / "other"),))
    with pytest.raises(BadOption, match="inside the watched folder"):
        deliver("copy", watching, url=os.fspath(desk.root), key="other/{name}")
    for place in ("in", "link"):
        with pytest.raises(BadOption, match="inside the watched folder"):
            deliver("copy", delivery, url=os.fspath(desk.root / place))
    with pytest.raises(BadOption, match="inside the watched folder"):
        deliver("copy", delivery, url=os.fspath(desk.root), key="in/{name}")
    assert files_below(desk.root / "in") == ["photo.jpg"]


def test_names_of_any_bytes_are_copied_as_they_are(desk: Desk) -> None:
    deliver("copy", desk.dream(os.fsdecode(b"ph\xffto.jpg")), url=os.fspath(desk.root / "copies"))
    assert os.listdir(os.fsencode(desk.root / "copies")) == [b"ph\xffto.jpg"]  # noqa: PTH208  (names as bytes)


# S3.


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of a real server that speaks S3, with the bucket ``dreams``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture
def bucket(s3: str) -> Iterator[object]:
    client = boto3.client("s3", endpoint_url=s3)
    client.create_bucket(Bucket="dreams")
    yield client
    for item in client.list_objects_v2(Bucket="dreams").get("Contents", []):
        client.delete_object(Bucket="dreams", Key=item["Key"])
    client.delete_bucket(Bucket="dreams")
    client.close()


def keys(client: object) -> list[str]:
    return [item["Key"] for item in client.list_objects_v2(Bucket="dreams").get("Contents", [])]  # type: ignore[attr-defined]


def test_a_copy_on_s3_is_there_once_with_its_type(desk: Desk, s3: str, bucket: object) -> None:
    delivery = desk.dream("trip/photo.classic.jpg")
    for each in (delivery, again(delivery)):
        deliver("copy", each, url="s3://dreams/all/", endpoint=s3)
    assert keys(bucket) == ["all/trip/photo.classic.jpg"]
    found = bucket.get_object(Bucket="dreams", Key="all/trip/photo.classic.jpg")  # type: ignore[attr-defined]
    with found["Body"] as body:
        assert body.read() == Path(delivery.output).read_bytes()
    assert found["ContentType"] == "image/jpeg"


def test_a_copy_on_s3_replaces_nothing(desk: Desk, s3: str, bucket: object) -> None:
    same_size = b"x" * Path(desk.dream().output).stat().st_size
    bucket.put_object(Bucket="dreams", Key="photo.classic.jpg", Body=same_size)  # type: ignore[attr-defined]
    for _ in range(2):
        deliver("copy", desk.dream(), url="s3://dreams", endpoint=s3)
    assert keys(bucket) == ["photo.classic-2.jpg", "photo.classic.jpg"]
    with bucket.get_object(Bucket="dreams", Key="photo.classic.jpg")["Body"] as body:  # type: ignore[attr-defined]
        assert body.read() == same_size


def test_s3_itself_refuses_a_name_that_was_taken_in_between(
    desk: Desk, s3: str, bucket: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    bucket.put_object(Bucket="dreams", Key="photo.classic.jpg", Body=b"theirs")  # type: ignore[attr-defined]
    real = s3fs.S3FileSystem.exists
    looks: list[str] = []

    def late(self: s3fs.S3FileSystem, path: str) -> bool:
        looks.append(path)
        return False if len(looks) == 1 else real(self, path)

    monkeypatch.setattr(s3fs.S3FileSystem, "exists", late)
    deliver("copy", desk.dream(), url="s3://dreams", endpoint=s3)
    assert keys(bucket) == ["photo.classic-2.jpg", "photo.classic.jpg"]


def test_an_s3_store_that_knows_no_conditions_gets_copies_all_the_same(
    desk: Desk, s3: str, bucket: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = S3Response.put_object
    refused: list[str] = []

    def simple(self: S3Response) -> object:
        if self.headers.get("If-None-Match"):
            refused.append(self.path)
            body = "<Error><Code>NotImplemented</Code><Message>what is this header?</Message></Error>"
            return 501, {"content-type": "application/xml"}, body
        return real(self)

    monkeypatch.setattr(S3Response, "put_object", simple)
    for _ in range(2):
        deliver("copy", desk.dream(), url="s3://dreams", endpoint=s3)
    assert set(refused) == {"/dreams/photo.classic.jpg"}
    assert keys(bucket) == ["photo.classic.jpg"]


def test_names_of_any_bytes_have_a_key_on_s3(desk: Desk, s3: str, bucket: object) -> None:
    deliver("copy", desk.dream(os.fsdecode(b"ph\xffto \xc3\xa9#?%20.jpg")), url="s3://dreams", endpoint=s3)
    assert keys(bucket) == ["ph\\xffto é#?%20.jpg"]


def test_a_bucket_that_is_not_there_is_told_and_not_made(desk: Desk, s3: str, bucket: object) -> None:
    with pytest.raises(NotDelivered, match=r"'s3://no-such' took no copy \(FileNotFoundError: .*Make the bucket"):
        deliver("copy", desk.dream(), url="s3://no-such", endpoint=s3)


def test_an_s3_server_that_is_not_there_is_told_without_secrets(
    desk: Desk, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepdream_plugins.builtin.sinks.stores._S3_SETTINGS", {"retries": {"max_attempts": 0}})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(NotDelivered, match=r"took no copy \(.*onnect") as told:
            deliver("copy", desk.dream(), url="s3://dreams", endpoint=endpoint)
    assert "testing-secret" not in str(told.value)


# Stores that know half-written files, such as SFTP.


class Shelf(LocalFileSystem):
    """A store of the other kind, on a folder of this disk; ``breaks`` makes uploads end half-way."""

    protocol = "shelf"
    breaks = False

    def __init__(self) -> None:  # SFTP's takes no options that it does not know
        super().__init__()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + str(path).removeprefix("shelf://").partition("@")[2].lstrip("/") if "@" in str(path) else str(path)

    def put_file(self, lpath: str, rpath: str, callback: object = None, **kwargs: object) -> None:  # type: ignore[override]
        data = Path(lpath).read_bytes()
        Path(rpath).write_bytes(data[: len(data) // 2] if self.breaks else data)
        if self.breaks:
            raise ConnectionResetError("shelf://me:hunter2@x was cut off")


@pytest.fixture
def shelf(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> str:
    fsspec.register_implementation("shelf", Shelf, clobber=True)
    monkeypatch.setattr(Shelf, "breaks", False)
    return f"shelf://me:hunter2@{desk.root}/copies"


def test_half_of_an_upload_is_never_seen_under_the_name_of_the_copy(
    desk: Desk, shelf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shelf, "breaks", True)
    with pytest.raises(NotDelivered, match=r"ConnectionResetError: shelf://me:\*\*\*@x was cut off") as told:
        deliver("copy", desk.dream(), url=shelf)
    assert "hunter2" not in str(told.value)
    assert files_below(desk.root / "copies") == [".photo.classic.jpg.part"]
    monkeypatch.setattr(Shelf, "breaks", False)
    for each in (desk.dream(), again(desk.dream())):
        deliver("copy", each, url=shelf)
    assert files_below(desk.root / "copies") == ["photo.classic.jpg"]


def test_what_a_store_repeats_of_the_address_brings_no_secret_into_the_message(
    desk: Desk, shelf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELF_KEY", "a/secret+key")

    def fail(self: Shelf, path: str, **_kwargs: object) -> bool:
        raise OSError(f"no {path} for me:hunter2, nor a%2Fsecret%2Bkey")

    monkeypatch.setattr(Shelf, "exists", fail)
    with pytest.raises(NotDelivered, match="took no copy") as told:
        deliver("copy", desk.dream(), url=f"{shelf}/${{SHELF_KEY}}")
    for secret in ("hunter2", "secret"):
        assert secret not in str(told.value)
    assert "copies/${SHELF_KEY}" in str(told.value)


def test_such_stores_replace_nothing_either(desk: Desk, shelf: str) -> None:
    (desk.root / "copies" / "photo.classic.jpg").write_bytes(b"mine")
    deliver("copy", desk.dream(), url=shelf)
    assert (desk.root / "copies" / "photo.classic.jpg").read_bytes() == b"mine"
    assert files_below(desk.root / "copies") == ["photo.classic-2.jpg", "photo.classic.jpg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "copies"}, "^url 'copies' is neither an absolute path nor an address"),
        ({"url": "file://copies"}, "^url 'file://copies' is neither an absolute path nor"),
        ({"url": "~nobody-here/x"}, "^url '~nobody-here/x': .* Write the path without '~'"),
        ({"url": "https://example.org/up"}, "^url: https:// cannot be written to. .* take 'webhook'"),
        ({"url": "s33://bucket"}, "^url: unknown kind of address 's33'. Did you mean 's3'"),
        ({"url": "simplecache::s3://bucket"}, "^url: chained addresses"),
        ({"url": "smb://host/x"}, "^url: smb:// needs a library that is not installed: .*smbprotocol"),
        ({"url": "gs://x/y"}, "^url: gs:// needs a library that is not installed: pip install gcsfs"),
        ({"url": "${NO_SUCH}"}, "^url: the environment variable NO_SUCH is not set"),
        ({"endpoint": "https://s3.example.org"}, "^endpoint is for s3:// addresses alone"),
        ({"url": "s3://x", "endpoint": "s3.example.org"}, "^endpoint 's3.example.org' is not an address"),
        ({"key": "{recipe}.jpg"}, "^key '{recipe}.jpg' is the same for all dreams"),
        ({"key": "{nmae}"}, "^key: unknown field 'nmae'. Did you mean 'name'"),
        ({"key": "{name.__class__}"}, "^key: unknown field"),
        ({"key": "{name"}, "^key '{name' cannot be read"),
        ({"key": "../{name}"}, "^key '../{name}' leads upwards"),
    ],
)
def test_what_cannot_be_copied_is_refused_with_the_configuration(options: dict[str, str], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        check("copy", **{"url": "/srv/dreams", **options})
    check("copy", url="/srv/dreams", key="{date}/{job:05}-{name}")
    check("copy", url="s3://dreams/x", endpoint="http://localhost:9000")


def test_a_name_that_leads_upwards_stays_inside(desk: Desk) -> None:
    delivery = replace(desk.dream(), recipe="../../up")
    deliver("copy", delivery, url=os.fspath(desk.root / "copies"), key="{recipe}/{name}")
    assert files_below(desk.root / "copies") == ["up/photo.classic.jpg"]
