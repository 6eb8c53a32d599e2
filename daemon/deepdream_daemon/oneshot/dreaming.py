"""Dreaming what is named once: the real renderer, bars on the terminal, and what is done when it is stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.oneshot.assembly_line import AssemblyLine
from deepdream_daemon.oneshot.pieces import Finished, Piece
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.room import default_room
from deepdream_daemon.terminal.progress import bars

if TYPE_CHECKING:
    from deepdream_plugins.hosting.host import PluginHost


def dream_all(pieces: Sequence[Piece], settings: Settings, host: PluginHost) -> Iterator[Finished]:
    """Yield what became of each piece, in their order; the plugins of ``host`` may run the batches.

    Each dream is published as soon as it is there, so that being stopped costs only those that are not; what was
    published until then is yielded before the exception that stops it goes on.
    """
    from deepdream_daemon.pipeline.darkroom import Darkroom

    renderer: Renderer = Darkroom(settings.engine, settings.pictures.max_megapixels, host)
    if not renderer.devices:  # also imports torch, which must not first be imported by two threads at once
        raise AssertionError("there is always a device")
    with bars() as shown:
        max_batch = settings.engine.max_batch
        line = AssemblyLine(pieces, renderer, max_batch=max_batch, shown=shown, room=default_room())
        try:
            for finished in line.run():
                with shown.aside():
                    yield finished
        except GeneratorExit:
            line.stop()
            raise
        except BaseException:
            line.stop()
            with shown.aside():
                yield from line.told()
            raise
