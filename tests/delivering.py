"""Dreams on a real disk, delivered to the built-in sinks as the daemon does it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from deepdream_plugins import load_catalogue
from deepdream_plugins.events import Delivery
from deepdream_plugins.options import Value, fill

Option = Value | list[str]
NOON = 1_772_362_800.0  # 2026-03-01, 11:00 UTC


def picture(path: Path, seed: int = 1, size: tuple[int, int] = (64, 48), **how: object) -> Path:
    """Write a smooth colourful picture of (width, height) and return where."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:  # noqa: PTH123  (Pillow takes no names with odd bytes)
        kind = Image.registered_extensions()[path.suffix.lower()]
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(file, kind, **how)
    return path


@dataclass(frozen=True)
class Desk:
    """A watched folder, its output folder and what is remembered of a sink."""

    root: Path

    def dream(self, name: str = "photo.classic.jpg", *, seed: int = 1, finished: float = NOON) -> Delivery:
        """Put a photo and its dream in place and return the dream's delivery."""
        out = picture(self.root / "out" / name, seed, quality=90)
        source = picture(self.root / "in" / "photo.jpg", seed + 100)
        return Delivery(
            job=seed,
            key=f"{seed:064x}",
            source=os.fspath(source),
            folder=os.fspath(self.root / "in"),
            recipe="classic",
            seed=seed,
            output=os.fspath(out),
            output_folder=os.fspath(self.root / "out"),
            finished=finished,
            attempt=1,
            state=os.fspath(self.root / "state"),
        )


def deliver(sink: str, delivery: Delivery, **options: Option) -> None:
    """Deliver by the sink of that name, with its defaults for all other options."""
    spec = load_catalogue().sinks[sink].spec
    spec.deliver(delivery, **fill(spec.options, options, lambda *keys: "test", of=sink))


def check(sink: str, **options: Option) -> None:
    """Check the options as the configuration does."""
    spec = load_catalogue().sinks[sink].spec
    assert spec.check is not None
    spec.check(**fill(spec.options, options, lambda *keys: "test", of=sink))


def again(delivery: Delivery) -> Delivery:
    """The same dream's next attempt."""
    return replace(delivery, attempt=delivery.attempt + 1)
