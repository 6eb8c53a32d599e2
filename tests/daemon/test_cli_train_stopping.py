"""What is said of a training that was stopped is what the next command does; many files are shown while looked at."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from deepdream_daemon.commands.training_view import Stopping, View, stop_on_signals
from deepdream_engine.errors import Cancelled
from deepdream_engine.training.unfinished import CHECKPOINT, UNFINISHED


@pytest.mark.parametrize(
    ("is_begun", "restart", "said"),
    [
        (True, False, "is stopped; the same command goes on with it."),
        (True, True, "is stopped; the same command without --restart goes on with it."),
        (False, True, "is stopped before anything was kept; the same command begins it."),
    ],
)
def test_who_stops_a_training_is_told_how_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], is_begun: bool, restart: bool, said: str
) -> None:
    (tmp_path / UNFINISHED).mkdir()
    if is_begun:
        (tmp_path / UNFINISHED / CHECKPOINT).touch()
    with pytest.raises(Cancelled), stop_on_signals(tmp_path, restart=restart):
        raise Cancelled("stopped")
    assert capsys.readouterr().err == f"The training {said}\n"


def test_many_files_are_shown_while_they_are_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    with View("it", Stopping()) as view:
        for of in (30, 100_000):
            for what in ("finding", "comparing"):
                view.looking(what, 1, 0)
                for done in (1, of // 2, of):
                    view.looking(what, done, of)
    lines = [line.partition(" after ")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["it: finding: 100000 files", "it: comparing: 100000 pictures"]


def test_a_signal_while_files_are_looked_at_ends_it(tmp_path: Path) -> None:
    def look(view: View) -> None:
        view.looking("finding", 1, 0)
        signal.raise_signal(signal.SIGINT)
        view.looking("finding", 2, 0)

    with pytest.raises(Cancelled), stop_on_signals(tmp_path, restart=False) as stopping, View("it", stopping) as view:
        look(view)
