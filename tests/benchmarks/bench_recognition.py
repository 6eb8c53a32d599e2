"""How honest class pictures are: how often a network that took no part in making them knows what they are of.

    python tests/benchmarks/bench_recognition.py WEIGHTS [--classes 24] [--size 128] [--set KEY=VALUE]...
                                                 [--photos val.zip] [--sheet FILE] [--json FILE]

The embedded network draws pictures of its classes, as ``deepdream atlas`` and ``inspect`` do, and torchvision's
squeezenet1_0 with WEIGHTS says what they are: the figure is how often the class is among its first five. Beside it
stand chance and, with ``--photos``, a zip of ``val/WNID/*.JPEG``, photos of the same classes. Only classes that both
networks know by name are asked for.
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from deepdream_daemon.configuration.assembly import assemble
from deepdream_daemon.microscope.studio import LOGITS, Studio, Subject, seed_of
from deepdream_engine.errors import DeepDreamError
from deepdream_engine.microscope.eyes import Classifier, sample
from deepdream_engine.records import Network
from deepdream_plugins.builtin import dreamnet
from deepdream_plugins.builtin.torchvision_models import classes as imagenet

JUDGE = "squeezenet1_0"
JUDGE_PX = 227
TOP = 5


def common() -> dict[int, tuple[int, str]]:
    """Return, for each class of the embedded network that the judge knows too, the judge's number and the WordNet id.

    Names that several of the judge's classes have are left out.
    """
    by_name: dict[str, list[int]] = {}
    for number, name in enumerate(imagenet()):
        by_name.setdefault(name.casefold(), []).append(number)
    found = {}
    for number, line in enumerate(dreamnet.classes()):
        *names, wordnet = (name.strip() for name in line.split(","))
        theirs = {other for name in names for other in by_name.get(name.casefold(), [])}
        if len(theirs) == 1:
            found[number] = (theirs.pop(), wordnet)
    return found


def judge(studio: Studio, weights: Path) -> Classifier:
    """Return the network that took no part."""
    spec = assemble(None).catalogue.models[JUDGE].spec
    network = Network(
        key=(JUDGE, str(weights)), name=JUDGE, load=lambda: spec.load(weights), mean=spec.mean, std=spec.std
    )
    return Classifier(studio.engine, network)


def recognised(judge: Classifier, pictures: Tensor, numbers: Sequence[int]) -> list[bool]:
    """Return of which pictures ``(N, 3, H, W)`` the class is among the judge's first."""
    side = (JUDGE_PX, JUDGE_PX)
    large = functional.interpolate(pictures, side, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    first = judge(large).topk(TOP, dim=1).indices
    return [number in row for number, row in zip(numbers, first.tolist(), strict=True)]


def photos(archive: Path, wordnet: Sequence[str], each: int) -> Tensor:
    """Return ``each`` photos of every class ``wordnet``, one class after the other."""
    found = []
    with zipfile.ZipFile(archive) as files:
        names = sorted(files.namelist())
        for one in wordnet:
            own = [name for name in names if f"/{one}/" in name and name.endswith(".JPEG")][:each]
            for name in own:
                with Image.open(io.BytesIO(files.read(name))) as opened:
                    found.append(torch.from_numpy(np.asarray(opened.convert("RGB"), np.float32) / 255).permute(2, 0, 1))
    return torch.stack(found)


def drawn(studio: Studio, numbers: Sequence[int]) -> Tensor:
    """Return a picture of each class."""
    subjects = [Subject(layer=LOGITS, number=number, name=str(number)) for number in numbers]
    pictures: dict[int, Tensor] = {}
    for index, outcome in studio.dream(studio.job(subject, seed_of("recognition", subject)) for subject in subjects):
        if isinstance(outcome, DeepDreamError):
            raise outcome
        pictures[index] = outcome.pixels
    return torch.stack([pictures[index] for index in range(len(subjects))])


def main() -> None:
    """Draw, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--classes", type=int, default=24)
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
    asked = judge(studio, chosen.weights)
    pictures = drawn(studio, numbers)
    own = Classifier(studio.engine, studio.network)(pictures).argmax(dim=1).tolist()
    hits = recognised(asked, pictures, theirs)
    figures = {
        "classes that both know": len(known),
        "class pictures": len(hits),
        f"{JUDGE} has the class in its top {TOP}": sum(hits) / len(hits),
        "the network itself has it first": sum(one == other for one, other in zip(own, numbers, strict=True))
        / len(own),
        "chance": TOP / len(imagenet()),
    }
    if chosen.photos is not None:
        natural = photos(chosen.photos, [known[number][1] for number in numbers], 4)
        each = len(natural) // len(numbers)
        told = recognised(asked, natural, [number for number in theirs for _ in range(each)])
        figures[f"{JUDGE} on photos of 64 px"] = sum(told) / len(told)
    for name, value in figures.items():
        print(f"{name}: {value:.1%}" if isinstance(value, float) else f"{name}: {value}")
    print(
        "recognised:", ", ".join(studio.class_names()[n] for n, hit in zip(numbers, hits, strict=True) if hit) or "none"
    )
    if chosen.sheet is not None:
        rows = [torch.cat(list(pictures[start : start + 8]), dim=2) for start in range(0, len(pictures) // 8 * 8, 8)]
        levels = (torch.cat(rows, dim=1) * 255).round().to(torch.uint8)
        Image.fromarray(np.ascontiguousarray(levels.permute(1, 2, 0).numpy())).save(chosen.sheet)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
