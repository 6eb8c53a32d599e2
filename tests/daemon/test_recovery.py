"""Recovery at start: an output that cannot be looked at is no output that is missing."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.publishing import publish, recovery
from deepdream_engine.errors import BadOption
from tests.daemon.stub import make_settings


def _announced(root: Path, journal: Journal) -> Announced:
    """Return what a daemon left that died between the link and the commit."""
    source, target = root / "in" / "a.jpg", root / "out" / "a.classic.jpg"
    source.write_bytes(b"picture")
    job = NewJob(key="k", folder=root / "in", sha256="0", recipe="classic", seed=1)
    journal.record([Taken(path=source, fingerprint="f", job=job)])
    (claim,) = journal.claim(1, [root / "in"])
    staged = publish.stage(root / "out", b"dream", "t", root=root / "out")
    publish.link_new(staged.temp, target)
    out = Announced(job=claim.id, temp=staged.temp, target=target, sha256=staged.sha256, inode=staged.inode)
    assert journal.announce(out)
    return out


@pytest.mark.parametrize("error", [OSError(errno.EIO, os.strerror(errno.EIO)), BadOption("a link leads out")])
def test_an_output_that_cannot_be_looked_at_is_decided_later_and_not_dreamt_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    settings = make_settings(tmp_path)
    journal = Journal.open(settings.state)
    try:
        out = _announced(tmp_path, journal)

        def fail(*_: Any, **__: Any) -> int:
            raise error

        with monkeypatch.context() as broken:
            broken.setattr(publish.beneath, "open_regular", fail)
            assert recovery.recover(journal, settings.folders) == [out]
            assert journal.counts()["publishing"] == 1
        assert recovery.recover(journal, settings.folders) == []
        assert journal.counts()["done"] == 1
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.classic.jpg"]
    finally:
        journal.close()
