"""Clips that are read: which reader a file gets, by its first bytes alone and never by its name."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from deepdream_daemon.films.frames import FilmFacts, Frame
from deepdream_daemon.films.limits import ClipLimits
from deepdream_daemon.intake.moving import HEAD_BYTES, container_of
from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures import sniff


class ClipSource(Protocol):
    """A clip that is open; a context manager, which yields its frames in order."""

    @property
    def facts(self) -> FilmFacts:
        """What is known of it. The number of its frames was counted."""

    def __enter__(self) -> ClipSource: ...

    def __exit__(self, *of_error: object) -> None: ...

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames from where it is: upright, at times that begin with 0."""

    def seek_frame(self, number: int) -> None:
        """Go on with the frame ``number``, counted from 0."""


def open_clip(source: Path | bytes | BinaryIO, limits: ClipLimits | None = None, *, threads: int = 0) -> ClipSource:
    """Open a clip; raises :class:`BadPicture` with the reason if it is none, is damaged or goes beyond ``limits``.

    No file but ``source`` is opened, whatever is in it; one that is open already is closed with the clip. ``threads``
    decode it, 0 for as many as there are cores.
    """
    limits = limits or ClipLimits()
    file: BinaryIO
    if isinstance(source, bytes):
        file = io.BytesIO(source)
    else:
        file = source.open("rb") if isinstance(source, Path) else source
    try:
        container = _container(file)
        if container in ("gif", "webp", "apng"):
            from deepdream_daemon.films.animation_reading import AnimationSource

            return AnimationSource(file, container, limits)
        from deepdream_daemon.films.video_reading import VideoSource

        return VideoSource(file, container, limits, threads)
    except BaseException:
        file.close()
        raise


def _container(file: BinaryIO) -> str:
    head = file.read(HEAD_BYTES)
    file.seek(0)
    container = container_of(head)
    if container is None:
        what = sniff.describe(head) if head else "the file is empty (0 bytes)"
        raise BadPicture(f"not a clip: {what}. Valid: MP4, MOV, MKV, WebM, AVI, GIF, WebP, APNG, whatever its name.")
    return container
