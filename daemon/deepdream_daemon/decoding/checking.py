"""What a decoder tells of a picture, looked at as if a stranger had written it."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

from deepdream_daemon.decoding import wire


def checked_shape(shape: Any, max_megapixels: float) -> Sequence[int]:
    """Return the shape of the planes that a decoder asks for."""
    if not (isinstance(shape, list) and len(shape) == 3 and all(type(side) is int and side > 0 for side in shape)):
        raise wire.Broken("it asked for memory of no shape")
    if shape[0] not in (3, 4) or shape[1] * shape[2] > max_megapixels * 1e6:
        raise wire.Broken("it asked for more memory than any picture needs")
    return shape


def checked_facts(told: Any) -> dict[str, Any]:
    """Return what ``picture.FACTS`` names."""
    try:
        dpi = None if told["dpi"] is None else (float(told["dpi"][0]), float(told["dpi"][1]))
        if dpi is not None and not all(map(math.isfinite, dpi)):
            raise wire.Broken("no resolution is infinite")
        blocks = {
            name: None if told[name] is None else base64.b64decode(told[name], validate=True)
            for name in ("exif", "icc_profile", "xmp")
        }
        return {"format": str(told["format"])[:20], "dpi": dpi, **blocks}
    except (LookupError, TypeError, ValueError) as error:
        raise wire.Broken(f"no facts about a picture: {error}") from error
