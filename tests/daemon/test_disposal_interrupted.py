"""Disposals that were interrupted: no source stays hidden, none is doubled, and what is told of it is true."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deepdream_daemon import failpoints
from deepdream_daemon.disposal.aside import Aside
from deepdream_daemon.disposal.looking import identity
from tests.daemon.cli import deepdream
from tests.daemon.faults.house import House


@pytest.mark.parametrize("why", ["it is to be kept now", "its folder is not watched any more"])
def test_what_was_put_aside_is_given_back_when_it_is_not_to_be_disposed_of_any_more(tmp_path: Path, why: str) -> None:
    house = House(tmp_path, folder='source = "delete"')
    photo = house.drop("photo.jpg")
    assert house.run_until_killed(**{failpoints.VARIABLE: "dispose.aside_taken:1"})
    assert not photo.exists()
    if why == "it is to be kept now":
        house.config.write_text(house.config.read_text().replace('source = "delete"', ""))
    else:
        (tmp_path / "other").mkdir()
        house.config.write_text(house.config.read_text().replace('input = "in"', 'input = "other"'))
    with house.running():
        house.wait_until(lambda _: photo.exists())
        house.wait_until(lambda _: [path.name for path in house.input.iterdir()] == ["photo.jpg"])


def test_what_was_given_back_is_not_given_back_again(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_text("sky")
    aside = Aside(tmp_path, tmp_path, "instance", 1)
    aside.take(photo.name, identity(photo.stat()))
    os.link(aside.place / photo.name, photo)  # and there it was killed
    assert aside.put_all_back() == [photo]
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


@pytest.mark.parametrize("how", ["move", "delete"])
def test_a_source_that_has_both_its_names_is_disposed_of_under_both(tmp_path: Path, how: str) -> None:
    house = House(tmp_path, folder=f'source = "{how}"' + ('\nprocessed = "processed"' if how == "move" else ""))
    photo = house.drop("photo.jpg")
    assert house.run_until_killed(**{failpoints.VARIABLE: "dispose.aside_taken:1"})
    [held] = house.input.rglob("photo.jpg")
    os.link(held, photo)  # so an interrupted return leaves it, or a power cut in the middle of a rename
    with house.running():
        house.wait_until(lambda _: bool(house.logged("disposed")))
        house.wait_until(lambda _: not list(house.input.iterdir()))
    assert [path.name for path in house.processed.iterdir()] == (["photo.jpg"] if how == "move" else [])


@pytest.mark.parametrize("point", ["publish.done", "dispose.announced"])
def test_a_picture_that_was_gone_before_is_not_told_to_have_been_moved(tmp_path: Path, point: str) -> None:
    house = House(tmp_path, folder='source = "move"\nprocessed = "processed"')
    photo = house.drop("photo.jpg")
    assert house.run_until_killed(**{failpoints.VARIABLE: f"{point}:1"})
    photo.unlink()
    with house.running():
        house.wait_until(lambda _: bool(house.logged("the source is gone")))
        told = " ".join(deepdream("explain", photo, "--config", house.config).stdout.split())
    assert "the picture was not moved" in told
    assert ": it was gone before" in told
