"""A film that is to be shown as a picture: the frame in its middle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadPicture

if TYPE_CHECKING:
    from PIL import Image

_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")
"""What films are called that are no animations: these are pictures by their first frame."""


def frame_of(path: Path) -> Image.Image | None:
    """Return the frame in the middle of a film, in RGB; ``None`` for what is called otherwise than films are. Raises
    :class:`BadPicture` if there is none to be had."""
    if path.suffix.lower() not in _SUFFIXES:
        return None
    try:
        import av
    except ImportError as error:
        raise BadPicture("this is a film, and PyAV is missing: pip install 'deepdream-daemon[video]'.") from error
    from PIL import Image

    try:
        with av.open(str(path)) as film:
            stream = film.streams.video[0]
            if film.duration is not None:
                film.seek(film.duration // 2)
            frame = next(film.decode(stream))
            return Image.fromarray(frame.to_ndarray(format="rgb24")).rotate(frame.rotation, expand=True)
    except (av.FFmpegError, LookupError, StopIteration) as error:
        raise BadPicture(f"{path.name!r} has no frame that could be shown: {error}.") from error
