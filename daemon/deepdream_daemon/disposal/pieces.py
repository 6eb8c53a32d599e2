"""A picture and what lies beside it: its side file, and companions that no other picture needs, go where it goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.disposal.looking import identity_in
from deepdream_daemon.intake import companions
from deepdream_daemon.intake.sources import SIDE_SUFFIX


@dataclass(frozen=True)
class Piece:
    """A file beside a picture, as it was when that was dreamt: ``ending`` is what its name has after the picture's
    stem (for the side file, after its whole name)."""

    path: Path
    ending: str
    identity: str

    @property
    def is_side_file(self) -> bool:
        """Whether it is the side file, which belongs to one picture alone."""
        return self.ending == SIDE_SUFFIX

    def beside(self, name: str) -> str:
        """Return its name beside a picture that is called ``name``."""
        return (name if self.is_side_file else os.path.splitext(name)[0]) + self.ending  # noqa: PTH122

    def is_needed(self) -> bool:
        """Tell whether a picture is still there that it belongs to."""
        return not self.is_side_file and bool(companions.photos_of(self.path))


def identity_of_picture(fingerprint: str) -> str:
    """Return the identity of the picture in its fingerprint."""
    return identity_in(fingerprint.partition(";")[0].partition("+")[0])


def pieces_beside(picture: Path, fingerprint: str, held: Callable[[str], object] = lambda _: False) -> list[Piece]:
    """Return what lay beside ``picture`` when it looked as ``fingerprint`` says; ``held`` tells whether a file of that
    name has been put aside since."""
    head, *others = fingerprint.split(";")
    side = head.partition("+")[2]
    found = [Piece(picture.with_name(picture.name + SIDE_SUFFIX), SIDE_SUFFIX, identity_in(side))] if side else []
    for each in others:
        ending, _, stamp = each.partition("=")
        name = companions.spelt(picture, ending, lambda name: held(name) or os.path.lexists(picture.with_name(name)))
        found.append(Piece(picture.with_name(name), name[len(os.path.splitext(picture.name)[0]) :], identity_in(stamp)))  # noqa: PTH122
    return found
