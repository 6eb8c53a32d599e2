"""``inspect``: what a network has learnt of a class or channel, on one page, with or without photos."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from deepdream_daemon.configuration.assembly import assemble
from deepdream_daemon.microscope import showing, things
from deepdream_daemon.microscope.labels import Labels
from deepdream_daemon.microscope.photos import Photos
from deepdream_daemon.microscope.studio import Studio
from deepdream_engine.errors import BadOption
from tests.daemon.cli import deepdream, nowhere, photo
from tests.daemon.microscope_networks import SHAPES, Planted, Shapes, configured, pictures

__all__ = ["nowhere"]

QUICK = ("--size", "32", "--side", "32", "--set", "steps=3", "--pictures", "2")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a network of five classes that has learnt nothing."""
    torch.manual_seed(6)
    return configured(tmp_path / "own", Shapes(width=8).eval().requires_grad_(False), "small_shapes")


def report(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return told


def labelled(folder: Path, count: int = 12, planted: Planted | None = None) -> Path:
    """Photos in sub-folders named after the classes."""
    x, labels = pictures(count, planted, torch.Generator().manual_seed(8))
    for number, (pixels, label) in enumerate(zip(x, labels.tolist(), strict=True)):
        path = folder / SHAPES[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()).save(path)
    return folder


def test_a_class_gets_a_page_that_needs_nothing_else(tmp_path: Path, config: Path) -> None:
    result = deepdream("inspect", "shapes", "--class", "disc", *QUICK, "--config", config)
    folder = tmp_path / "shapes.disc.inspect"
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[0] == str(folder / "index.html")
    told = report(folder)
    assert told["subject"] == {"layer": "logits", "number": 0, "name": "disc"}
    assert len(told["pictures"]) == 2
    assert told["raised"]
    assert {each["name"] for each in told["raised"]} <= set(SHAPES)
    assert all(each["is_own"] == (each["name"] == "disc") for each in told["raised"])
    assert {each["in_top5"] for each in told["raised"]} == {None}, "there are no more than five classes"
    assert told["mark"]["is_suspicious"] == any(finding["kind"] == "mark" for finding in told["findings"])
    page = (folder / "index.html").read_text()
    assert not re.findall(r"https?://", page)
    assert page.count("data:image/jpeg;base64,") >= 2
    assert "data:" not in (folder / "report.json").read_text()


def test_pictures_that_are_there_are_not_drawn_again(tmp_path: Path, config: Path) -> None:
    args = ("inspect", "shapes", "--class", "disc", *QUICK, "--config", config)
    deepdream(*args)
    files = sorted((tmp_path / "shapes.disc.inspect" / "pictures").iterdir())
    assert len({path.read_bytes() for path in files}) == 2
    before = [(path, path.stat().st_mtime_ns) for path in files]
    first = report(tmp_path / "shapes.disc.inspect")
    deepdream(*args)
    assert [(path, path.stat().st_mtime_ns) for path, _ in before] == before
    assert report(tmp_path / "shapes.disc.inspect") == first


def test_a_channel_is_inspected_like_a_class(tmp_path: Path, config: Path) -> None:
    photos = labelled(tmp_path / "photos", 6)
    args = ("inspect", "shapes", "--channel", "c3:5", *QUICK, "--photos", photos, "--config", config, "--json")
    told = json.loads(deepdream(*args).stdout)
    assert told["subject"]["name"] == "c3 5"
    assert "mark" not in told
    assert told["raised"]
    assert told["photos"]["count"] == 6


def test_photos_are_ranked_and_the_place_of_the_evidence_is_shown(tmp_path: Path, config: Path) -> None:
    photos = labelled(tmp_path / "photos")
    (photos / "broken.jpg").write_bytes(b"no picture")
    args = ("inspect", "shapes", "--class", "cross", *QUICK, "--photos", photos, "--config", config)
    result = deepdream(*args)
    assert result.exit_code == 0, result.stderr
    assert "1 of 13 photos cannot be read. broken.jpg: " in result.stderr
    told = report(tmp_path / "shapes.cross.inspect")["photos"]
    assert (told["count"], told["unreadable"]) == (12, 1)
    highest, lowest = ([entry["score"] for entry in told[end]] for end in ("highest", "lowest"))
    assert highest == sorted(highest, reverse=True)
    assert lowest == sorted(lowest)
    assert highest[0] >= highest[-1] >= lowest[-1] >= lowest[0]
    assert {entry["label"] for entry in told["labels"]} <= set(SHAPES)
    assert told["gaze"]["of"] == "the photos labelled cross that excite it most"
    assert len(told["gaze"]["map"]) == 7


def test_photos_that_were_shown_are_not_read_again(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = labelled(tmp_path / "photos")
    monkeypatch.setattr(showing, "_TOGETHER", 4)
    args = ("inspect", "shapes", "--class", "cross", *QUICK, "--photos", photos, "--config", config)
    read: list[str] = []
    reading: Callable[..., Any] = Photos.read

    def interrupted(self: Photos, name: str, side_px: int) -> Any:
        read.append(name)
        if len(read) == 10:
            raise KeyboardInterrupt
        return reading(self, name, side_px)

    with monkeypatch.context() as patched:
        patched.setattr(Photos, "read", interrupted)
        assert deepdream(*args).exit_code == 130
        read.extend(["-"] * 2)  # no further interruption
        assert deepdream(*args).exit_code == 0
    again = read[12:]
    first_pass = again[: len(set(again))]
    assert not set(first_pass[:4]) & set(read[:8]), "what was shown before was read once more"
    assert report(tmp_path / "shapes.cross.inspect")["photos"]["count"] == 12


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--class", "dice"), "no class 'dice'"),
        (("--class", "9"), "none of the number 9"),
        ((), "either --class NAME or --channel LAYER:NUMBER"),
        (("--class", "disc", "--channel", "c3:1"), "either --class NAME or --channel LAYER:NUMBER"),
        (("--channel", "c3"), "is not LAYER:NUMBER"),
        (("--channel", "c3:999"), "choose one from 0 to"),
        (("--channel", "c9:1"), "c9"),
        (("--class", "disc", "--photos", "nowhere"), "does not exist"),
        (("--class", "disc", "--photos", "own"), "there is no picture in"),
    ],
)
def test_mistakes_are_named(args: tuple[str, ...], says: str, tmp_path: Path, config: Path) -> None:
    result = deepdream("inspect", "shapes", *args, *QUICK, "--config", config)
    assert result.exit_code == 2, result.stderr
    assert says in result.stderr


def test_a_name_that_fits_several_classes_names_them() -> None:
    result = deepdream("inspect", "dreamnet", "--class", "bridge")
    assert result.exit_code == 2
    assert "is in the names of" in result.stderr


def test_a_folder_of_unreadable_photos_is_an_error_that_says_why(tmp_path: Path, config: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"nothing")
    result = deepdream("inspect", "shapes", "--class", "disc", *QUICK, "--photos", "photos", "--config", config)
    assert result.exit_code == 1
    assert "none of the 1 pictures" in result.stderr
    assert len(list((tmp_path / "shapes.disc.inspect" / "pictures").iterdir())) == 2, "what was drawn is kept"


def test_photos_of_all_shapes_and_places_are_found(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a" / "wide.PNG", width=200, height=40)
    photo(tmp_path / "in" / "tall.jpg", width=30, height=90)
    photo(tmp_path / "in" / ".hidden.png")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    photos = Photos(tmp_path / "in", 200.0)
    assert photos.files == ["a/wide.PNG", "tall.jpg"]
    labels = Labels(photos, (), str)
    assert [labels.of(name) for name in photos.files] == ["a", ""]
    assert [labels.number(name) for name in photos.files] == [None, None]
    shapes = [picture.shape for name in photos.files if (picture := photos.read(name, 48)) is not None]
    assert shapes == [(3, 48, 48)] * 2
    whole = [picture.shape for name in photos.files if (picture := photos.read_whole(name, 48)) is not None]
    assert whole == [(3, 48, 144), (3, 144, 48)], "of 5 to 1 the middle, of 3 to 1 the whole"
    with pytest.raises(BadOption, match="is no folder"):
        Photos(tmp_path / "in" / "tall.jpg", 200.0)


def test_pictures_are_as_large_as_the_network_needs(tmp_path: Path, config: Path) -> None:
    assert Studio(assemble(config), "shapes", 8).side_px == 32
    assert things.enlarged(torch.zeros(3, 5, 5)).shape == (3, 95, 95)
