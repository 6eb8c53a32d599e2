"""A photo as a film can show it: opaque, and in the colours of the web, since players look at no profile."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from deepdream_engine.pictures import Picture

if TYPE_CHECKING:
    from torch import Tensor


def as_filmed(picture: Picture) -> Tensor:
    """Return the pixels ``(3, H, W)`` in sRGB, what is transparent laid on white: a camera that moves through a picture
    would show what lies behind. A profile that cannot be used is left aside."""
    import torch

    pixels = picture.pixels if picture.icc_profile is None else _in_srgb(picture.pixels, picture.icc_profile)
    planes = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()  # (3, H, W)
    if picture.alpha is not None:
        planes = torch.ones_like(planes).lerp_(planes, torch.from_numpy(picture.alpha))
    return planes


def _in_srgb(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.float32]], profile: bytes
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    from PIL import Image, ImageCms

    image = Image.fromarray(np.rint(pixels * np.float32(255)).astype(np.uint8))
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        shown = ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError):
        return pixels
    return pixels if shown is None else np.asarray(shown, np.float32) / np.float32(255)
