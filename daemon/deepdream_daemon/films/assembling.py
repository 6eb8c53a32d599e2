"""The chunks of a film, all of which are made, become one file with the sound of its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_daemon.films import animations
from deepdream_daemon.films.audio import Sound
from deepdream_daemon.films.chunks import Chunk
from deepdream_daemon.films.encoders import ANIMATIONS
from deepdream_daemon.films.encoding import Encoding
from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.frames import FilmFacts
from deepdream_daemon.films.joining import join
from deepdream_daemon.films.options import FilmOptions

if TYPE_CHECKING:
    from deepdream_daemon.films.clipping import ClipFile


def assemble(
    chunks: Sequence[Chunk],
    target: Path,
    *,
    container: str,
    facts: FilmFacts,
    options: FilmOptions,
    encoding: Encoding,
    audio_from: Path | ClipFile | None,
    rotated: int,
    provenance: Mapping[str, object] | None,
) -> list[str]:
    """Write the film to ``target``; return what differs from what was asked for. It is never for want of its sound that
    there is no film."""
    if container in ANIMATIONS:
        animations.write(chunks, target, container, facts, quality=options.quality, provenance=provenance)
        has_lost = audio_from is not None and facts.audio
        return [f"an animated {container} has no sound: it is left out"] if has_lost else []

    def joined(sound: Sound | None) -> None:
        join(
            chunks,
            target,
            container=container,
            time_base=encoding.time_base,
            fast_start=options.fast_start,
            rotated=rotated,
            tag=encoding.encoder.tag,
            has_alpha=encoding.has_alpha and encoding.encoder.codec == "vp9",
            sound=sound,
            provenance=provenance,
        )

    if audio_from is None or not facts.audio:
        joined(None)
        return []
    try:
        with Sound(audio_from) as sound:
            joined(sound)
    except (pyav().FFmpegError, ValueError) as error:
        joined(None)
        return [f"the sound is left out, since {container} does not take it: {error}"]
    return sound.notes
