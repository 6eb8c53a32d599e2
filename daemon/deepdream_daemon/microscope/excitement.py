"""How strongly photos excite each channel of an atlas, as a share of what the channel's own picture does."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.microscope.atlas import Atlas, Layer
from deepdream_daemon.microscope.photos import square
from deepdream_engine.errors import BadPicture
from deepdream_engine.pictures import decode

if TYPE_CHECKING:
    from torch import Tensor

PHOTO_PX = 256
_THUMB_PX = 160
_TOGETHER = 32
_LEAST_OWN = 0.1
"""A channel that is hardly excited by its own picture is measured by that share of the layer's median."""


def excitement(atlas: Atlas, photos: Sequence[Path], max_megapixels: float) -> list[dict[str, Any]]:
    """Return, for each of ``photos``, a small picture of it and, by layer and channel, how much it excites what has
    been drawn: 1 is as much as the channel's own picture, by the mean over the whole picture."""
    from deepdream_engine.microscope.eyes import Eyes

    told: list[dict[str, Any]] = []
    seen: list[Tensor] = []
    for photo in photos:
        try:
            pixels = decode(photo.read_bytes(), max_megapixels=max_megapixels).pixels
        except BadPicture as error:
            raise BadPicture(f"--photo {str(photo)!r}: {error}") from error
        seen.append(square(pixels, max(PHOTO_PX, atlas.studio.spec.min_side_px)))
        told.append({"name": photo.name, "thumb": data_url(square(pixels, _THUMB_PX)), "excites": {}})
    if not told:
        return told
    import torch

    together = torch.stack(seen)
    for layer in atlas.layers:
        drawn = atlas.drawn(layer)
        if not drawn:
            continue
        eyes = Eyes(atlas.studio.engine, atlas.studio.network, (layer.name,))
        own = _own(atlas, layer, drawn, eyes)  # (drawn,)
        means = eyes.means(together)[layer.name][:, drawn]  # (photos, drawn)
        floor = max(_LEAST_OWN * float(own.abs().median()), 1e-9)
        shares = means / own.abs().clamp_min(floor)
        for entry, row in zip(told, shares.tolist(), strict=True):
            entry["excites"][layer.name] = [round(value, 4) for value in row]
    return told


def _own(atlas: Atlas, layer: Layer, drawn: Sequence[int], eyes: Any) -> Tensor:
    """Return the mean activation of each of the ``drawn`` channels on its own picture."""
    import torch

    means: list[Tensor] = []
    for start in range(0, len(drawn), _TOGETHER):
        part = drawn[start : start + _TOGETHER]
        pictures = [decode((atlas.folder.path / layer.picture(number)).read_bytes()).pixels for number in part]
        stacked = torch.stack([torch.from_numpy(pixels).permute(2, 0, 1) for pixels in pictures])
        seen = eyes.means(stacked)[layer.name]  # (part, C)
        means.append(seen[torch.arange(len(part)), torch.tensor(part)])
    return torch.cat(means)


def data_url(picture: Tensor, quality: int = 85) -> str:
    """Return ``(3, H, W)`` as a JPEG in a ``data:`` URL."""
    from PIL import Image

    from deepdream_engine.pictures.encode import to_8bit

    buffer = io.BytesIO()
    Image.fromarray(to_8bit(picture.permute(1, 2, 0).numpy())).save(buffer, format="JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
