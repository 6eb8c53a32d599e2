"""Where a film goes, and that its name says what it is."""

from __future__ import annotations

from pathlib import Path

from deepdream_daemon.films.encoders import SUFFIXES
from deepdream_daemon.films.frames import FilmFacts
from deepdream_daemon.films.options import FilmOptions, container_for
from deepdream_daemon.publishing.names import output_name
from deepdream_engine.errors import BadOption

_SPELLINGS = {"mp4": (".m4v",), "mov": (".qt",), "apng": (".apng",)}
FILM_SUFFIXES = frozenset(SUFFIXES.values()).union(*_SPELLINGS.values())


def film_target(
    photo: Path, recipe: str, options: FilmOptions, output: Path | None, facts: FilmFacts | None = None
) -> Path:
    """Return where the film of ``photo`` goes: ``output``, a name in it if that is a folder, or beside the photo.

    ``facts`` are those of the clip that it is made of, if it is of one. Raises :class:`BadOption` for a
    name that ends otherwise than films of its container do.
    """
    name = None if output is None or output.is_dir() else output
    container = container_for(options, facts or FilmFacts(width=2, height=2), name)
    if name is None:
        return (output or photo.parent) / output_name(photo.name, recipe, SUFFIXES[container])
    endings = (SUFFIXES[container], *_SPELLINGS.get(container, ()))
    if name.suffix.lower() not in endings:
        known = ", ".join(dict.fromkeys(SUFFIXES.values()))
        raise BadOption(
            f"{str(name)!r}: the film is {container}, and such files end with {' or '.join(endings)}. Name it so, "
            f"or leave out film.container: then the ending decides ({known})."
        )
    return name
