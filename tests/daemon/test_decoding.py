"""Pictures are decoded in processes of their own: the same pictures come out, and whatever a file does there costs no
more than the file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import structlog
from PIL import Image, PngImagePlugin

from deepdream_daemon.configuration.settings import PictureSettings
from deepdream_daemon.decoding import decoder as decoder_module
from deepdream_daemon.decoding import decoders as decoders_module
from deepdream_daemon.decoding.decoders import Decoders
from deepdream_daemon.decoding.picture import FACTS, facts_of, picture_over
from deepdream_daemon.decoding.shared import allocate, attach
from deepdream_engine.errors import BadPicture, Cancelled
from deepdream_engine.pictures import Picture, decode
from tests.corpus import bad_files, good_pictures, saved, scene
from tests.daemon.stub import environment, wait_until
from tests.measuring import best_within

HOSTILE = "tests.daemon.hostile_decoder"
PHOTO = saved(Image.fromarray(scene(1)), "PNG")
Make = Callable[..., Decoders]

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps this limit")


@pytest.fixture
def make() -> Iterator[Make]:
    """Make decoders that are closed at the end."""
    made: list[Decoders] = []

    def made_of(processes: int = 1, module: str = HOSTILE, **changes: float) -> Decoders:
        decoders = Decoders(PictureSettings(**{"decode_seconds": 5.0, **changes}), processes, module=module)
        made.append(decoders)
        return decoders

    yield made_of
    for decoders in made:
        decoders.close()
        assert decoders.pids() == []


def doing(deed: str, seed: int = 1) -> bytes:
    """A picture that makes the hostile decoder do something."""
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", f"DO:{deed};")
    return saved(Image.fromarray(scene(seed)), "PNG", pnginfo=words)


def assert_same(one: Picture, other: Picture) -> None:
    """Fail unless both are the same picture, to the last bit."""
    assert np.array_equal(one.pixels, other.pixels)
    assert (one.alpha is None) == (other.alpha is None)
    if one.alpha is not None and other.alpha is not None:
        assert np.array_equal(one.alpha, other.alpha)
    assert facts_of(one) == facts_of(other)


def test_the_same_pictures_come_out_and_the_same_reasons(make: Make, tmp_path: Path) -> None:
    decoders = make(2, "deepdream_daemon.decoding.process")
    paths = good_pictures(tmp_path / "good") + bad_files(tmp_path / "bad")

    def outcome(read: Callable[[bytes], Picture], path: Path) -> Picture | str:
        try:
            return read(path.read_bytes())
        except BadPicture as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        apart = list(pool.map(lambda path: outcome(decoders.decode, path), paths))
    for path, one in zip(paths, apart, strict=True):
        other = outcome(decode, path)
        if isinstance(one, str) or isinstance(other, str):
            assert one == other
        else:
            assert_same(one, other)
    assert not decoders.deaths


def test_pixels_are_handed_on_by_a_descriptor_without_a_copy(make: Make) -> None:
    data = saved(Image.fromarray(scene(1)).convert("RGBA"), "PNG")
    picture = make().decode(data)
    again = picture_over(attach(os.dup(picture.shared.fileno()), picture.shared.shape), facts_of(picture))
    assert_same(picture, again)
    picture.pixels[0, 0, 0] = 0.125
    assert again.pixels[0, 0, 0] == 0.125
    assert set(FACTS) == set(facts_of(picture))
    assert picture.pixels.transpose(2, 0, 1).flags.c_contiguous


def test_shared_memory_goes_with_its_last_user() -> None:
    def descriptors() -> int:
        return psutil.Process().num_fds()

    before = descriptors()
    shared = allocate((3, 10, 20))
    shared.array[...] = 7
    kept = shared.array[1]
    other = attach(os.dup(shared.fileno()), (3, 10, 20))
    assert other.array.sum() == 7 * 600
    shared.close()
    shared.close()
    with pytest.raises(ValueError, match="closed"):
        shared.fileno()
    del other, shared
    assert kept.sum() == 7 * 200
    del kept
    assert descriptors() == before


def test_memory_that_is_smaller_than_it_should_be_is_not_attached() -> None:
    shared = allocate((3, 10, 20))
    with pytest.raises(ValueError, match=r"has 2400 bytes, but float32 of shape \(3, 10, 21\) has 2520"):
        attach(os.dup(shared.fileno()), (3, 10, 21))
    with pytest.raises(ValueError, match="complex"):
        attach(os.dup(shared.fileno()), (3, 10, 20), "complex")


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        ("segfault", "it crashes its decoder (SIGSEGV)"),
        ("abort", "it crashes its decoder (SIGABRT)"),
        ("leave", "its decoder failed (status 3)"),
        ("nonsense", "its decoder answered nonsense"),
        ("flood", "its decoder answered nonsense"),
        ("greedy", "its decoder answered nonsense"),
        ("lie", "its decoder failed"),
    ],
)
def test_a_picture_that_breaks_its_decoder_is_a_bad_picture(make: Make, deed: str, words: str) -> None:
    decoders = make()
    with pytest.raises(BadPicture, match="this PNG cannot be decoded") as caught:
        decoders.decode(doing(deed))
    assert words in str(caught.value)
    assert "export it again, or delete it" in str(caught.value)
    assert decoders.deaths["crash"] == 1
    assert_same(decoders.decode(PHOTO), decode(PHOTO))


@pytest.mark.parametrize("deed", ["spin", "hang"])
def test_a_picture_that_takes_too_long_is_a_bad_picture(make: Make, monkeypatch: pytest.MonkeyPatch, deed: str) -> None:
    if deed == "spin":  # how long its 0.7 s of computing take is the machine's affair
        monkeypatch.setattr(decoder_module, "PATIENCE", 100)
    decoders = make(decode_seconds=0.7)
    too_long = "it takes more than 0.7 s" if deed == "spin" else "it was not decoded within 2.1 s"

    def seconds(_: int) -> float:
        begun = time.monotonic()
        with pytest.raises(BadPicture, match=rf"cannot be decoded: {too_long}.*decode_seconds"):
            decoders.decode(doing(deed))
        return time.monotonic() - begun

    rounds = best_within(4.0, seconds)
    assert decoders.deaths["slow"] == len(rounds)


@pytest.mark.parametrize("kind", ["by its size", "as configured"])
def test_a_picture_that_takes_too_much_memory_is_a_bad_picture(make: Make, kind: str) -> None:
    decoders = make(**({} if kind == "by its size" else {"decode_gib": 0.0625}))
    with pytest.raises(BadPicture, match=r"more memory than it may have \((128|64) MiB\).*decode_gib"):
        decoders.decode(doing("memory"))
    assert_same(decoders.decode(PHOTO), decode(PHOTO))


def test_a_large_picture_under_a_small_limit_is_told_so(make: Make) -> None:
    decoders = make(decode_gib=0.03125)
    with pytest.raises(BadPicture, match="more memory than it may have"):
        decoders.decode(saved(Image.new("RGB", (3000, 2000)), "PNG"))


def test_a_decoder_killed_from_outside_is_the_machines_trouble_and_not_the_pictures(make: Make) -> None:
    with pytest.raises(MemoryError, match="SIGKILL"):
        make().decode(doing("killed"))


def test_a_decoder_that_cannot_start_is_the_machines_trouble(make: Make) -> None:
    with pytest.raises(OSError, match="could not start"):
        make(module="tests.daemon.no_such_module").decode(PHOTO)


def test_who_comes_after_a_picture_that_left_its_decoder_broken_is_not_blamed(make: Make) -> None:
    decoders = make()
    decoders.decode(doing("poison"))
    assert_same(decoders.decode(PHOTO), decode(PHOTO))
    assert decoders.deaths["crash"] == 1


def test_a_decoder_is_replaced_after_so_many_pictures(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders_module, "SERVED", 3)
    decoders = make()
    seen = set()
    for _ in range(7):
        decoders.decode(PHOTO)
        seen |= set(decoders.pids())
    assert len(seen) == 3


@on_linux
@pytest.mark.parametrize("deed", ["read", "write", "connect"])
def test_a_decoder_reaches_neither_files_nor_the_network(make: Make, deed: str) -> None:
    decoders = make()
    decoders.decode(PHOTO)
    if not _has_landlock():
        pytest.skip("this kernel has no Landlock")
    with pytest.raises(BadPicture, match="failed"):
        decoders.decode(doing(deed))
    assert not Path("/tmp/deepdream-must-not-be").exists()


@on_linux
def test_memory_that_a_decoder_was_handed_keeps_its_size(make: Make) -> None:
    picture = make().decode(doing("shrink"))
    assert np.isfinite(picture.pixels).all()


def test_what_libraries_complain_about_is_logged_and_holds_nothing_up(make: Make) -> None:
    with structlog.testing.capture_logs() as logs:
        make().decode(doing("complain"))
    assert any("TIFFReadDirectory" in entry.get("remarks", "") for entry in logs)
    assert {entry["log_level"] for entry in logs} == {"debug"}


def test_secrets_of_the_daemon_are_not_in_a_decoders_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPDREAM_WEBHOOK_SECRET", "hush")
    decoders = make()
    decoders.decode(PHOTO)
    (pid,) = decoders.pids()
    assert "hush" not in psutil.Process(pid).environ().values()


def test_pictures_under_way_are_cancelled_when_the_decoders_are_closed(make: Make) -> None:
    decoders = make(2, decode_seconds=20)
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            decoders.decode(doing("hang"))
        except BaseException as error:  # noqa: BLE001
            caught.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(decoders.pids()) == 2)
    time.sleep(0.5)
    decoders.close()
    for thread in threads:
        thread.join(60)
    assert [type(error) for error in caught] == [Cancelled] * 4
    with pytest.raises(Cancelled):
        decoders.decode(PHOTO)


def test_no_descriptor_is_left_by_whatever_happens(make: Make) -> None:
    decoders = make()
    decoders.decode(PHOTO)
    before = psutil.Process().num_fds()
    for deed in ("segfault", "leave", "nonsense", "killed", "memory"):
        with pytest.raises((BadPicture, MemoryError)):
            decoders.decode(doing(deed))
    decoders.decode(PHOTO)
    assert psutil.Process().num_fds() == before


ORPHAN = """
import sys, time
from deepdream_daemon.configuration.settings import PictureSettings
from deepdream_daemon.decoding.decoders import Decoders
decoders = Decoders(PictureSettings(), 1)
decoders.decode(open(sys.argv[1], "rb").read())
print(decoders.pids()[0], flush=True)
time.sleep(60)
"""


def test_decoders_end_when_the_daemon_is_killed(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(PHOTO)
    command = [sys.executable, "-c", ORPHAN, str(photo)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, 5)


def _has_landlock() -> bool:
    from deepdream_daemon.decoding.confining import landlock_version

    return landlock_version() >= 4
