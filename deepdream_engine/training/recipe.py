"""How a network is taught: a :class:`TrainingRecipe`, read from a TOML file, ours or the user's own."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepdream_engine.errors import BadOption, unknown

FOLDER = Path(__file__).with_name("recipes")

_BOUNDS: dict[str, tuple[float, float]] = {
    "batch": (2, 65536),
    "rate": (0, 100),
    "body_rate": (0, 1),
    "clip": (0, 1e6),
    "momentum": (0, 1),
    "weight_decay": (0, 1),
    "label_smoothing": (0, 0.9),
    "average": (0, 0.99999),
    "warm_up": (0, 0.5),
    "crop": (0.05, 1),
    "rotation": (0, 180),
    "colour": (0, 1),
    "hue": (0, 0.5),
    "grey": (0, 1),
    "held_out": (0.01, 0.5),
    "patience": (0, 1000),
    "seed": (0, 2**31),
    "epochs": (0, 100_000),
    "side_px": (0, 1024),
    "robust_radius": (0, 10),
}
_CHOICES = {
    "goal": ("classes", "views"),
    "start": ("random", "weights"),
    "optimizer": ("sgd", "adamw"),
    "precision": ("auto", "fp32", "bf16"),
}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of the training: ``epochs`` times all pictures, ``side_px`` large (0: as the model is used to).

    A stage with a ``rate`` begins a new cosine from it down to zero, which the stages without one that follow go on
    with. With a ``robust_radius`` each picture is first changed so that it is mistaken, by one gradient step of that
    L2 length (on pictures of 64 px in [0, 1]; it grows with the side).
    """

    epochs: int
    side_px: int = 0
    rate: float = 0.0
    robust_radius: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """All that decides what becomes of given pictures and a given network.

    ``goal`` is to tell ``classes`` apart, or, without labels, to know each picture again in other ``views`` of it.
    ``start`` is ``random`` or ``weights``; with ``weights`` batch norms keep their statistics and the layers before
    the classifier learn at ``body_rate`` of the rate. ``optimizer`` is ``sgd``, with Nesterov's ``momentum``, or
    ``adamw``; gradients longer than ``clip`` are shortened to it, 0 shortens none. ``average`` is how much of the
    averaged weights is kept at each step. ``crop`` is the smallest part of a picture that is shown, ``rotation`` in
    degrees, ``colour`` how much brightness, contrast and saturation vary, ``hue`` how much the hue, in turns, ``grey``
    how many pictures lose their colours. After ``patience`` looks at watched pictures that got no better, it ends, and
    the best look's weights are used; 0 never ends early, and uses the last. ``precision`` ``auto`` is bf16 where the
    device has it.
    """

    name: str
    help: str
    goal: str = "classes"
    start: str = "weights"
    model: str = ""
    stages: tuple[Stage, ...] = ()
    batch: int = 32
    optimizer: str = "sgd"
    clip: float = 0.0
    body_rate: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    label_smoothing: float = 0.0
    average: float = 0.0
    warm_up: float = 0.05
    crop: float = 0.4
    rotation: float = 10.0
    colour: float = 0.3
    hue: float = 0.0
    grey: float = 0.0
    held_out: float = 0.2
    patience: int = 0
    precision: str = "auto"
    seed: int = 0

    def longer(self, times: float) -> TrainingRecipe:
        """Return the recipe with so many times the epochs, at least one for each stage that has any."""
        stages = tuple(
            dataclasses.replace(stage, epochs=max(1, round(stage.epochs * times)) if stage.epochs else 0)
            for stage in self.stages
        )
        return dataclasses.replace(self, stages=stages)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        data: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return data


def recipe_names() -> list[str]:
    """Return the recipes that come with DeepDream."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_recipe(name: str, changes: Sequence[str] = ()) -> TrainingRecipe:
    """Return a recipe by its name, or by the path of a ``.toml`` file; ``changes`` are ``KEY=VALUE``."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise BadOption(f"{unknown('training recipe', name, recipe_names())} Or name a file that ends with .toml.")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadOption(f"{str(path)!r}: it cannot be read as TOML ({error}).") from error
    for change in changes:
        _change(data, change)
    return _recipe(path.stem, data, str(path))


def _change(data: dict[str, Any], change: str) -> None:
    key, found, text = change.partition("=")
    key = key.strip()
    if not found or not key:
        raise BadOption(f"--set {change}: write KEY=VALUE, such as batch=64 or stages.0.epochs=3.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *path, last = key.split(".")
    at: Any = data
    try:
        for part in path:
            at = at[int(part) if isinstance(at, list) else part]
        at[int(last) if isinstance(at, list) else last] = value
    except (KeyError, IndexError, ValueError, TypeError):
        raise BadOption(f"--set {change}: the recipe has no {key!r}.") from None


def _recipe(name: str, data: Mapping[str, Any], place: str) -> TrainingRecipe:
    stages = data.get("stages", [])
    if not isinstance(stages, list) or not stages or not all(isinstance(each, Mapping) for each in stages):
        raise BadOption(f"{place}: stages: it needs one table [[stages]] at least.")
    read = tuple(Stage(**_checked(Stage, each, f"{place}: stages.{index}")) for index, each in enumerate(stages))
    if not any(stage.epochs for stage in read):
        raise BadOption(f"{place}: stages: none of them has any epochs.")
    if not next(stage for stage in read if stage.epochs).rate:
        raise BadOption(f"{place}: stages: the first one needs a rate, such as 0.1.")
    rest = {key: value for key, value in data.items() if key != "stages"}
    values = _checked(TrainingRecipe, {"help": "", **rest, "name": name}, place)
    return TrainingRecipe(**values, stages=read)


def _checked(kind: type, given: Mapping[str, Any], place: str) -> dict[str, Any]:
    fields = {each.name: each for each in dataclasses.fields(kind) if each.name != "stages"}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in fields:
            raise BadOption(f"{place}: {unknown('key', key, fields)}")
        wanted = {"int": (int,), "float": (int, float), "str": (str,)}[str(fields[key].type)]
        if type(value) not in wanted:
            raise BadOption(f"{place}: {key}: {value!r} is no {fields[key].type}.")
        if key in _CHOICES and value not in _CHOICES[key]:
            raise BadOption(f"{place}: {key}: {value!r} is not one of {', '.join(_CHOICES[key])}.")
        low, high = _BOUNDS.get(key, (-math.inf, math.inf))
        if isinstance(value, int | float) and not low <= value <= high:
            raise BadOption(f"{place}: {key}: {value!r} is not between {low:g} and {high:g}.")
        values[key] = float(value) if fields[key].type == "float" else value
    if kind is Stage and "epochs" not in values:
        raise BadOption(f"{place}: epochs: say how many times all pictures are seen.")
    return values
