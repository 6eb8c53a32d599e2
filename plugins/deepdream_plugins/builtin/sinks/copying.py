"""The sink ``copy``: a copy of each dream somewhere else, on a disk or on what fsspec reaches (S3, SFTP, …).

Nothing is ever replaced. A file of the same name and content is the dream itself, delivered before; beside one of other
content the copy gets a number.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from deepdream_engine.errors import BadOption, NotDelivered
from deepdream_plugins.builtin.sinks.deliveries import dream_of, one_at_a_time, shown
from deepdream_plugins.builtin.sinks.files import file_writer, publish_new
from deepdream_plugins.builtin.sinks.naming import FIELDS, check_key, key_of
from deepdream_plugins.builtin.sinks.stores import S3, check_store, upload
from deepdream_plugins.events import Delivery
from deepdream_plugins.expanding import expanded, secrets_of
from deepdream_plugins.records import Option, SinkSpec


def deliver(delivery: Delivery, *, url: str, key: str, endpoint: str) -> None:
    """Copy the dream to ``url``/``key``."""
    dream, place, name = dream_of(delivery), expanded("url", url), key_of(delivery, key)
    root = _on_disk(place)
    with one_at_a_time(delivery):
        if root is None:
            # Bytes that are no text have no place in the names of other systems.
            secrets = secrets_of({"url": url})
            upload(dream, place, "/".join(map(shown, name.split("/"))), endpoint, secrets)
        else:
            _copy(delivery, dream, root, Path(name))


def _on_disk(url: str) -> Path | None:
    """Return the folder that ``url`` means on a disk here, or ``None`` if it is elsewhere."""
    if url.startswith("file://"):
        return Path(url.removeprefix("file://"))
    return None if "://" in url else Path(url).expanduser()


def _copy(delivery: Delivery, dream: Path, root: Path, name: Path) -> None:
    if not root.is_dir():
        raise NotDelivered(f"The folder {shown(str(root))!r} is not there. Make it, or mount its disk.")
    folder = root / name.parent
    for each in (delivery.folder, *delivery.watched):
        watched = Path(each).resolve()
        if folder.resolve().is_relative_to(watched):
            raise BadOption(
                f"url: {shown(str(folder))!r} is inside the watched folder {shown(str(watched))!r}, where copies would "
                f"be dreamt again. Choose another."
            )
    folder.mkdir(parents=True, exist_ok=True)
    publish_new(folder, name.name, file_writer(dream), delivery.state)


def check(*, url: str, key: str, endpoint: str) -> None:
    """Refuse places that cannot be written or need a library that is not there, and keys that cannot be made."""
    full = expanded("url", url)
    try:
        root = _on_disk(full)
    except RuntimeError as error:  # ~somebody
        raise BadOption(f"url {url!r}: {error} Write the path without '~'.") from None
    scheme = ""
    if root is None:
        scheme = urlsplit(full).scheme
        check_store(full)
    elif not root.is_absolute():
        raise BadOption(f"url {url!r} is neither an absolute path nor an address such as 's3://bucket/dreams'.")
    if endpoint and scheme not in S3:
        raise BadOption("endpoint is for s3:// addresses alone. Leave it out.")
    if endpoint and urlsplit(endpoint).scheme not in ("http", "https"):
        raise BadOption(f"endpoint {endpoint!r} is not an address such as 'https://s3.example.org'.")
    check_key(key)


SPEC = SinkSpec(
    name="copy",
    help="A copy of each dream in a folder, or in S3-compatible or other storage that fsspec reaches",
    deliver=deliver,
    check=check,
    limit_seconds=900.0,
    options=(
        Option(
            name="url",
            type=str,
            help="where to: an absolute path, s3://bucket/prefix, sftp://host/path …; ${NAME} is an environment "
            "variable. Credentials are found as the storage's own tools find them",
        ),
        Option(
            name="key",
            type=str,
            default="{path}",
            help=f"the name there, made of {', '.join(f'{{{name}}}' for name in FIELDS)}",
        ),
        Option(
            name="endpoint",
            type=str,
            default="",
            help='of S3-compatible storage that is not Amazon\'s, such as "https://minio.example.org"',
        ),
    ),
)
