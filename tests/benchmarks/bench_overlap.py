"""Whether decoding, filters and encoding run beside the device: a folder of photos through the real daemon.

    python tests/benchmarks/bench_overlap.py [--photos 64] [--size 1280 960] [--json FILE]

``deepdream run`` watches a temporary folder into which photos are dropped; the daemon itself counts the share of the
time with work in which the engine computes, from the first dream on (``deepdream status`` tells it). For comparison the
engine dreams pictures of the same size alone: on a CPU it shares the cores with all the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.oneshot.sky import paint_sky
from deepdream_engine import Engine
from deepdream_engine.benchmark.mixed import stream
from deepdream_engine.benchmark.timing import seconds_of
from deepdream_engine.benchmark.work import clouds
from deepdream_plugins import RecipeBook, load_catalogue

NOTED_SECONDS = 13.0
"""The daemon writes its share down every ten seconds."""


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """``busy_share`` is the engine's part of the time with work, after the first dream; the seconds are per photo, from
    the first dream to the last, and by the engine alone."""

    photos: int
    busy_share: float
    photo_seconds: float
    engine_seconds: float


def paint(folder: Path, count: int, width: int, height: int) -> None:
    """Write ``count`` photos with detail: a few painted skies, each cut and turned over differently, with grain."""
    import numpy as np

    skies = [paint_sky(width + 64, height + 64, seed) for seed in range(4)]
    for index in range(count):
        top, left = index * 7 % 64, index * 11 % 64
        cut = skies[index % 4][top : top + height, left : left + width]
        grain = np.random.default_rng(index).normal(0, 0.01, cut.shape)
        pixels = ((cut[:, :: -1 if index % 3 else 1] + grain).clip(0, 1) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03}.jpg", quality=92)


def configuration(steps: int, octaves: int, longest_side: int) -> str:
    """Return a configuration with one recipe: the classic one, shorter."""
    return f"""
[[folders]]
input = "in"
output = "out"
recipe = "timed"

[daemon]
settle_seconds = 0.2
rescan_seconds = 1.0

[recipes.timed]
base = "classic"
steps = {steps}
octaves = {octaves}
prefilters = [{{ name = "resize", longest_side = {longest_side} }}]
"""


def measure_overlap(*, photos: int = 64, width: int = 1280, height: int = 960, steps: int = 4, octaves: int = 3,
                    longest_side: int = 640, limit_seconds: float = 3600) -> Overlap:  # fmt: skip
    """Run the daemon over ``photos`` JPEG files."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "in").mkdir()
        (root / "out").mkdir()
        (root / "config.toml").write_text(configuration(steps, octaves, longest_side))
        paint(root / "in", photos, width, height)
        command = [sys.executable, "-m", "deepdream_daemon", "run", "--config", str(root / "config.toml")]
        environment = {key: value for key, value in os.environ.items() if key != "DEEPDREAM_CONFIG"}
        with subprocess.Popen(
            [*command, "--log-format", "plain"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as daemon:
            try:
                share = _busy_share(root / "state", photos, daemon, limit_seconds)
            finally:
                daemon.send_signal(signal.SIGINT)
                daemon.communicate(timeout=60)
        times = sorted(path.stat().st_mtime for path in (root / "out").iterdir())
    return Overlap(
        photos=photos,
        busy_share=share,
        photo_seconds=(times[-1] - times[0]) / (len(times) - 1),
        engine_seconds=_alone(width, height, steps=steps, octaves=octaves, longest_side=longest_side),
    )


def _busy_share(state: Path, photos: int, daemon: subprocess.Popen[bytes], limit_seconds: float) -> float:
    """Wait for all dreams; return what the daemon noted last."""
    until = time.monotonic() + limit_seconds
    finished_at: float | None = None
    while finished_at is None or time.monotonic() < finished_at + NOTED_SECONDS:
        time.sleep(0.5)
        if daemon.poll() is not None or time.monotonic() > until:
            raise SystemExit("the daemon did not finish the folder")
        if finished_at is None and (state / "journal.sqlite3").exists():
            counts = _counts(state)
            if counts["failed"]:
                raise SystemExit("the daemon failed on a photo")
            if counts["done"] == photos:
                finished_at = time.monotonic()
    journal = Journal.open(state, read_only=True)
    try:
        share = journal.busy_share()
    finally:
        journal.close()
    if share is None:
        raise SystemExit("the daemon noted no share")
    return share


def _counts(state: Path) -> dict[str, int]:
    journal = Journal.open(state, read_only=True)
    try:
        return journal.counts()
    finally:
        journal.close()


def _alone(width: int, height: int, *, steps: int, octaves: int, longest_side: int) -> float:
    """Return the seconds per photo of the engine with nothing beside it."""
    book = RecipeBook(load_catalogue())
    changes = {"steps": steps, "octaves": octaves}
    recipe = book.resolve("classic", [(changes, lambda *_: "bench")])
    scale = min(1.0, longest_side / max(width, height))
    pictures = [clouds(round(height * scale), round(width * scale), seed) for seed in range(5)]
    engine = Engine(device="auto")
    jobs = [recipe.job(picture, 1) for picture in pictures]
    stream(engine, jobs[:1])
    return seconds_of(lambda: stream(engine, jobs[1:]), engine.device.torch_device) / (len(jobs) - 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=64)
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 960), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--longest-side", type=int, default=640, help="what photos are shrunk to before the dream")
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    width, height = chosen.size
    found = measure_overlap(
        photos=chosen.photos, width=width, height=height, steps=chosen.steps, longest_side=chosen.longest_side
    )
    print(f"{found.photos} photos of {width} × {height}: the engine dreams {found.busy_share:.1%} of the time")
    print(f"{found.photo_seconds:.2f} s a photo; the engine alone {found.engine_seconds:.2f} s")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(asdict(found), indent=1))


if __name__ == "__main__":
    main()
