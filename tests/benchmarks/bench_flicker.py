"""How much a dreamt clip flickers: by our way, frame by frame, and by the plain blend of pytorch-deepdream.

    python tests/benchmarks/bench_flicker.py CLIP... [--recipe classic] [--set KEY=VALUE]... [--frames 24] [--width 384]
                                             [--sheet FILE] [--json FILE]

The figures are warp errors in 8-bit levels, outside occlusions; see deepdream_engine/benchmark/flicker.py. All ways
dream with the same recipe. ``--sheet`` shows three frames in a row, of the clip and of each way.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deepdream_daemon.films.reading import open_clip
from deepdream_engine import DreamJob, Engine
from deepdream_engine.benchmark.flicker import blended, by_itself, coherent, measure_flicker
from deepdream_engine.motion.coherence import Coherence
from deepdream_plugins import RecipeBook, ResolvedRecipe, load_catalogue
from deepdream_plugins.recipes import parse_set
from deepdream_plugins.resolving.filtering import Start


def read(path: Path, count: int, width: int) -> list[Tensor]:
    """Return the first frames, ``(3, H, W)``, of that width."""
    frames: list[Tensor] = []
    with open_clip(path) as clip:
        height = round(width * clip.facts.height / clip.facts.width)
        for frame in clip:
            whole = torch.from_numpy(frame.pixels)[None]
            small = torch.nn.functional.interpolate(whole, (height, width), mode="bicubic", antialias=True)
            frames.append(small[0].clamp(0, 1))
            if len(frames) == count:
                break
    return frames


def sheet(rows: Sequence[Sequence[Tensor]]) -> Image.Image:
    """Return three frames in a row from the middle of each film."""
    middle = len(rows[0]) // 2
    lines = [torch.cat([row[middle + step] for step in (-1, 0, 1)], dim=2) for row in rows]
    levels = (torch.cat(lines, dim=1) * 255).round().to(torch.uint8)
    return Image.fromarray(np.ascontiguousarray(levels.permute(1, 2, 0).numpy()))


def recipe_of(name: str, changes: Sequence[str]) -> ResolvedRecipe:
    """Return the recipe, changed as with ``deepdream dream --set``."""
    overrides = [(parse_set(change), lambda *keys: f"--set {'.'.join(map(str, keys))}") for change in changes]
    return RecipeBook(load_catalogue()).resolve(name, overrides)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--recipe", default="classic")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    recipe = recipe_of(args.recipe, args.changes)
    engine = Engine()
    coherence = Coherence(**{name: value for name, value in recipe.video.items() if name != "chunk"})

    def stage(start: Tensor) -> DreamJob:
        return recipe.job_of(Start(pixels=start, seed=0))

    found = {}
    for path in args.clips:
        frames = read(path, args.frames, args.width)
        measured = measure_flicker(engine, frames, stage, coherence)
        found[path.name] = {**asdict(measured), "times_less": measured.times_less}
        print(path.name, *(f"{name} {value:.2f}" for name, value in found[path.name].items()), sep="  ")
        if args.sheet:
            few = frames[: min(len(frames), 8)]
            ways = (by_itself(engine, few, stage), blended(engine, few, stage), coherent(engine, few, stage, coherence))
            sheet([few, *ways]).save(args.sheet)
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
