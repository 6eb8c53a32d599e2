"""What is known about a taught network: its :class:`Card`, kept as JSON beside the weights.

A model is there when its card is: the card is written last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from deepdream_engine.errors import BadOption
from deepdream_engine.training.whole import whole

CARD, WEIGHTS = "card.json", "weights.safetensors"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Card:
    """``architecture`` names the model whose layers it has, ``base`` the one whose weights it began with, if any.

    ``counts`` are pictures of each class: learnt from, watched, held out. ``right`` and ``right5`` of ``held_out``
    pictures were recognised at the first guess, and among five; ``right_by_class`` likewise at the first. ``robust`` of
    ``robust_of`` were, after each had been changed by one adversarial step of the L2 length ``robust_radius``.

    Without classes, those are recognised whose other view is the nearest of all held-out pictures', ``right_before``
    of them before the network was taught. ``weights`` is the name of their file beside the card.
    """

    version: int = VERSION
    name: str
    architecture: str
    base: str
    base_sha256: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, int, int], ...]
    pictures_sha256: str
    left_out: int
    side_px: int
    min_side_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    default_tap: str
    aliases: Mapping[str, str]
    held_out: int
    right: int
    right5: int
    right_by_class: tuple[int, ...]
    held_out_by_class: tuple[int, ...]
    robust: int = 0
    robust_of: int = 0
    robust_radius: float = 0.0
    right_before: int = 0
    weights: str = WEIGHTS
    epochs: float
    seconds: float
    sha256: str
    made_with: str
    finished: str
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """The part of held-out pictures that was recognised at the first guess."""
        return self.right / self.held_out if self.held_out else 0.0

    @property
    def summary(self) -> str:
        """One line for lists."""
        if not self.classes:
            return (
                f"your own pictures without classes, {self.accuracy:.0%} of {self.held_out} held-out ones known again; "
                f"layers of {self.architecture}"
            )
        return (
            f"your own {len(self.classes)} classes, {self.accuracy:.0%} of {self.held_out} held-out pictures right; "
            f"layers of {self.architecture}"
        )


def write_card(card: Card, folder: Path) -> Path:
    """Write the card into the model's folder in one step."""
    path = folder / CARD
    with whole(path) as file:
        file.write((json.dumps(asdict(card), indent=2, ensure_ascii=False) + "\n").encode())
    return path


def read_card(path: Path) -> Card:
    """Read the card at ``path``; raises ``BadOption`` if it is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadOption(
            f"{str(path)!r} is gone, and the taught model with it. Choose another: deepdream models"
        ) from None
    except (OSError, ValueError) as error:
        raise BadOption(
            f"{str(path)!r} is no card of a taught model ({error}). Train it again, or remove it."
        ) from error
    try:
        card = _card(data)
    except (KeyError, TypeError, ValueError) as error:
        raise BadOption(
            f"{str(path)!r} is no card of a taught model ({error}). Train it again, or remove it."
        ) from error
    return card


def _card(data: Any) -> Card:
    if not isinstance(data, Mapping) or data.get("version") != VERSION:
        raise ValueError(f"its version is not {VERSION}")
    known = {each.name for each in fields(Card)}
    values: dict[str, Any] = {
        key: _frozen(value) if isinstance(value, list) else value for key, value in data.items() if key in known
    }
    card = Card(**values)
    texts: Sequence[object] = (card.name, card.architecture, card.default_tap, card.weights, *card.classes)
    if not all(isinstance(text, str) and text for text in texts) or len(card.classes) == 1:
        raise ValueError("name, architecture, default_tap or classes are missing")
    numbers: Sequence[object] = (card.side_px, card.min_side_px, card.held_out, card.right)
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ValueError("side_px, min_side_px, held_out and right must be numbers")
    colours: Sequence[object] = (*card.mean, *card.std)
    if len(colours) != 6 or not all(isinstance(number, int | float) for number in colours) or min(card.std) <= 0:
        raise ValueError("mean and std must be three numbers each")
    if Path(card.weights).name != card.weights or card.weights in (CARD, ".."):
        raise ValueError(f"weights must be the name of a file beside it, not {card.weights!r}")
    if not isinstance(card.aliases, Mapping) or not all(isinstance(each, str) for each in card.aliases.values()):
        raise ValueError("aliases must map names to names")
    return card


def _frozen(values: list[Any]) -> tuple[Any, ...]:
    return tuple(_frozen(value) if isinstance(value, list) else value for value in values)
