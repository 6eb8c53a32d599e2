"""R11: a disk that is full for real: publishing pauses, that is told, nothing torn becomes visible, and it goes on by
itself once there is space.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from deepdream_daemon import failpoints
from tests.daemon.cli import deepdream
from tests.daemon.faults.house import House, picture
from tests.daemon.faults.namespaces import Namespace
from tests.daemon.stub import is_whole_dream
from tests.daemon.test_monitoring import ask, free_port

RESUMED_SECONDS = 60.0
PAUSES = "publishing pauses"


def _small_disk(space: Namespace, place: Path, size: str) -> Path:
    """Mount a small disk, and return where it is seen from here."""
    space.run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place)
    return space.seen(place)


def _degraded(house: House) -> str | None:
    """Return what ``deepdream status`` says keeps the daemon from its work."""
    told: str | None = json.loads(deepdream("status", "--json", "--config", house.config).stdout)["degraded"]
    return told


def test_a_full_output_disk_pauses_publishing_until_there_is_space(tmp_path: Path) -> None:
    with Namespace() as space:
        house, port = House(tmp_path, daemon="shutdown_seconds = 0"), free_port()
        with house.config.open("a") as config:
            config.write(f"[monitoring]\nport = {port}\n")
        out = _small_disk(space, house.output, "256k")
        ballast = out / ".ballast"
        ballast.write_bytes(b"x" * 150_000)
        for number in range(20):  # 20 kB each: five fit
            (house.input / f"{number}.jpg").write_bytes(picture(f"{number} " + "x" * 20_000))
        with house.running(space.enter):
            house.wait_until(lambda _: bool(house.logged(PAUSES)))
            time.sleep(0.5)
            counts = house.counts()
            assert 0 < counts["done"] < 20
            assert counts["failed"] == 0
            assert "No space left" in (_degraded(house) or "")  # other processes are told
            house.wait_until(lambda _: b"deepdream_degraded 1.0" in ask(port, "/metrics")[1], 10)
            dreams = [path for path in out.iterdir() if not path.name.startswith(".")]
            assert len(dreams) == counts["done"]
            assert all(is_whole_dream(path) for path in dreams)
            ballast.unlink()
            space.run("mount", "-o", "remount,size=2m", house.output)
            freed = time.monotonic()
            house.wait_for(RESUMED_SECONDS, done=20)
            assert time.monotonic() - freed < RESUMED_SECONDS
            house.wait_until(lambda _: _degraded(house) is None, 10)
            house.wait_until(lambda _: b"deepdream_degraded 0.0" in ask(port, "/metrics")[1], 10)
            house.wait_until(lambda _: sorted(path.name for path in out.iterdir() if path.name.startswith(".")) == [])
        assert all(is_whole_dream(path) for path in out.iterdir())
        with house.journal() as journal:
            assert {job.attempts for job in journal.recent("done", 100)} == {0}
            assert journal.holds() == []


def test_a_full_disk_of_the_journal_loses_nothing(tmp_path: Path) -> None:
    with Namespace() as space:
        house = House(tmp_path, daemon="shutdown_seconds = 0")
        house.state.mkdir(mode=0o700)
        state = _small_disk(space, house.state, "2m")
        with house.running(space.enter):
            house.wait_until(lambda _: (state / "journal.sqlite3-wal").exists())
            ballast = (state / "ballast").open("wb", buffering=0)
            try:
                while ballast.write(b"x" * 4096):
                    pass
            except OSError:
                pass
            for number in range(10):
                house.drop(f"{number}.jpg")
            until = time.monotonic() + 15
            while not any("full" in str(line) for line in house.logged("intake failed, it goes on")):
                assert time.monotonic() < until, house.last_log()
                time.sleep(0.1)
            (state / "ballast").unlink()
            ballast.close()
            freed = time.monotonic()
            while len(house.dreams()) < 10:
                assert time.monotonic() < freed + RESUMED_SECONDS, house.last_log()
                time.sleep(0.1)
        assert house.violations() == []
        assert len(house.dreams()) == 10


@pytest.mark.parametrize("error", ["ENOSPC", pytest.param("EDQUOT", marks=pytest.mark.slow)])
def test_an_injected_full_disk_resumes_by_itself(tmp_path: Path, error: str) -> None:
    house = House(tmp_path, daemon="shutdown_seconds = 0")
    full = tmp_path / "full"
    full.touch()
    sources = {f"{number}.jpg": house.drop(f"{number}.jpg").read_bytes() for number in range(20)}
    with house.running(**{failpoints.FAULT_VARIABLE: f"publish.temp_written:{error}:{full}"}):
        house.wait_until(lambda _: bool(house.logged(PAUSES)))
        time.sleep(0.5)
        assert house.dreams() == []
        full.unlink()
        house.wait_for(RESUMED_SECONDS, done=20, queued=0, waiting=0)
        house.wait_until(lambda _: not house.temps(), 10)
    house.check_rest(sources)
