"""The demo: a real daemon on new folders, a painted sky dropped in, its dream and a before/after picture out.

Nothing is special about it but the sky: configuration, watcher, journal, engine and publisher are those of
``deepdream run``.
"""

from __future__ import annotations

import io
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_daemon.configuration.assembly import assemble
from deepdream_daemon.configuration.config import write_template
from deepdream_daemon.explaining.advice import shell_path
from deepdream_daemon.running.background import Background
from deepdream_daemon.terminal.logs import set_up
from deepdream_daemon.terminal.progress import Bars
from deepdream_engine.errors import EngineFault

if TYPE_CHECKING:
    from deepdream_daemon.configuration.settings import FolderSettings

SKY_NAME = "cloudy-sky.jpg"
SKY_SIZE = (1024, 576)
SETTLE_SECONDS = 0.5
GIVE_UP_SECONDS = 600.0
_POLL_SECONDS = 0.1
_GAP_PX = 12


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo shows at its end; ``seconds`` go from the sky's arrival to its dream."""

    config: Path
    source: Path
    dream: Path
    before_after: Path
    seconds: float


def run_demo(directory: Path, bars: Bars) -> DemoResult:
    """Make a dream in ``directory``; raises :class:`DeepDreamError` with the reason if there is none."""
    from deepdream_daemon.pipeline.darkroom import Darkroom
    from deepdream_daemon.running.daemon import Daemon

    config = write_template(directory).path
    assert config is not None  # it has just been written
    assembly = assemble(config, to_run=True)
    # Nothing is worth waiting for at the end: either the dream is there, or somebody pressed Ctrl-C.
    settings = replace(assembly.settings, settle_seconds=SETTLE_SECONDS, shutdown_seconds=0.0)
    set_up("plain", settings.log_level, settings.state / "daemon.log", tracebacks=True)
    folder = settings.folders[0]
    renderer = Darkroom(settings.engine, settings.pictures.max_megapixels, assembly.catalogue.host)
    daemon = Daemon(settings, assembly.book, renderer, sinks=assembly.sinks, out_of_use=assembly.out_of_use)
    with Background(daemon) as background, bars:
        source = _drop_sky(folder)
        since = time.monotonic()
        dream = _await_dream(background, bars, source, config)
        seconds = time.monotonic() - since
    return DemoResult(
        config=config,
        source=source,
        dream=dream,
        before_after=_before_after(source, dream),
        seconds=seconds,
    )


def _drop_sky(folder: FolderSettings) -> Path:
    """Paint the sky and let it appear in the input in one step, as a careful program would."""
    import numpy as np
    from PIL import Image

    from deepdream_daemon.oneshot.sky import paint_sky

    pixels = np.rint(paint_sky(*SKY_SIZE) * 255).astype(np.uint8)
    temp, path = folder.input / f".{SKY_NAME}.part", folder.input / SKY_NAME
    Image.fromarray(pixels).save(temp, format="JPEG", quality=95, subsampling=0)
    os.rename(temp, path)  # noqa: PTH104  (says that nothing is replaced: the folder is new)
    return path


def _await_dream(background: Background, bars: Bars, source: Path, config: Path) -> Path:
    number = bars.add(source.name, "waiting until the file is whole")
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < deadline and background.runs(_POLL_SECONDS):
        snapshot = background.daemon.snapshot()
        for job in snapshot.active:
            bars.update(number, job.fraction, job.stage)
        for finished in snapshot.finished:
            bars.update(number, 1.0)
            bars.finish(number, "dreamt")
            return finished.output
        for trouble in snapshot.errors:
            bars.finish(number, "failed")
            raise EngineFault(f"the painted sky was not dreamt: {trouble.error} {trouble.advice}")
    degraded = background.daemon.snapshot().degraded
    why = f" ({degraded})" if degraded else ""
    ask = f"deepdream explain --config {shell_path(config)} {shell_path(source)}"
    raise EngineFault(f"no dream after {GIVE_UP_SECONDS:.0f} s{why}. Ask: {ask}")


def _before_after(source: Path, dream: Path) -> Path:
    """Publish the two pictures side by side, beside the dream."""
    from PIL import Image

    from deepdream_daemon.publishing.publish import publish_unique

    with Image.open(source) as before, Image.open(dream) as after:
        pair = Image.new("RGB", (before.width + _GAP_PX + after.width, after.height), "white")
        pair.paste(before, (0, 0))
        pair.paste(after, (before.width + _GAP_PX, 0))
    buffer = io.BytesIO()
    pair.save(buffer, format="JPEG", quality=92)
    return publish_unique(dream.parent, "before-after.jpg", buffer.getvalue())
