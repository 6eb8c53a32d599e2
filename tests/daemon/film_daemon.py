"""A daemon that makes films: the real darkroom with the embedded model, one step a frame, and chunks of four frames.

Run as a module, it is a process of its own, on the folder of its first argument, until SIGTERM.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from deepdream_daemon.configuration.settings import EngineSettings, FolderSettings, Settings
from deepdream_daemon.films import shot, writing
from deepdream_daemon.pipeline import standing_back
from deepdream_daemon.pipeline.darkroom import Darkroom
from deepdream_daemon.running.background import Background, GivenUp
from deepdream_daemon.running.daemon import Daemon
from deepdream_plugins.catalogue import load_catalogue
from deepdream_plugins.recipes import RecipeBook
from tests.corpus import scene
from tests.daemon.stub import Running, make_settings

CHUNK = 4
QUICK = 'octaves = 1\nsteps = 1\nprefilters = []\npostfilters = []\n[objective]\nlayer = "conv2"\n'


def journey(frames: int, more: str = "") -> str:
    """What a side file says for a journey of so many frames."""
    return f"{QUICK}[journey]\nframes = {frames}\nzoom = 1.03\n{more}"


def take(source: Path, folder: Path, side: str = QUICK) -> Path:
    """Drop a file that is whole with its side file, in one step each."""
    target = folder / source.name
    target.with_name(f"{target.name}.toml").write_text(side)
    return source.rename(target)


def photo(root: Path, name: str = "photo.png", seed: int = 1) -> Path:
    """Paint a small photo beside the watched folder."""
    path = root / name
    Image.fromarray(scene(seed, 64, 48)).save(path)
    return path


def small_chunks(put: Callable[[object, str, object], None] = setattr) -> None:
    """End a chunk after few frames, so that films of some frames have several; ``put`` sets an attribute."""
    for module in (shot, writing):
        put(module, "CHUNK_FRAMES", CHUNK)


def film_settings(root: Path, **changes: Any) -> Settings:
    """Return settings for one watched folder and a small engine."""
    engine = EngineSettings(device="cpu", num_threads=1, max_batch=changes.pop("max_batch", 8))
    if changes.pop("preview", False):
        changes["folders"] = (FolderSettings(input=root / "in", output=root / "out", preview=True),)
    return make_settings(root, engine=engine, **changes)


def running(root: Path, **changes: Any) -> Running:
    """Return a daemon in a thread of this process."""
    settings = film_settings(root, **changes)
    catalogue = load_catalogue()
    renderer = Darkroom(settings.engine, settings.pictures.max_megapixels, catalogue.host)
    return Running(settings, renderer, RecipeBook(catalogue))


def command(root: Path, **changes: Any) -> list[str]:
    """Return the command that runs this module."""
    return [sys.executable, "-m", "tests.daemon.film_daemon", str(root), json.dumps(changes)]


def main() -> None:
    """Run it."""
    root, changes = Path(sys.argv[1]), json.loads(sys.argv[2])
    small_chunks()
    standing_back.SLICE_SECONDS = changes.pop("slice_seconds", 60.0)
    settings = film_settings(root, **changes)
    catalogue = load_catalogue()
    renderer = Darkroom(settings.engine, settings.pictures.max_megapixels, catalogue.host)
    try:
        background = Background(Daemon(settings, RecipeBook(catalogue), renderer))
        signal.signal(signal.SIGTERM, lambda *_: background.stop.set())
        with background:
            while background.runs(0.1) and not background.stop.is_set():
                pass
    except GivenUp:
        os._exit(0)


if __name__ == "__main__":
    main()
