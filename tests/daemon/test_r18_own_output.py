"""R18: the daemon never dreams its own output, whatever way it comes back; folders that overlap are refused at once."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from deepdream_daemon.configuration.config import load_settings
from deepdream_daemon.explaining.explain import explain
from deepdream_daemon.journal.journal import Journal
from deepdream_engine.errors import BadOption
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


@pytest.mark.parametrize(
    ("output", "relation"),
    [
        ("in", "is the same folder as"),
        ("in/out", "is inside"),
        (".", "contains"),
        ("alias", "is the same folder as"),
        ("alias/out", "is inside"),
        ("out/../in/out", "is inside"),
        ("around/out", "is inside"),
        ("loop/loop/loop/in/out", "is inside"),
    ],
)
def test_an_output_that_overlaps_with_the_input_is_refused_when_the_configuration_is_loaded(
    tmp_path: Path, output: str, relation: str
) -> None:
    for name in ("in/out", "out"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "alias").symlink_to(tmp_path / "in")
    (tmp_path / "around").symlink_to("alias")
    (tmp_path / "loop").symlink_to(tmp_path)
    config = tmp_path / "config.toml"
    config.write_text(f'[[folders]]\ninput = "in"\noutput = "{output}"\n')
    with pytest.raises(BadOption, match=rf"config\.toml:3: folders\[0\]\.output: .*{relation}.*be dreamt again"):
        load_settings(config)


def test_loops_of_links_end_and_each_hard_link_of_a_photo_is_a_photo(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    folder = tmp_path / "in"
    (folder / "a" / "b").mkdir(parents=True)
    photo = drop(folder / "a" / "b" / "photo.jpg", "sky")
    (folder / "a" / "b" / "up").symlink_to(folder)
    (folder / "self").symlink_to("self")
    (folder / "one").symlink_to("two")
    (folder / "two").symlink_to("one")
    os.link(photo, folder / "again.jpg")
    with Running(settings, _Loving()) as running:
        running.wait_for(done=2)
        time.sleep(1.0)
        running.wait_for(done=2, queued=0, failed=0)
    found = [path.relative_to(tmp_path / "out").as_posix() for path in outputs(tmp_path / "out")]
    assert sorted(found) == ["a/b/photo.classic.jpg", "again.classic.jpg"]


def test_an_output_folder_that_becomes_a_link_to_the_input_feeds_nothing_back(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with Running(settings, _Loving()) as running:
        (tmp_path / "out").rename(tmp_path / "old")
        (tmp_path / "out").symlink_to(tmp_path / "in")
        drop(tmp_path / "in" / "photo.jpg", "sky")
        running.wait_for(done=1)
        time.sleep(1.5)
        running.wait_for(done=1, queued=0, running=0, failed=0)
    assert [path.name for path in outputs(tmp_path / "in")] == ["photo.classic.jpg", "photo.jpg"]
