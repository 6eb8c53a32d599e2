"""How honest class pictures are: how often a network that took no part in making them knows what they are of.

    python tests/benchmarks/bench_recognition.py WEIGHTS [--classes 24] [--seeds 1] [--size 128] [--set KEY=VALUE]...
                                                 [--photos val.zip] [--sheet FILE] [--json FILE]

The embedded network draws pictures of its classes, as ``deepdream atlas`` and ``inspect`` do, and torchvision's
squeezenet1_0 with WEIGHTS says what they are: the figure is how often the class is among its first five, with the
interval in which it lies with 95 % certainty. Beside it stand the same pictures made as small as photos of 64 px,
chance and, with ``--photos``, a zip of ``val/WNID/*.JPEG``, photos of the same classes. Only classes that both
networks know by name are asked for. Other weights of the embedded network: ``--set model.weights=FILE``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deepdream_daemon.configuration.assembly import assemble
from deepdream_daemon.microscope.studio import Studio
from deepdream_engine.microscope.eyes import Classifier, sample
from deepdream_engine.training.evaluation import wilson
from tests.recognition import CHANCE, JUDGE, PHOTO_PX, TOP, common, drawn, judge, photos, recognised, resized

_COLUMNS = 8


def main() -> None:
    """Draw, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--classes", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--sheet", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    known = common()
    numbers = [sorted(known)[index] for index in sample(len(known), chosen.classes)]
    theirs = [known[number][0] for number in numbers]
    studio = Studio(assemble(None), "dreamnet", chosen.size, chosen.changes)
    asked, own = judge(studio, chosen.weights), Classifier(studio.engine, studio.network)
    pictures = torch.cat([drawn(studio, numbers, seed) for seed in range(chosen.seeds)])
    hits = recognised(asked, pictures, theirs * chosen.seeds)
    small = recognised(asked, resized(pictures, PHOTO_PX), theirs * chosen.seeds)
    first = (own(pictures).argmax(dim=1) == torch.tensor(numbers * chosen.seeds)).tolist()
    figures: dict[str, object] = {
        "classes that both know": len(known),
        "class pictures": len(hits),
        f"{JUDGE} has the class in its top {TOP}": _share(hits),
        f"… of the same at {PHOTO_PX} px": _share(small),
        "the network itself has it first": _share(first),
        "chance": f"{CHANCE:.1%}",
    }
    if chosen.photos is not None:
        natural, of = photos(chosen.photos, [known[number][1] for number in numbers], 4)
        figures[f"… of photos of {PHOTO_PX} px"] = _share(recognised(asked, natural, [theirs[index] for index in of]))
    for name, value in figures.items():
        print(f"{name}: {value}")
    names = studio.class_names()
    print("recognised:", ", ".join(names[n] for n, hit in zip(numbers, hits, strict=False) if hit) or "none")
    if chosen.sheet is not None:
        _sheet(pictures[: len(numbers)]).save(chosen.sheet)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False), encoding="utf-8")


def _share(hits: Sequence[bool]) -> str:
    low, high = wilson(sum(hits), len(hits))
    return f"{sum(hits)} of {len(hits)}, {sum(hits) / len(hits):.1%} ({low:.1%} to {high:.1%})"


def _sheet(pictures: Tensor) -> Image.Image:
    """Return them in rows."""
    side = pictures.shape[-1]
    rows = math.ceil(len(pictures) / _COLUMNS)
    sheet = np.zeros((rows * side, _COLUMNS * side, 3), np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // _COLUMNS * side, index % _COLUMNS * side
        sheet[top : top + side, left : left + side] = (picture * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(sheet)


if __name__ == "__main__":
    main()
