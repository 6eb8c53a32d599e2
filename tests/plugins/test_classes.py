"""Classes are found by name, synonym, word or number, and every doubt is answered with choices."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torchvision.models._meta import _IMAGENET_CATEGORIES

from deepdream_engine.errors import BadOption
from deepdream_engine.training.class_names import ClassNames
from deepdream_plugins import ModelSpec, load_catalogue
from deepdream_plugins.resolving.classes import class_number

MODELS = load_catalogue().models
DREAMNET = MODELS["dreamnet"].spec
GOOGLENET = MODELS["googlenet"].spec


def of(*names: str) -> ModelSpec:
    return ModelSpec(
        name="m",
        help="x",
        load=lambda _: None,
        default_tap="x",
        weights="x",
        classes=lambda: names,  # type: ignore
    )


def test_the_lists_are_those_of_the_networks() -> None:
    for spec, count in ((DREAMNET, 200), (GOOGLENET, 1000)):
        assert spec.classes is not None
        assert len(spec.classes()) == len(set(spec.classes())) == count
    firsts = [line.split(",")[0] for line in GOOGLENET.classes()]  # type: ignore[misc]
    assert firsts == list(_IMAGENET_CATEGORIES)
    ids = [line.rpartition(", ")[2] for line in DREAMNET.classes()]  # type: ignore[misc]
    assert ids == sorted(ids), "the network was trained on its folders in the order of their names"
    assert all(re.fullmatch(r"n\d{8}", each) for each in ids)
    with torch.no_grad():
        assert DREAMNET.load(None)(torch.zeros(1, 3, 64, 64)).shape == (1, 200)


@pytest.mark.parametrize(
    ("model", "given", "number"),
    [
        (DREAMNET, "goldfish", 0),
        (DREAMNET, "Carassius auratus", 0),
        (DREAMNET, "goldfish, Carassius auratus, n01443537", 0),
        (DREAMNET, "n01443537", 0),
        (DREAMNET, "carassius_AURATUS", 0),
        (DREAMNET, 199, 199),
        (DREAMNET, " 199 ", 199),
        (GOOGLENET, "great-white-shark", 2),
        (GOOGLENET, "hammerhead", 4),
        (GOOGLENET, "cardigan", 474),
        (GOOGLENET, "Cardigan", 264),
        (GOOGLENET, "crane bird", 134),
        (GOOGLENET, "tank suit", 639),
        (of("tabby cat", "cat"), "cat", 1),
        (of("tabby cat", "dog"), "Tabby", 0),
        (of("1", "2", "3"), "2", 1),
        (of("1", "2", "3"), 2, 2),
        (of("10", "2"), " 2 ", 1),
        (of("two", "Boeing, 737", "three"), "2", 2),
        (of("two", "Boeing, 737", "three"), "737", 1),
        (of("Cats", "cats"), "cats", 1),
        (of("a b", "a_b"), "a_b", 1),
    ],
)
def test_a_class_is_found(model: ModelSpec, given: Any, number: int) -> None:
    assert class_number(model, given, "here") == number


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        (DREAMNET, 200, "has 200 classes, and none of the number 200; choose one from 0 to 199"),
        (DREAMNET, "1000", "has 200 classes"),
        (GOOGLENET, "goldfsh", "not even as a word of a longer name. Nearest: 1 (goldfish), 11 "),
        (GOOGLENET, "shark", "'shark' is in the names of 2 classes: 2 (great white shark), 3 (tiger shark). Choose"),
        (GOOGLENET, "CARDIGAN", "'CARDIGAN' is in the names of 2 classes: 264 (Cardigan), 474 (cardigan)"),
        (GOOGLENET, "terrier", "is in the names of 18 classes: 158 (toy terrier), 180 ("),
        (GOOGLENET, "crane", "'crane' is in the names of 2 classes: 134 (crane bird), 517 (crane). Choose one by"),
        (GOOGLENET, "maillot", "is in the names of 2 classes: 638 (maillot), 639 (maillot tank suit). Choose one"),
        (GOOGLENET, "goldfsh", "All: deepdream classes googlenet"),
        (
            GOOGLENET,
            "xqzw",
            "not even as a word of a longer name. Choose one by its number from 0, or by another name.",
        ),
        (of("1", "3", "5"), "2", "has no class called '2', but such as '1', so that the number of a class is not told"),
        (of("Cats", "cats"), "CATS", "'CATS' is in the names of 2 classes: 0 (Cats), 1 (cats). Choose one by"),
        (GOOGLENET, "", "has no class ''"),
        (GOOGLENET, "--", "has no class '--'"),
    ],
)
def test_a_doubt_is_answered_with_choices(model: ModelSpec, given: Any, said: str) -> None:
    with pytest.raises(BadOption) as caught:
        class_number(model, given, "config.toml:3: here")
    assert str(caught.value).startswith("config.toml:3: here: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("names", "given"),
    [
        (("1", "2", "3"), "2"),
        (("10", "2"), "2"),
        (("1", "3", "5"), "2"),
        (("cat", "dog"), "1"),
        (("cat", "dog"), "2"),
        (("Cats", "cats"), "cats"),
        (("Cats", "cats"), "CATS"),
        (("a b", "a_b"), "a_b"),
        (("t-shirt", "x"), "T shirt"),
    ],
)
def test_a_folder_is_of_the_class_that_its_name_means_elsewhere(names: tuple[str, ...], given: str) -> None:
    def understood(number: Callable[[], int]) -> int | None:
        try:
            return number()
        except BadOption:
            return None

    as_folder = understood(lambda: ClassNames(names).number(given))
    assert as_folder == understood(lambda: class_number(of(*names), given, "here"))


def test_of_many_classes_ten_are_listed() -> None:
    with pytest.raises(BadOption) as caught:
        class_number(of(*(f"dog {i}" for i in range(25))), "dog", "here")
    assert "in the names of 25 classes: 0 (dog 0), " in str(caught.value)
    assert "9 (dog 9) and 15 more. Choose" in str(caught.value)


def test_a_model_without_a_list_takes_numbers_alone() -> None:
    spec = ModelSpec(name="m", help="x", load=lambda _: None, default_tap="x", weights="x")  # type: ignore
    assert class_number(spec, 12345, "here") == 12345
    with pytest.raises(BadOption, match="does not list its classes by name; give the number"):
        class_number(spec, "cat", "here")


@pytest.mark.parametrize("given", [3, "3", "cat"])
def test_a_model_that_has_no_classes_takes_neither_numbers_nor_names(given: str | int) -> None:
    with pytest.raises(BadOption, match=r"^here: .*model 'm' has no classes\. Choose a channel .* deepdream layers m$"):
        class_number(of(), given, "here")
