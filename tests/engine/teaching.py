"""Something small to learn: pictures of three kinds that a tiny network tells apart within seconds."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from deepdream_engine.training.recipe import Stage, TrainingRecipe
from deepdream_engine.training.task import Subject, Task, Watcher
from deepdream_engine.training.telling import Standing

KINDS = ("across", "down", "plain")
RECIPE = TrainingRecipe(
    name="quick",
    help="for tests",
    start="weights",
    stages=(Stage(epochs=6, rate=0.02),),
    batch=8,
    optimizer="adamw",
    average=0.5,
    colour=0.1,
    rotation=0,
    crop=0.8,
    precision="fp32",
)


def picture(kind: str, seed: int, side: int = 24) -> Image.Image:
    """Return stripes across, stripes down, or none, in any colours."""
    rng = np.random.default_rng([seed, len(kind)])
    dark, light = rng.integers(0, 100, 3), rng.integers(150, 255, 3)
    wave = (np.arange(side) // int(rng.integers(2, 4))) % 2
    mask = {"across": wave[:, None], "down": wave[None, :], "plain": np.zeros((1, 1), int)}[kind]
    pixels = np.where(np.broadcast_to(mask, (side, side))[..., None], light, dark)
    noise = rng.integers(-20, 20, (side, side, 3))
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def content(kind: str, seed: int, form: str = "PNG", side: int = 24) -> bytes:
    """Return such a picture as a file."""
    buffer = io.BytesIO()
    picture(kind, seed, side).save(buffer, form)
    return buffer.getvalue()


def pictures(folder: Path, each: int = 12, *, first: int = 0, side: int = 24) -> Path:
    """Write some of each kind into sub-folders, and return the folder."""
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for seed in range(first, first + each):
            (folder / kind / f"{seed}.png").write_bytes(content(kind, seed, side=side))
    return folder


def zipped(path: Path, each: int = 6, *, first: int = 0, top: str = "") -> Path:
    """Write some of each kind into a ZIP file, below ``top``."""
    with zipfile.ZipFile(path, "w") as archive:
        for kind in KINDS:
            for seed in range(first, first + each):
                archive.writestr(f"{top}{kind}/{seed}.png", content(kind, seed))
    return path


class Striped(nn.Module):
    """A tiny network with all that a real one has: batch norm, dropout, a pooled classifier."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, padding=2)
        self.bn = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.deep = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.dropout = nn.Dropout(0.1)
        self.fc = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.deep(self.relu(self.bn(self.stem(x)))))
        scores: Tensor = self.fc(self.dropout(x.mean(dim=(2, 3))))
        return scores


def striped(classes: int) -> Striped:
    """Return the network as it always begins."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Striped(classes)


SUBJECT = Subject(
    architecture="striped",
    base="striped",
    load=lambda classes, _start: (striped(classes), "fc", "0" * 64),
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    side_px=16,
    min_side_px=8,
    default_tap="deep",
    aliases={},
)


def task(place: Path, folder: Path, **changes: object) -> Task:
    """Return the task to learn what is at ``place``, into ``folder``; ``changes`` are of the task or its recipe."""
    fields = {each.name for each in dataclasses.fields(TrainingRecipe)}
    recipe = dataclasses.replace(RECIPE, **{key: value for key, value in changes.items() if key in fields})
    rest = {key: value for key, value in changes.items() if key not in fields}
    whole = Task(name="stripes", place=place, folder=folder, recipe=recipe, subject=SUBJECT, device="cpu", workers=0)
    return dataclasses.replace(whole, **rest)


class Ear(Watcher):
    """Hears all, and stops the training after step ``stop_at``."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at, self.resumed = stop_at, -1
        self.heard: list[Standing] = []

    def begun(self, parts: object, listing: object, resumed_step: int) -> None:
        self.parts, self.listing, self.resumed = parts, listing, resumed_step

    def standing(self, standing: Standing) -> None:
        self.heard.append(standing)

    def should_stop(self) -> bool:
        return self.stop_at is not None and bool(self.heard) and self.heard[-1].step >= self.stop_at
