"""How a film is written: the options of a recipe, and whether this machine can write such a film at all."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import PurePath

from deepdream_daemon.films.encoders import ANIMATIONS, CODECS, CONTAINERS, ENCODERS, Encoder
from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.frames import FilmFacts
from deepdream_engine.errors import BadOption, unknown

SAME, AUTO = "same", "auto"
_CONTAINER_OF_SUFFIX = {
    **{f".{name}": name for name in (*CONTAINERS, *ANIMATIONS)},
    **{".m4v": "mp4", ".qt": "mov", ".png": "apng"},
}
# What is read but not written comes out as the container that most players know.
_FITTING = {"avi": "mp4", "mpegts": "mp4", "flv": "mp4"}


@dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """``container``: ``same`` as the clip's (a journey's, and what is only read: mp4), or one of ``CONTAINERS`` and
    ``ANIMATIONS``. ``codec``: ``auto``, or one of ``CODECS``. ``quality``: 1 to 100. ``pixel_format``: ``auto``, or as
    FFmpeg calls it. ``fast_start``: an MP4 or MOV begins to play before it is loaded whole. ``rate``: frames a second
    of a journey.
    """

    container: str = SAME
    codec: str = AUTO
    quality: int = 80
    pixel_format: str = AUTO
    fast_start: bool = True
    rate: Fraction = Fraction(25)

    def __post_init__(self) -> None:
        """Refuse what contradicts itself; :func:`check` asks for the encoders."""
        containers = (SAME, *CONTAINERS, *ANIMATIONS)
        if self.container not in containers:
            raise BadOption(unknown("film container", self.container, containers))
        if self.codec not in (AUTO, *CODECS):
            raise BadOption(unknown("film codec", self.codec, (AUTO, *CODECS)))
        if isinstance(self.quality, bool) or not isinstance(self.quality, int) or not 1 <= self.quality <= 100:
            raise BadOption(f"film quality {self.quality!r} is not a whole number from 1 to 100.")
        if not 0 < self.rate <= 240:
            raise BadOption(f"film rate {self.rate} is not between 0 and 240 frames a second.")
        if self.container in ANIMATIONS and (self.codec, self.pixel_format) != (AUTO, AUTO):
            raise BadOption(f"an animated {self.container} has no choice of codec or pixel_format: leave both out.")
        if self.container in CONTAINERS:
            _fit(self.codec, self.container)


def container_for(options: FilmOptions, facts: FilmFacts, target: PurePath | None = None) -> str:
    """Return the container to write: the one asked for, else what ``target`` is called, else the clip's own."""
    if options.container != SAME:
        return options.container
    if target is not None and (named := _CONTAINER_OF_SUFFIX.get(target.suffix.lower())) is not None:
        return named
    own = facts.container or "mp4"
    return own if own in CONTAINERS or own in ANIMATIONS else _FITTING.get(own, "mkv" if facts.has_alpha else "mp4")


def encoder_for(options: FilmOptions, container: str, *, has_alpha: bool = False, is_hdr: bool = False) -> Encoder:
    """Return the encoder for a film in ``container``, which may hold ``options.codec``."""
    codec = options.codec
    if codec == AUTO:
        fitting = CONTAINERS[container]
        with_alpha = [name for name in fitting if ENCODERS[name].alpha_format] if has_alpha else []
        deep = [name for name in fitting if ENCODERS[name].plays_deep and _is_built(name)] if is_hdr else []
        codec = (with_alpha or deep or fitting)[0]
    _fit(codec, container)
    return ENCODERS[codec]


def check(options: FilmOptions) -> None:
    """Raise :class:`BadOption` if this machine cannot write such films: PyAV is missing, or was built without it."""
    if options.container in ANIMATIONS:
        _check_built(ANIMATIONS[options.container], f"animated {options.container}")
        return
    encoder = encoder_for(options, "mp4" if options.container == SAME and options.codec == AUTO else _some(options))
    _check_built(encoder.library, encoder.codec)
    if options.pixel_format != AUTO and options.pixel_format not in encoder.formats:
        raise BadOption(unknown(f"pixel format of {encoder.codec}", options.pixel_format, encoder.formats))


def _some(options: FilmOptions) -> str:
    """Return the container asked for, or any that holds the codec."""
    if options.container != SAME:
        return options.container
    return next(name for name, codecs in CONTAINERS.items() if options.codec in codecs)


def _fit(codec: str, container: str) -> None:
    if codec != AUTO and codec not in CONTAINERS[container]:
        able = [name for name, codecs in CONTAINERS.items() if codec in codecs]
        raise BadOption(
            f"{container} cannot hold {codec}. It holds: {', '.join(CONTAINERS[container])}. "
            f"Containers for {codec}: {', '.join(able)}."
        )


def _is_built(codec: str) -> bool:
    return ENCODERS[codec].library in pyav().codecs_available


def _check_built(library: str, what: str) -> None:
    av = pyav()
    try:
        av.codec.Codec(library, "w")
    except av.codec.codec.UnknownCodecError as error:
        able = [codec for codec, encoder in ENCODERS.items() if encoder.library in av.codecs_available]
        raise BadOption(
            f"this build of PyAV cannot write {what}: it has no encoder {library}. "
            f"It can write: {', '.join(able) or 'none'}."
        ) from error
