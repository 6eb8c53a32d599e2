"""Photos that somebody has labelled, or not, as ``inspect`` understands them; and marks at the rim of wide ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from deepdream_daemon.microscope.labels import Labels
from deepdream_daemon.microscope.on_photos import OnPhotos
from deepdream_daemon.microscope.own_folder import OwnFolder
from deepdream_daemon.microscope.photos import Photos
from deepdream_daemon.microscope.studio import LOGITS, Subject
from tests.daemon.cli import deepdream, nowhere, photo
from tests.daemon.microscope_networks import Shapes, configured
from tests.daemon.test_cli_inspect import QUICK

__all__ = ["nowhere"]

CLASSES = ("goldfish, Carassius auratus", "house finch, linnet", "tabby, tabby cat")


@pytest.mark.parametrize(
    ("files", "numbers"),
    [
        (("002_tabby.jpg", "001_house_finch.jpg", "holiday.jpg"), (2, 1, None)),
        (("train/linnet/1.jpg", "val/linnet/2.jpg", "train/tabby_cat/3.jpg"), (1, 1, 2)),
        (("goldfish/1.jpg", "holiday/2.jpg", "holiday/tabby/3.jpg"), (0, None, None)),
        (("Carassius Auratus/deep/1.jpg", "1/2.jpg", "3.jpg"), (0, 1, None)),
    ],
    ids=["numbered", "train and val", "strange", "synonyms"],
)
def test_labels_are_understood_as_by_evaluate(
    files: tuple[str, ...], numbers: tuple[object, ...], tmp_path: Path
) -> None:
    for name in files:
        photo(tmp_path / "in" / name, width=8, height=8)
    photos = Photos(tmp_path / "in", 1.0)
    labels = Labels(photos, CLASSES, lambda number: CLASSES[number].split(",")[0])
    assert tuple(labels.number(name) for name in files) == numbers
    called = ["" if number is None else CLASSES[number].split(",")[0] for number in numbers]
    assert [labels.of(name) for name in files] == [
        name or ("holiday" if "/" in file else "") for name, file in zip(called, files, strict=True)
    ]


def test_training_and_held_out_pictures_of_other_classes_are_of_none(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "train" / "goldfish" / "1.jpg", width=8, height=8)
    photo(tmp_path / "in" / "val" / "tabby" / "1.jpg", width=8, height=8)
    labels = Labels(Photos(tmp_path / "in", 1.0), CLASSES, str)
    assert labels.number("train/goldfish/1.jpg") is None
    assert "has classes that are not among those to learn: tabby" in labels.why_none


def test_classes_without_names_have_numbers_for_labels(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "3" / "1.png", width=40, height=40)
    config = configured(tmp_path / "own", Shapes(width=8).eval(), "small_shapes")
    lines = config.read_text().splitlines()
    config.write_text("".join(f"{line}\n" for line in lines if not line.startswith("classes")))
    args = ("inspect", "shapes", "--class", "3", *QUICK, "--photos", tmp_path / "in", "--config", config, "--json")
    result = deepdream(*args)
    assert result.exit_code == 0, result.stderr
    photos = json.loads(result.stdout)["photos"]
    assert photos["gaze"]["of"] == "the photos labelled class 3 that excite it most"
    assert [entry["label"] for entry in photos["labels"]] == ["class 3"]


def magenta(pictures: Tensor) -> Tensor:
    """Evidence ``(N, 2)``: how many pixels are magenta, and nothing."""
    red, green, blue = pictures.unbind(1)
    count = (torch.minimum(red, blue) - green - 0.5).clamp_min(0).sum((1, 2))
    return torch.stack([count, torch.zeros_like(count)], dim=1)


def looking(folder: Path) -> OnPhotos:
    return OnPhotos(
        Subject(layer=LOGITS, number=0, name="disc"),
        evidence=magenta,
        classes=magenta,
        names=("disc", "cross"),
        called=["disc", "cross"].__getitem__,
        side_px=32,
        folder=OwnFolder(folder, "state.json", "own"),
        progress=lambda _, __: None,
    )


def marked(folder: Path, width: int, height: int) -> Path:
    """Eight grey photos with a magenta mark in the top right corner."""
    folder.mkdir(parents=True)
    for number in range(8):
        picture = Image.new("RGB", (width, height), (90 + 5 * number,) * 3)
        picture.paste((255, 0, 255), (width - 12, 4, width - 4, 12))
        picture.save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 96)])
def test_a_mark_in_the_corner_of_a_photo_that_is_no_square_is_found(width: int, height: int, tmp_path: Path) -> None:
    told, findings, check = looking(tmp_path / "kept").report(
        Photos(marked(tmp_path / "in" / "disc", width, height), 1.0)
    )
    assert not check.why_not
    (finding,) = findings
    assert finding["kind"] == "place"
    assert "the top right corner" in finding["says"]
    assert told["gaze"]["view"] == "the whole, the shorter side 32 px"
    assert told["view"] == "the square in the middle, 32 px"


def test_it_is_said_when_no_photo_has_the_label(tmp_path: Path) -> None:
    marked(tmp_path / "in" / "cross", 96, 64)
    told, _, _ = looking(tmp_path / "kept").report(Photos(tmp_path / "in", 1.0))
    assert told["gaze"]["of"] == "those that excite it most, whatever they are of (no photo is labelled disc)"
    assert told["labels"] == [{"label": "cross", "mean": pytest.approx(told["labels"][0]["mean"]), "count": 8}]
    marked(tmp_path / "in" / "disc", 96, 64)
    told, _, _ = looking(tmp_path / "kept").report(Photos(tmp_path / "in", 1.0))
    assert told["gaze"]["of"] == "the photos labelled disc that excite it most"
