"""R18: the daemon never dreams its own output, whatever way it comes back."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from deepdream_daemon.explain import explain
from deepdream_daemon.journal.journal import Journal
from tests.daemon.stub import Running, StubRenderer, drop, make_settings, outputs, recipe_book


class _Loving(StubRenderer):
    """Its dreams are pictures that it could dream again."""

    def finish(self, rendered, provenance):  # type: ignore[no-untyped-def]
        encoded = super().finish(rendered, provenance)
        return type(encoded)(b"PICTURE " + encoded.data, encoded.suffix)


def test_copies_links_and_moves_of_its_dreams_are_not_dreamt(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    folder, out = tmp_path / "in", tmp_path / "out"
    drop(folder / "photo.jpg", "sky")
    drop(folder / "second.jpg", "sea")
    with Running(settings, _Loving()) as running:
        running.wait_for(done=2)
        dream = out / "photo.classic.jpg"
        os.link(dream, folder / "hard.jpg")
        shutil.copy(dream, folder / "copy.jpg")
        (folder / "soft.jpg").symlink_to(dream)
        (folder / "loop").symlink_to(folder)
        (folder / "all").symlink_to(out)
        (out / "second.classic.jpg").rename(folder / "moved.jpg")
        time.sleep(1.5)
        running.wait_for(done=2, queued=0, running=0, failed=0)
    assert outputs(out) == [dream]
    journal = Journal.open(settings.state, read_only=True)
    for name in ("hard.jpg", "copy.jpg", "moved.jpg"):
        found = explain(folder / name, settings, recipe_book(), journal)
        assert found.state == "skipped"
        assert "dream of this daemon" in found.reason
    for name in ("soft.jpg", "all/photo.classic.jpg"):
        assert "symbolic link" in explain(folder / name, settings, recipe_book(), journal).reason
    journal.close()


def test_retry_does_not_make_it_forget_its_dreams(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings, _Loving()) as running:
        running.wait_for(done=1)
        journal = Journal.open(settings.state)
        assert journal.retry(photo) == 1
        journal.close()
        running.wait_for(done=1, queued=0)
        shutil.copy(tmp_path / "out" / "photo.classic.jpg", tmp_path / "in" / "copy.jpg")
        time.sleep(1.0)
        running.wait_for(done=1, queued=0)
    assert [path.name for path in outputs(tmp_path / "out")] == ["photo.classic-2.jpg", "photo.classic.jpg"]
