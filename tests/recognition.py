"""Of what class pictures are, as a network says that took no part in making them."""

from __future__ import annotations

import io
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
from deepdream_engine.microscope.eyes import Classifier
from deepdream_engine.records import Network
from deepdream_plugins.builtin import dreamnet
from deepdream_plugins.builtin.torchvision_models import classes as imagenet

JUDGE = "squeezenet1_0"
JUDGE_PX = 227
TOP = 5
CHANCE = TOP / len(imagenet())
PHOTO_PX = 64
"""The side of Tiny-ImageNet's photos."""


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


def resized(pictures: Tensor, side_px: int) -> Tensor:
    """Return pictures ``(N, 3, H, W)`` at that side."""
    size = (side_px, side_px)
    return functional.interpolate(pictures, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def recognised(judge: Classifier, pictures: Tensor, numbers: Sequence[int]) -> list[bool]:
    """Return of which pictures ``(N, 3, H, W)`` the class is among the judge's first."""
    first = judge(resized(pictures, JUDGE_PX)).topk(TOP, dim=1).indices
    return [number in row for number, row in zip(numbers, first.tolist(), strict=True)]


def photos(archive: Path, wordnet: Sequence[str], most: int) -> tuple[Tensor, list[int]]:
    """Return up to ``most`` photos of every class ``wordnet`` from a zip of ``…/WNID/*.JPEG``, and which of those
    classes each is of."""
    found, of = [], []
    with zipfile.ZipFile(archive) as files:
        names = sorted(name for name in files.namelist() if name.endswith(".JPEG"))
        for index, one in enumerate(wordnet):
            for name in [name for name in names if f"/{one}/" in name][:most]:
                with Image.open(io.BytesIO(files.read(name))) as opened:
                    found.append(torch.from_numpy(np.asarray(opened.convert("RGB"), np.float32) / 255).permute(2, 0, 1))
                of.append(index)
    if not found:
        raise SystemExit(f"{archive}: it has no photo of these classes, as val/WNID/*.JPEG.")
    return torch.stack(found), of


def drawn(studio: Studio, numbers: Sequence[int], seed: int = 0) -> Tensor:
    """Return a picture ``(N, 3, H, W)`` of each class, other ones for another ``seed``."""
    subjects = [Subject(layer=LOGITS, number=number, name=str(number)) for number in numbers]
    purpose = f"recognition {seed}" if seed else "recognition"
    pictures: dict[int, Tensor] = {}
    for index, outcome in studio.dream(studio.job(subject, seed_of(purpose, subject)) for subject in subjects):
        if isinstance(outcome, DeepDreamError):
            raise outcome
        pictures[index] = outcome.pixels
    return torch.stack([pictures[index] for index in range(len(subjects))])
