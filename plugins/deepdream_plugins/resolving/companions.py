"""Pictures beside the picture: guides and masks, named by the recipe or lying beside the photo (``photo.mask.png``).

A :class:`Companions` gives the engine what a recipe asks for; whoever knows the folder finds the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption
from deepdream_plugins.resolving import named_files
from deepdream_plugins.resolving.keys import MASK, NO_MASK
from deepdream_plugins.resolving.parts import guide_options, prefixed
from deepdream_plugins.resolving.terms import Term

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.pictures import Picture

OWN = ":mask"
"""The key of the recipe's own mask; a term's is "mask" or "LABEL.mask"."""
_LUMA = (0.299, 0.587, 0.114)  # of JPEG's YCbCr (ITU-R BT.601)
_LEVEL = 1 / 255
_ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True, kw_only=True)
class Companions:
    """The guides and masks of a recipe: those of its ``terms``, and its own ``mask``, whose place is ``mask_place``.

    A path of ``""`` means the companion of that name, except that an empty mask of the recipe's own is optional, and
    leaves ``photo.mask.png`` to the terms if one of them takes it. A mask of ``"none"`` is none, nor the companion.
    """

    terms: tuple[Term, ...]
    mask: str
    mask_place: str

    def wanted(self) -> dict[str, bool]:
        """Return the names of the companions that the recipe would use, and whether it needs each."""
        needed = {name: True for _, name, path, _ in self._files() if not path}
        return needed if self.mask else {MASK.name: False, **needed}

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of every file that the recipe names; raises :class:`BadOption` if one is gone."""
        named = {key: named_files.sha256(path, place) for key, _, path, place in self._files() if path}
        if self.mask in ("", NO_MASK):
            return named
        return {**named, OWN: named_files.sha256(self.mask, self.mask_place)}

    def masks(
        self, pixels: Tensor, given: Mapping[str, Picture], moved: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Return the masks ``(1, H, W)`` in [0, 1] for ``pixels`` ``(3, H, W)``: those of the terms by their prefixed
        names, the recipe's own as :data:`OWN`.

        Before the pre-filters, which take masks along, one of another shape is left out. Behind them, where ``moved``
        are those that went along, it is for the picture as it is now, and refused if it does not fit that either; so is
        one in which nothing is left to dream.
        """
        masks = {} if moved is None else dict(moved)
        for key, picture, place in self._masks(given):
            if key not in masks:
                if _fits(picture, pixels):
                    masks[key] = _mask(picture, pixels)
                elif moved is not None:
                    _refuse(picture, pixels, place)
            if moved is not None and masks[key].max() < _LEVEL / 2:
                raise BadOption(
                    f"{place}: the mask is black everywhere, which leaves nothing to dream. Paint white where to."
                )
        return masks

    def _masks(self, given: Mapping[str, Picture]) -> Iterator[tuple[str, Picture, str]]:
        """Yield the key, picture and place of every mask."""
        for key, name, path, place in self._files():
            if name == MASK.name:
                yield key, _found(name, path, place, given), place
        if self.mask not in ("", NO_MASK):
            yield OWN, named_files.picture(self.mask, self.mask_place), self.mask_place
        elif not self.mask and not self.wanted()[MASK.name] and MASK.name in given:
            yield OWN, given[MASK.name], "mask (beside the picture)"

    def guides(self, min_side_px: int, given: Mapping[str, Picture]) -> dict[str, Tensor]:
        """Return the guides of the terms, each ``(3, h, w)`` of its own size, by their prefixed names."""
        return {
            key: _guide(_found(name, path, place, given), min_side_px, place)
            for key, name, path, place in self._files()
            if name != MASK.name
        }

    def _files(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield the prefixed name, plain name, path and place of every picture of a term."""
        for term in self.terms:
            for name, path in guide_options(term).items():
                yield prefixed(term, name), name, path, term.where(name)
            if term.mask is not None:
                yield prefixed(term, MASK.name), MASK.name, term.mask, term.where(MASK.name)


def _found(name: str, path: str, place: str, given: Mapping[str, Picture]) -> Picture:
    if path:
        return named_files.picture(path, place)
    if name not in given:
        raise BadOption(
            f"{place}: there is no {name} beside the picture. Put one there, for photo.jpg named photo.{name}.jpg or "
            f'photo.{name}.png, or name a file in the recipe: {name} = "FILE".'
        )
    return given[name]


def _fits(picture: Picture, pixels: Tensor) -> bool:
    return is_same_shape(picture.pixels.shape[:2], pixels.shape[1:])


def is_same_shape(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two sizes, (height, width), are about in proportion, so that what is of one may be resized to the
    other."""
    fitting = one[0] * other[1] / other[0]
    return abs(one[1] - fitting) <= max(1, _ASPECT_TOLERANCE * fitting)


def _refuse(picture: Picture, pixels: Tensor, place: str) -> None:
    (rows, columns), (height, width) = picture.pixels.shape[:2], pixels.shape[1:]
    raise BadOption(
        f"{place}: the mask has {columns} × {rows} pixels, another shape than the picture's {width} × {height}. "
        f"Crop it to the picture's shape; its size does not matter."
    )


def _mask(picture: Picture, pixels: Tensor) -> Tensor:
    """Return the grey of ``picture``, times its alpha, at the size of ``pixels``: ``(1, H, W)`` in [0, 1].

    Of a picture of one colour that is transparent in places only its alpha is looked at, whatever the colour.
    """
    import torch
    from torch.nn.functional import interpolate

    red, green, blue = torch.from_numpy(picture.pixels).unbind(2)
    grey = red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2]  # (rows, columns)
    if picture.alpha is not None:
        alpha = torch.from_numpy(picture.alpha)  # (rows, columns)
        is_drawn_in_alpha = _is_flat(red, green, blue) and not _is_flat(alpha)
        grey = alpha if is_drawn_in_alpha else grey * alpha
    return interpolate(grey[None, None], pixels.shape[1:], mode="bilinear", antialias=True)[0].clamp(0, 1)


def _is_flat(*planes: Tensor) -> bool:
    return all(bool(plane.max() - plane.min() < _LEVEL / 2) for plane in planes)


def _guide(picture: Picture, min_side_px: int, place: str) -> Tensor:
    """Return ``picture`` as ``(3, h, w)``; one in which a network sees nothing is refused."""
    import torch

    rows, columns = picture.pixels.shape[:2]
    if min(rows, columns) < min_side_px:
        raise BadOption(
            f"{place}: the guide has {columns} × {rows} pixels; the model needs at least {min_side_px} on each side."
        )
    guide = torch.from_numpy(picture.pixels).permute(2, 0, 1).contiguous()  # (h, w, 3) to (3, h, w)
    if (guide.amax(dim=(1, 2)) - guide.amin(dim=(1, 2))).max() < _LEVEL / 2:
        raise BadOption(f"{place}: the guide is of one colour, so there is nothing in it to dream of. Choose another.")
    return guide
