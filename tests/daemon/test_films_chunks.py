"""The spool: what counts after a kill at any moment, and what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepdream_daemon.films import FilmFacts, FilmOptions, FilmWriter, Spool, assembling, writing
from deepdream_daemon.films.states import held, read_state, state_bytes
from deepdream_engine.errors import BadOption
from tests.daemon.filming import LIMIT_BYTES, digest, finish, write_film

pytest.importorskip("av", reason="the extra video")
torch = pytest.importorskip("torch")


def _commit(spool: Spool, name: bytes, state: dict[str, Any]) -> None:
    path = spool.next_path(".mp4")
    path.write_bytes(name)
    spool.commit(path, [0, 1], [1, 1], state)


def test_a_state_comes_back_exactly() -> None:
    state = {
        "canvas": torch.rand(3, 5, 7),
        "half": torch.rand(2, 2).half(),
        "numbers": np.arange(4),
        "frame": 48,
        "angle": 0.1,
        "names": ["a", "ü"],
        "nothing": None,
    }

    again = read_state(state_bytes(state))

    assert again.keys() == state.keys()
    assert torch.equal(again["canvas"], state["canvas"])
    assert again["half"].dtype == torch.float16
    assert again["numbers"].tolist() == [0, 1, 2, 3]
    assert (again["frame"], again["angle"], again["names"], again["nothing"]) == (48, 0.1, ["a", "ü"], None)


def test_a_held_state_stays_as_it_was() -> None:
    canvas = torch.zeros(2)
    kept = held({"canvas": canvas})
    canvas += 1

    assert kept["canvas"].tolist() == [0, 0]


def test_what_was_not_committed_does_not_count(tmp_path: Path) -> None:
    with Spool(tmp_path, LIMIT_BYTES) as spool:
        spool.open("film")
        _commit(spool, b"one", {"n": 1})
        spool.next_path(".mp4").write_bytes(b"half of two")
        (tmp_path / "state-000002.safetensors.part").write_bytes(b"x")

    with Spool(tmp_path, LIMIT_BYTES) as spool:
        point = spool.open("film")
        assert point is not None
        assert (point.frames, point.state) == (2, {"n": 1})
        assert [chunk.path.read_bytes() for chunk in spool.chunks] == [b"one"]
        assert {entry.name for entry in tmp_path.iterdir()} == {
            "film.json",
            "lock",
            "chunk-000000.mp4",
            "chunk-000000.json",
            "state-000001.safetensors",
        }


def test_chunks_of_another_film_are_not_gone_on_with(tmp_path: Path) -> None:
    with Spool(tmp_path, LIMIT_BYTES) as spool:
        spool.open("film")
        _commit(spool, b"one", {})
    with Spool(tmp_path, LIMIT_BYTES) as spool:
        assert spool.open("another film") is None
        assert not spool.chunks


@pytest.mark.parametrize("name", ["film.json", "state-000001.safetensors", "chunk-000000.json"])
def test_a_damaged_spool_begins_anew(tmp_path: Path, name: str) -> None:
    with Spool(tmp_path, LIMIT_BYTES) as spool:
        spool.open("film")
        _commit(spool, b"one", {"n": 1})
    (tmp_path / name).write_bytes(b"{")

    with Spool(tmp_path, LIMIT_BYTES) as spool:
        assert spool.open("film") is None


def test_two_runs_do_not_write_one_film(tmp_path: Path) -> None:
    with Spool(tmp_path, LIMIT_BYTES), pytest.raises(BadOption, match="another process"):
        Spool(tmp_path, LIMIT_BYTES).__enter__()


def test_the_size_limit_is_kept_and_said(tmp_path: Path) -> None:
    with Spool(tmp_path, 1000) as spool:
        spool.open("film")
        with pytest.raises(BadOption, match="Allow more"):
            _commit(spool, b"x" * 1000, {})


_CHILD = """
import sys
from pathlib import Path
from tests.daemon import filming

real = filming.frame

def told(number, *rest, **more):
    print(number, flush=True)
    return real(number, *rest, **more)

filming.frame = told
filming.write_film(Path(sys.argv[1]), Path(sys.argv[2]), 160)
"""


def test_sigkill_at_any_moment_changes_no_frame(tmp_path: Path) -> None:
    whole = write_film(tmp_path / "whole.mp4", tmp_path / "a", 160)
    begun = []
    for last in (49, 143, None):  # at the end of a chunk, while it is written, and in the middle of one
        command = [sys.executable, "-c", _CHILD, str(tmp_path / "killed.mp4"), str(tmp_path / "b")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
            numbers = []
            for line in child.stdout or ():
                numbers.append(int(line))
                if numbers[-1] == last:
                    child.kill()
        begun.append(numbers[0])

    assert digest(tmp_path / "killed.mp4") == digest(whole)
    assert begun[0] == 0
    assert begun == sorted(begun)
    assert begun[-1] >= 96


def test_a_film_that_could_not_be_joined_only_has_to_be_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_of: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(assembling, "join", full)
        with pytest.raises(OSError, match="No space"):
            write_film(tmp_path / "film.mp4", tmp_path / "spool", 60)
    assert [entry.name for entry in tmp_path.iterdir()] == ["spool"]

    with (
        Spool(tmp_path / "spool", LIMIT_BYTES) as spool,
        FilmWriter(tmp_path / "film.mp4", FilmFacts(width=96, height=64), FilmOptions(), spool) as film,
    ):
        point = film.resume_point()
        assert point is not None
        assert (point.frames, point.is_whole) == (60, True)
        path = finish(film, tmp_path / "film.mp4")

    assert digest(path) == digest(write_film(tmp_path / "other.mp4", tmp_path / "other", 60))


def test_a_chunk_in_which_a_frame_failed_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = writing.ChunkEncoder.add

    def add(self: Any, pixels: Any, tick: int, duration: int) -> None:
        if tick == 60:
            raise OSError(5, "Input/output error")
        real(self, pixels, tick, duration)

    with monkeypatch.context() as patch:
        patch.setattr(writing.ChunkEncoder, "add", add)
        with pytest.raises(OSError, match="Input/output"):
            write_film(tmp_path / "film.mp4", tmp_path / "spool", 101)

    path = write_film(tmp_path / "film.mp4", tmp_path / "spool", 101)
    assert digest(path) == digest(write_film(tmp_path / "other.mp4", tmp_path / "other", 101))
