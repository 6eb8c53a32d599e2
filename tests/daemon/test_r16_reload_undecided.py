"""A former configuration that cannot find out yet whether an output was published needs no worker for that."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from deepdream_daemon.pipeline import undecided
from deepdream_daemon.publishing import publish
from tests.daemon.reloads import FOLDER, QUICK, Reloadable
from tests.daemon.stub import drop, outputs, wait_until

ANOTHER_WORKER = FOLDER + QUICK + "[engine]\nmax_batch = 2\n"


class Links:
    """Links fail as on a disk with errors until told otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fail = True
        real = publish.link_new

        def link_new(temp: Path, target: Path, at: int | None = None) -> None:
            if self.fail:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(target))
            real(temp, target, at)

        monkeypatch.setattr(publish, "link_new", link_new)


def works(daemon: Reloadable) -> int:
    assert daemon.daemon._generations is not None
    return len(daemon.daemon._generations._works)


def test_its_worker_is_closed_while_an_output_is_undecided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undecided, "FIRST_SECONDS", 0.1)
    links = Links(monkeypatch)
    with Reloadable(tmp_path) as daemon:
        drop(tmp_path / "in" / "photo.jpg", "sky")
        wait_until(lambda: "cannot be found out" in (daemon.snapshot().degraded or ""), what=daemon.snapshot)
        daemon.write(ANOTHER_WORKER)
        daemon.wait_for_generation(2)
        wait_until(lambda: daemon.renderers[0].closed, what=daemon.snapshot)
        assert works(daemon) == 2, "the output is still undecided"
        assert not daemon.renderers[1].closed
        links.fail = False
        wait_until(lambda: daemon.snapshot().counts["done"] == 1, what=daemon.snapshot)
        wait_until(lambda: works(daemon) == 1)
        drop(tmp_path / "in" / "other.jpg", "sea")
        wait_until(lambda: len(outputs(tmp_path / "out")) == 2, what=daemon.snapshot)
    assert daemon.renderers[1].closed


def test_a_worker_that_the_next_configuration_shares_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undecided, "FIRST_SECONDS", 0.1)
    links = Links(monkeypatch)
    with Reloadable(tmp_path) as daemon:
        drop(tmp_path / "in" / "photo.jpg", "sky")
        wait_until(lambda: "cannot be found out" in (daemon.snapshot().degraded or ""), what=daemon.snapshot)
        daemon.write(f"{FOLDER}priority = 1\n{QUICK}")
        daemon.wait_for_generation(2)
        wait_until(lambda: works(daemon) == 2)
        links.fail = False
        wait_until(lambda: works(daemon) == 1, what=daemon.snapshot)
        drop(tmp_path / "in" / "other.jpg", "sea")
        wait_until(lambda: len(outputs(tmp_path / "out")) == 2, what=daemon.snapshot)
        assert [renderer.closed for renderer in daemon.renderers] == [False]
