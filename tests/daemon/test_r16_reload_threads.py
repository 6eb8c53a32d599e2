"""R16: a configuration that cannot be taken up because the system has no thread left changes nothing, and is taken up
when it has.
"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.daemon.reloads import FOLDER, QUICK, Reloadable
from tests.daemon.stub import drop, outputs, wait_until

ANOTHER_WORKER = "[engine]\nmax_batch = 2\n"
THREADS = ("intake 2", "tidying 2", "pipeline 2", "sweep", "sink copy", "dispose", "copy")
"""All that are started for a second configuration."""


def names(folder: Path) -> list[str]:
    return [path.name for path in outputs(folder)]


class Scarce:
    """Threads of this name cannot be started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.name: str | None = None
        self.refused: list[str] = []
        real = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            if thread.name == self.name:
                self.refused.append(thread.name)
                raise RuntimeError("can't start new thread")
            real(thread)

        monkeypatch.setattr(threading.Thread, "start", start)


@pytest.mark.parametrize("name", THREADS)
def test_a_configuration_for_which_there_is_no_thread_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "out2").mkdir()
    (tmp_path / "shelf").mkdir()
    scarce = Scarce(monkeypatch)
    changed = FOLDER.replace('"out"', '"out2"') + f'sinks = [{{ name = "copy", url = "{tmp_path}/shelf" }}]\n'
    with Reloadable(tmp_path) as daemon:
        before = set(threading.enumerate())
        scarce.name = name
        daemon.write(changed + QUICK + ANOTHER_WORKER)
        assert "the system has no thread left for it" in daemon.wait_for_error()
        scarce.name = None
        assert scarce.refused == [name]
        assert daemon.snapshot().generation == 1
        assert daemon.daemon.settings.folders[0].output == tmp_path / "out"
        drop(tmp_path / "in" / "first.jpg", "first")
        wait_until(lambda: names(tmp_path / "out") == ["first.classic.jpg"], what=daemon.snapshot)
        assert [renderer.closed for renderer in daemon.renderers] == [False, True]
        wait_until(lambda: not [each for each in {*threading.enumerate()} - before if each.name in THREADS])
        daemon.daemon.reload()
        daemon.wait_for_generation(2)
        drop(tmp_path / "in" / "second.jpg", "second")
        wait_until(lambda: names(tmp_path / "out2") == ["second.classic.jpg"], what=daemon.snapshot)
        wait_until(lambda: names(tmp_path / "shelf") == ["second.classic.jpg"], what=daemon.snapshot)
    assert names(tmp_path / "out") == ["first.classic.jpg"]
