"""A picture whose pixels lie in shared memory: what a decoder hands over, and what goes on to the worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deepdream_daemon.decoding.shared import SharedArray
from deepdream_engine.pictures.picture import Picture

FACTS = ("format", "exif", "icc_profile", "xmp", "dpi")
"""All of a picture but its pixels and its transparency."""


@dataclass(frozen=True, kw_only=True)
class SharedPicture(Picture):
    """A picture over a :class:`SharedArray` of shape ``(3, H, W)``, or ``(4, H, W)`` with its transparency."""

    shared: SharedArray


def picture_over(shared: SharedArray, facts: Mapping[str, Any]) -> SharedPicture:
    """Return the picture whose planes are in ``shared`` and whose other fields are ``facts`` (see :data:`FACTS`)."""
    planes = shared.array
    return SharedPicture(
        pixels=planes[:3].transpose(1, 2, 0), alpha=planes[3] if len(planes) == 4 else None, shared=shared, **facts
    )


def facts_of(picture: Picture) -> dict[str, Any]:
    """Return all of ``picture`` but its pixels and its transparency."""
    return {name: getattr(picture, name) for name in FACTS}
