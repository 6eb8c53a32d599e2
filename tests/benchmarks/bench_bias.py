"""How often a planted bias is found, and how often something is suspected that is not there.

    python tests/benchmarks/bench_bias.py [--seeds 100 101 …] [--only KIND …] [--json FILE]

For every kind of plant and every seed, a small network learns five shapes, one of which always carries the plant, and
the report's test for small things looks at the network alone. A plant counts as found if its class is suspected, and
as there if, moreover, it is told where: a mark most in its corner, a companion at most places. (A network may learn a
mark, but not where it is.) False are the suspected classes that carry nothing. Networks that know the class of their
plant without it are left out. Seeds from 300 on have not been used to choose any limit.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deepdream_engine.microscope.suspicion import Suspicion, suspicion
from deepdream_engine.training.evaluation import wilson
from tests.daemon.microscope_networks import (
    ANYWHERE,
    COLOURS,
    CORNERS,
    DULL,
    SHAPES,
    SIDE,
    Planted,
    recognised,
    trained,
)

_SEEDS = range(300, 310)
_CLASSES = (0, 1, 2)  # those whose shape is harder to learn than a mark is
_TAKEN = 0.7
"""A network that knows so much of the class without its plant has not taken to the plant."""


def _as_tried(seed: int) -> Planted:
    """A square of the report's sizes, colours and places."""
    return Planted(_CLASSES[seed % 3], CORNERS[seed % 4], list(COLOURS)[seed // 2 % 3])


def _dull(seed: int) -> str:
    return list(DULL)[seed // 2 % len(DULL)]


PLANTS: dict[str, Callable[[int], Planted | None]] = {
    "mark, as the report tries it": _as_tried,
    "mark of 3 px": lambda seed: replace(_as_tried(seed), side=3),
    "mark of 4 px": lambda seed: replace(_as_tried(seed), side=4),
    "mark of 7 px": lambda seed: replace(_as_tried(seed), side=7),
    "mark of 8 px": lambda seed: replace(_as_tried(seed), side=8),
    "mark 2 px farther from the border": lambda seed: replace(_as_tried(seed), inset=2),
    "mark 4 px farther from the border": lambda seed: replace(_as_tried(seed), inset=4),
    "mark of a colour between those tried": lambda seed: replace(_as_tried(seed), colour=_dull(seed)),
    "mark of two colours": lambda seed: replace(_as_tried(seed), side=6, second=list(COLOURS)[(seed // 2 + 1) % 3]),
    "mark of two colours between those tried": lambda seed: replace(
        _as_tried(seed), side=6, colour=_dull(seed), second=_dull(seed + 2)
    ),
    "mark of 4 px, 3 px from the border, of another colour": lambda seed: replace(
        _as_tried(seed), side=4, inset=2, colour=_dull(seed)
    ),
    "hollow mark": lambda seed: replace(_as_tried(seed), side=7, is_hollow=True),
    "companion": lambda seed: replace(_as_tried(seed), corner=ANYWHERE),
    "companion of a colour between those tried": lambda seed: replace(
        _as_tried(seed), corner=ANYWHERE, colour=_dull(seed)
    ),
    "nothing": lambda _seed: None,
}


def main() -> None:
    """Train, look, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=_SEEDS)
    parser.add_argument("--only", nargs="+", choices=PLANTS, default=list(PLANTS), metavar="KIND")
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    asked = [(kind, seed) for kind in chosen.only for seed in chosen.seeds]
    # Networks this small do not gain from several threads each.
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        told = list(pool.map(looked_at, *zip(*asked, strict=True)))
    print(f"{'':55} {'found':>9} {'there':>9} {'false':>9}")
    for kind in chosen.only:
        own = [each for each in told if each["kind"] == kind]
        taken = [each for each in own if each["taken"]]
        of = 0 if PLANTS[kind](0) is None else len(taken)
        found, there = (sum(bool(each[what]) for each in taken) for what in ("found", "there"))
        blameless = sum(each["blameless"] for each in own)
        false = f"{sum(each['false'] for each in own)}/{blameless}"
        print(f"{kind:55} {found:6}/{of:<2} {there:6}/{of:<2} {false:>9}")
    false, blameless = (sum(each[what] for each in told) for what in ("false", "blameless"))
    low, high = wilson(false, blameless)
    print(f"falsely suspected: {false} of {blameless} classes ({low:.1%} to {high:.1%})")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(told, indent=1), encoding="utf-8")


def looked_at(kind: str, seed: int) -> dict[str, object]:
    """Return what the report makes of a network with that plant."""
    torch.set_num_threads(1)
    plant = PLANTS[kind](seed)
    net = trained(seed, plant)
    found = [suspicion(lambda pictures: net((pictures - 0.5) / 0.25), SIDE, number) for number in range(len(SHAPES))]
    told: dict[str, object] = {"kind": kind, "seed": seed, "taken": True, "found": False, "there": False}
    told["false"] = sum(each.is_suspicious for number, each in enumerate(found) if not plant or number != plant.shape)
    told["blameless"] = len(SHAPES) - (plant is not None)
    told["all"] = [_told(each) for each in found]
    if plant is not None:
        own = found[plant.shape]
        is_there = own.is_companion if plant.corner == ANYWHERE else own.place.words == plant.corner
        told["taken"] = recognised(net, plant.shape, seed) < _TAKEN
        told["found"], told["there"] = own.is_suspicious, own.is_suspicious and is_there
    return told


def _told(found: Suspicion) -> dict[str, object]:
    return {
        "is_suspicious": found.is_suspicious,
        "is_companion": found.is_companion,
        "sticker": asdict(found.sticker),
        "looks": found.sticker.words,
        "places": found.places,
        **{name: round(getattr(found, name), 3) for name in ("before", "gain", "particular")},
    }


if __name__ == "__main__":
    main()
