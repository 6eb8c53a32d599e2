"""The stream of a container that is shown, and what decodes it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.limits import ClipLimits
from deepdream_engine.errors import BadPicture

DEMUXERS = {"mp4": "mov", "mov": "mov", "mkv": "matroska", "webm": "matroska", "avi": "avi"}
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_BLOCKS_PIXELS = 1 << 16


def film_of(source: Any) -> Any | None:
    """Return the stream of ``source`` that is shown: the first that is no cover."""
    cover = pyav().stream.Disposition.attached_pic
    return next((stream for stream in source.streams.video if not stream.disposition & cover), None)


def shown(source: Any, name: str, limits: ClipLimits) -> Any:
    """Return it, having looked at what ``source``, a ``name``, declares; raises :class:`BadPicture`."""
    stream = film_of(source)
    if stream is None:
        raise BadPicture(f"this {name} has no film in it, only sound or nothing at all. Copy or export it again.")
    if stream.codec_context is None:
        raise BadPicture(f"this {name} is of an unknown codec: nothing here can decode it. Export it as H.264.")
    limits.check_size(stream.codec_context.width, stream.codec_context.height)
    limits.check_frames(stream.frames)
    if source.duration is not None:
        limits.check_seconds(Fraction(source.duration, pyav().time_base))
    return stream


def decoder_of(stream: Any, limits: ClipLimits, threads: int) -> Any:
    """Return the stream's own decoder, or the one that knows of transparency."""
    context = stream.codec_context
    told = {name.lower(): value for name, value in stream.metadata.items()}
    if context.name in _WITH_ALPHA and told.get("alpha_mode") == "1":
        own, context = context, pyav().CodecContext.create(_WITH_ALPHA[context.name], "r")
        context.extradata = own.extradata
    context.thread_count = threads
    # Of what comes, whatever the header says; decoders count whole blocks of up to 64 pixels.
    context.options = {"max_pixels": str(limits.max_pixels * 5 // 4 + _BLOCKS_PIXELS)}
    return context
