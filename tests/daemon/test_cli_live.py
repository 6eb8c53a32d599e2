"""The live screen, drawn from snapshots."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.running.snapshot import Active, Finished, Snapshot, Trouble
from deepdream_daemon.terminal.live import draw

SETTINGS = Settings(
    path=None, state=Path("/state"), folders=(FolderSettings(input=Path("/in"), output=Path("/out"), recipe="deep"),)
)
COUNTS = {"queued": 3, "running": 1, "done": 7, "failed": 1, "vanished": 0}


def screen(snapshot: Snapshot, width: int = 100, phase: str = "running") -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(draw(SETTINGS, snapshot, phase))  # type: ignore[arg-type]
    console.file.close()
    return console.export_text()


def test_it_shows_folders_counts_progress_results_and_errors() -> None:
    text = screen(
        Snapshot(
            counts=COUNTS,
            active=(Active(job=1, path=Path("/in/a.jpg"), recipe="deep", stage="dreaming", fraction=0.5, seconds=4),),
            finished=(Finished(job=2, path=Path("/in/b.jpg"), output=Path("/out/b.deep.jpg"), seconds=2.25),),
            errors=(Trouble(job=3, path=Path("/in/c.jpg"), error="truncated.", advice="Copy it.", final=True),),
            degraded="the disk is full",
            settling=2,
        )
    )
    for part in ("/in", "/out", "(deep)", "2 settling", "3 queued", "7 done", "! the disk is full"):
        assert part in text
    lines = {line.split()[0] + line.split()[1]: line for line in text.splitlines() if len(line.split()) > 1}
    assert "50%" in lines["a.jpgdeep"]
    assert "━" in lines["a.jpgdeep"]
    assert "/out/b.deep.jpg" in lines["✓b.jpg"]
    assert "2.2 s" in lines["✓b.jpg"]
    assert "truncated. Copy it." in lines["✗c.jpg"]
    assert "vanished" not in text


def test_pictures_of_one_name_are_told_apart_by_their_folders() -> None:
    text = screen(
        Snapshot(
            counts=COUNTS,
            active=(
                Active(job=1, path=Path("/in/a.jpg"), recipe="deep", stage="dreaming", fraction=0.5, seconds=4),
                Active(job=2, path=Path("/in/x/c.jpg"), recipe="deep", stage="dreaming", fraction=0.5, seconds=4),
            ),
            finished=(Finished(job=3, path=Path("/in/x/a.jpg"), output=Path("/out/x/a.deep.jpg"), seconds=2),),
        )
    )
    assert {line.split()[0] for line in text.splitlines() if "50%" in line} == {"a.jpg", "c.jpg"}
    assert "✓  x/a.jpg" in text


def trouble(job: int, error: str, *, final: bool = False) -> Trouble:
    return Trouble(job=job, path=Path(f"/in/{job}.jpg"), error=error, advice="Free some.", final=final)


def test_an_error_is_shown_once_with_how_many_met_it() -> None:
    full = [trouble(job, "the disk is full") for job in range(7)]
    text = screen(Snapshot(counts=COUNTS, errors=(trouble(8, "truncated.", final=True), *full, *full)))
    assert text.count("full") == 1
    assert "6.jpg and 6 more" in text
    assert "the disk is full. Free some." in text
    assert "✗  8.jpg" in text


def test_what_was_put_off_and_is_done_is_no_error_any_more() -> None:
    done = (Finished(job=1, path=Path("/in/1.jpg"), output=Path("/out/1.deep.jpg"), seconds=1),)
    errors = (trouble(1, "offline"), trouble(2, "offline once"), trouble(2, "broken", final=True))
    text = screen(Snapshot(counts=COUNTS, finished=done, errors=errors))
    assert "offline" not in text
    assert "✗  2.jpg" in text


def test_names_cannot_draw_on_the_screen() -> None:
    odd = Path("/in/[red]\x1b[31m\n\udcff.jpg")
    text = screen(
        Snapshot(
            counts=COUNTS,
            active=(Active(job=1, path=odd, recipe="deep", stage="dreaming", fraction=0, seconds=4),),
            errors=(Trouble(job=3, path=odd, error="[bold]no\x07", advice="", final=False),),
        )
    )
    assert "\x1b" not in text
    assert "\x07" not in text
    assert r"[red]\x1b[31m\n\udcff.jpg" in text
    assert r"[bold]no\x07" in text


def test_many_jobs_do_not_flood_it() -> None:
    active = tuple(
        Active(job=n, path=Path(f"/in/{n}.jpg"), recipe="deep", stage="queued", fraction=0, seconds=1)
        for n in range(40)
    )
    text = screen(Snapshot(counts=COUNTS, active=active))
    assert "and 28 more" in text
    assert len(text.splitlines()) < 24


@pytest.mark.parametrize(
    ("phase", "words"), [("running", "Ctrl-C stops"), ("stopping", "queued again"), ("stopped", "Stopped.")]
)
def test_it_says_how_far_it_is(phase: str, words: str) -> None:
    assert words in screen(Snapshot(counts=COUNTS), phase=phase)


def test_nobody_is_busy_when_nothing_is_at_work() -> None:
    active = Active(job=1, path=Path("/in/a.jpg"), recipe="classic", stage="dreaming", fraction=0.5, seconds=3.0)
    assert "devices 99% busy" in screen(Snapshot(counts=COUNTS, busy_share=0.99, active=(active,)))
    assert "busy" not in screen(Snapshot(counts=COUNTS, busy_share=0.99))


def test_what_the_operator_asked_for_is_shown() -> None:
    assert "paused" not in screen(Snapshot(counts=COUNTS))
    assert "paused: no picture is begun until: deepdream resume" in screen(Snapshot(counts=COUNTS, paused=True))
    assert "draining: nothing new is taken" in screen(Snapshot(counts=COUNTS, draining=True))


def test_a_worker_that_died_is_shown() -> None:
    text = screen(Snapshot(counts=COUNTS, worker_restarts=2, last_death="was killed by SIGSEGV"))
    assert "worker started again 2 times (it was killed by SIGSEGV)" in text
    assert "worker" not in screen(Snapshot(counts=COUNTS))
