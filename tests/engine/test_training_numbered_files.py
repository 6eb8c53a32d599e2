"""Pictures whose files' names begin with a number: whose number that is, the words behind it show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from deepdream_engine.errors import BadOption
from deepdream_engine.training.matching import known_labels, labelled
from tests.engine.teaching import content

MANY = [
    "tench",
    "goldfish",
    "great white shark",
    "cock",
    "hen",
    "house finch",
    "crane bird, crane",
    "crane machine, crane",
]
FEW = ["goldfish, Carassius auratus, n01443537", "house finch, n01532829", "hen, n01514859", "crane, n03126707"]


def folder(place: Path, names: Sequence[str]) -> Path:
    place.mkdir()
    for name in names:
        (place / name).write_bytes(content("down", 1))
    return place


def told(place: Path, classes: Sequence[str]) -> tuple[dict[str, int], dict[str, str]]:
    listing = labelled(place, classes, "m")
    assert known_labels(place, classes) == {place / each.name: each.label for each in listing.samples}
    return {each.name: each.label for each in listing.samples}, dict(listing.left_out)


def test_numbers_and_words_of_the_network_itself_agree(tmp_path: Path) -> None:
    names = [
        "0_tench.png",
        "001_n01443537_goldfish.png",
        "5-house finch (2).png",
        "06_crane_3.png",
        "7_crane.png",
        "4_a.png",
    ]
    found, left_out = told(folder(tmp_path / "own", names), MANY)
    assert (found, left_out) == (dict(zip(names, (0, 1, 5, 6, 7, 4), strict=True)), {})


def test_numbers_of_another_networks_classes_are_not_taken_for_this_ones(tmp_path: Path) -> None:
    names = [
        "000_tench.png",
        "001_n01443537_gold.png",
        "002_great_white_shark.png",
        "003_cock.png",
        "4_hen.png",
        "5_house_finch.png",
    ]
    found, left_out = told(folder(tmp_path / "theirs", names), FEW)
    assert found == {"001_n01443537_gold.png": 0, "4_hen.png": 2, "5_house_finch.png": 1}
    assert left_out["003_cock.png"] == (
        "number 3 is 'crane' here, which others' numbers are not, and its name is of none of the classes"
    )
    assert set(left_out) == {"000_tench.png", "002_great_white_shark.png", "003_cock.png"}


def test_numbers_that_are_mostly_beyond_the_networks_classes_are_anothers(tmp_path: Path) -> None:
    place = folder(
        tmp_path / "theirs", ["000_tench.png", "001_goldfish.png", "444_bicycle.png", "555_fire_engine.png", "9_x.png"]
    )
    with pytest.raises(
        BadOption, match=r"has no pictures with a class.*'000_tench.png': number 0 is 'cat' here, which"
    ):
        labelled(place, ["cat", "dog"], "m")
    assert known_labels(place, ["cat", "dog"]) == {}


def test_a_file_whose_number_and_words_disagree_is_left_out(tmp_path: Path) -> None:
    names = ["3_hen.png", "2_crane.png", "77_cock.png", "6_my_picture.png"]
    right = {"0_tench.png": 0, "1_goldfish.png": 1, "4_hen.png": 4}
    names += right
    found, left_out = told(folder(tmp_path / "own", names), MANY)
    assert found == {**right, "6_my_picture.png": 6}
    assert left_out == {
        "3_hen.png": "number 3 is 'cock' here, its name is of 'hen'",
        "2_crane.png": "number 2 is 'great white shark' here, its name is of 'crane bird' or 'crane machine'",
        "77_cock.png": "its number is of none of the 8 classes",
    }


def test_numbers_alone_are_taken_at_their_word(tmp_path: Path) -> None:
    found, left_out = told(folder(tmp_path / "own", ["0_a.png", "3_b.png", "2_.png", "3-2024.png", "x.png"]), FEW)
    assert found == {"0_a.png": 0, "3_b.png": 3, "2_.png": 2, "3-2024.png": 3}
    assert left_out == {"x.png": "its name does not begin with the number of a class"}
