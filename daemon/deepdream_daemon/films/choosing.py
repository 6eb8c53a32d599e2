"""How a film is encoded, by what is asked for and what it is; and what chunks must share to become one film."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from deepdream_daemon.films.chunks import CHUNK_FRAMES
from deepdream_daemon.films.encoders import ANIMATIONS, ENCODERS, Encoder, is_deep
from deepdream_daemon.films.encoding import Encoding
from deepdream_daemon.films.extra import pyav
from deepdream_daemon.films.frames import FilmFacts
from deepdream_daemon.films.light import keeps_light
from deepdream_daemon.films.options import AUTO, FilmOptions, encoder_for
from deepdream_engine.errors import BadOption

_TELLS_ASPECT = ("h264", "hevc")
"""Codecs that say themselves how wide a pixel is; Matroska's header is not told."""


def choose_encoding(
    facts: FilmFacts, options: FilmOptions, container: str, notes: list[str], *, is_sideways: bool = False
) -> Encoding:
    """Return how the chunks of a film in ``container`` are encoded; what it cannot keep is added to ``notes``. If it
    ``is_sideways``, players turn what is stored."""
    if container in ANIMATIONS:
        encoder = ENCODERS["ffv1"]  # without loss: colours are chosen when all are known
        pixel_format = "bgra" if facts.has_alpha else "bgr0"
        if facts.pixel_aspect != 1:
            notes.append(f"an animated {container} has square pixels only: it is shown narrower or wider than the clip")
    else:
        encoder = encoder_for(options, container, has_alpha=facts.has_alpha, is_hdr=facts.is_hdr)
        width = facts.height if is_sideways else facts.width
        if width < encoder.least_width:
            raise BadOption(
                f"{encoder.codec} cannot write frames of less than {encoder.least_width} pixels across, and this film "
                f"has {width}. Choose another: film.codec = 'h264'."
            )
        pixel_format = _pixel_format(facts, options.pixel_format, encoder, notes)
        if facts.pixel_aspect != 1 and container in ("mkv", "webm") and encoder.codec not in _TELLS_ASPECT:
            notes.append(
                f"{encoder.codec} in {container} is written with square pixels: it is shown narrower or wider than the "
                "clip. film.container = 'mp4' keeps its shape"
            )
    if facts.light.is_told and not keeps_light(encoder.codec):
        notes.append("how bright the clip becomes, and on which display it was made, is left out: hevc and av1 tell it")
    if facts.light.is_dynamic:
        notes.append("what HDR10+ or Dolby Vision tells of each frame is left out: the film is plain HDR")
    return Encoding(
        encoder=encoder,
        pixel_format=pixel_format,
        quality=options.quality,
        time_base=facts.time_base,
        rate=facts.rate,
        pixel_aspect=1 / facts.pixel_aspect if is_sideways else facts.pixel_aspect,
        primaries=facts.primaries,
        transfer=facts.transfer,
        light=facts.light,
    )


def identity_of(text: str, facts: FilmFacts, encoding: Encoding) -> str:
    """Return what a film must share with the chunks that it goes on with; ``text`` tells what its frames are."""
    av = pyav()
    decides = {
        "text": text,
        "facts": {name: str(value) for name, value in asdict(facts).items()},
        "encoding": [encoding.encoder.library, encoding.pixel_format, str(encoding.time_base)],
        "settings": encoding.settings,
        "versions": [av.__version__, {name: list(version) for name, version in av.library_versions.items()}],
        "chunk_frames": CHUNK_FRAMES,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _pixel_format(facts: FilmFacts, wanted: str, encoder: Encoder, notes: list[str]) -> str:
    is_odd = bool(facts.width % 2 or facts.height % 2) and not encoder.takes_odd_sizes
    if wanted != AUTO:
        if is_odd and "444" not in wanted:
            raise BadOption(
                f"{encoder.codec} with pixel_format {wanted!r} needs even sides, and this film has "
                f"{facts.width} x {facts.height} pixels: set pixel_format = {encoder.wide_format!r}, or choose vp9."
            )
        return wanted
    if facts.has_alpha and encoder.alpha_format is not None:
        return encoder.alpha_format
    if facts.has_alpha:
        notes.append(f"{encoder.codec} has no transparency: it is left out")
    if facts.is_hdr and encoder.deep_format is not None:
        return encoder.deep_format.replace("420", "444") if is_odd else encoder.deep_format
    if facts.bits > 8 and not is_deep(encoder.formats[0]):
        advice = "film.codec = 'hevc' and film.pixel_format = 'yuv420p10le' keep more"
        notes.append(f"the clip has {facts.bits} bits a channel, and {encoder.codec} as it is written here 8: {advice}")
    if is_odd:
        notes.append(
            f"{encoder.codec} needs even sides for {encoder.formats[0]}, and the film has {facts.width} x "
            f"{facts.height} pixels: it is {encoder.wide_format}, which some players do not show"
        )
        return encoder.wide_format
    return encoder.formats[0]
