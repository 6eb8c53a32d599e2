"""How strongly photos excite each channel of an atlas, as a share of what the channel's own picture does.

What was measured is kept in the atlas's record: a photo stays on the page when the atlas is gone on with, and a
channel's own picture is looked at once.
"""

from __future__ import annotations

import base64
import hashlib
import io
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.microscope.atlas import Atlas
from deepdream_daemon.microscope.channels import Layer
from deepdream_daemon.microscope.photos import square
from deepdream_engine.errors import BadOption, BadPicture
from deepdream_engine.pictures import decode

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.microscope.eyes import Eyes

_THUMB_PX = 160
_TOGETHER = 32
_LEAST_OWN = 0.1
"""A channel that is hardly excited by its own picture is measured by that share of the layer's median."""
_PHOTOS, _OWN = "photos", "own_means"


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo that channels are ordered by: ``pixels`` is the middle of it, ``(3, side, side)``, ``thumb`` a ``data:``
    URL."""

    name: str
    sha256: str
    pixels: Tensor
    thumb: str


def read_photos(paths: Sequence[Path], side_px: int, max_megapixels: float) -> list[Photo]:
    """Return the photos, as large as the pictures they are compared with.

    Raises ``BadOption`` for one that cannot be read, ``BadPicture`` for one that is none.
    """
    read: dict[str, Photo] = {}
    for path in paths:
        try:
            data = path.read_bytes()
            pixels = decode(data, max_megapixels=max_megapixels).pixels
        except OSError as error:
            raise BadOption(f"--photo {str(path)!r}: {error.strerror or error}. Name a picture.") from error
        except BadPicture as error:
            raise BadPicture(f"--photo {str(path)!r}: {error}") from error
        digest = hashlib.sha256(data).hexdigest()
        thumb = data_url(square(pixels, _THUMB_PX))
        read[digest] = Photo(name=path.name, sha256=digest, pixels=square(pixels, side_px), thumb=thumb)
    return list(read.values())


def measure(atlas: Atlas, photos: Sequence[Photo], on_progress: Callable[[float], None]) -> None:
    """Measure what ``photos`` excite in every layer of the network, and each channel's own picture that has not been
    measured yet; ``on_progress`` is told which share is done.

    The photos come before those of earlier runs. Without any, nothing is measured.
    """
    from deepdream_engine.microscope.eyes import Eyes

    data = atlas.folder.data
    earlier: list[dict[str, Any]] = data.get(_PHOTOS, [])
    own: dict[str, dict[str, float]] = data.setdefault(_OWN, {})
    if not photos and not earlier:
        return
    unseen = {
        layer.name: [number for number in atlas.drawn(layer) if str(number) not in own.get(layer.name, {})]
        for layer in atlas.layers
    }
    told: list[dict[str, Any]] = [
        {"name": photo.name, "sha256": photo.sha256, "thumb": photo.thumb, "means": {}} for photo in photos
    ]
    done, total = 0, sum(map(len, unseen.values())) + len(photos) * len(unseen)
    for layer in atlas.layers:
        numbers = unseen[layer.name]
        if not photos and not numbers:
            continue
        eyes = Eyes(atlas.studio.engine, atlas.studio.network, (layer.name,))
        for entry, photo in zip(told, photos, strict=True):
            means = eyes.means(photo.pixels[None])[layer.name][0]
            entry["means"][layer.name] = [_rounded(value) for value in means.tolist()]
            done += 1
            on_progress(done / total)
        for start in range(0, len(numbers), _TOGETHER):
            part = numbers[start : start + _TOGETHER]
            own.setdefault(layer.name, {}).update(_own(atlas, layer, part, eyes))
            done += len(part)
            on_progress(done / total)
        if numbers:
            atlas.folder.save()
    fresh = {photo.sha256 for photo in photos}
    data[_PHOTOS] = [*told, *(entry for entry in earlier if entry["sha256"] not in fresh)]
    atlas.folder.save()


def _own(atlas: Atlas, layer: Layer, numbers: Sequence[int], eyes: Eyes) -> dict[str, float]:
    """Return the mean activation of each of some channels on its own picture."""
    import torch

    pictures = [decode((atlas.folder.path / layer.picture(number)).read_bytes()).pixels for number in numbers]
    stacked = torch.stack([torch.from_numpy(pixels).permute(2, 0, 1) for pixels in pictures])
    means = eyes.means(stacked)[layer.name]  # (numbers, C)
    return {str(number): _rounded(float(row[number])) for number, row in zip(numbers, means, strict=True)}


def excitement(atlas: Atlas) -> list[dict[str, Any]]:
    """Return, for each photo that has been measured, a small picture of it and, by layer, how much it excites each
    channel that is drawn: 1 is as much as the channel's own picture, by the mean over the whole picture; ``None`` is
    one whose picture has not been looked at."""
    found = []
    own: dict[str, dict[str, float]] = atlas.folder.data.get(_OWN, {})
    for photo in atlas.folder.data.get(_PHOTOS, []):
        excites: dict[str, list[float | None]] = {}
        for layer in atlas.layers:
            known, drawn = own.get(layer.name, {}), atlas.drawn(layer)
            if not known or not drawn:
                continue
            least = max(_LEAST_OWN * statistics.median(abs(mean) for mean in known.values()), 1e-9)
            means = photo["means"][layer.name]
            excites[layer.name] = [
                None if (mean := known.get(str(number))) is None else round(means[number] / max(abs(mean), least), 4)
                for number in drawn
            ]
        found.append({"name": photo["name"], "thumb": photo["thumb"], "excites": excites})
    return found


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def data_url(picture: Tensor, quality: int = 85) -> str:
    """Return ``(3, H, W)`` as a JPEG in a ``data:`` URL."""
    from PIL import Image

    from deepdream_engine.pictures.encode import to_8bit

    buffer = io.BytesIO()
    Image.fromarray(to_8bit(picture.permute(1, 2, 0).numpy())).save(buffer, format="JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
