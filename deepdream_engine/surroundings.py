"""What surrounds an octave's canvas, and goes through the same transforms: the source, and planes of the objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepdream_engine.pyramid import Size, resize

if TYPE_CHECKING:
    from deepdream_engine.dreaming import Way


class Surroundings:
    """The source and the planes in the size of one octave, and the views of them."""

    def __init__(self, way: Way, source: Tensor | None, planes: Mapping[str, Tensor], size: Size) -> None:
        self._transforms = way.job.transforms
        self._source = source
        self._names = list(planes)
        self._planes = {name: resize(plane, size) for name, plane in planes.items()}
        self.margin = (way.margin * size[0] / way.padded[0], way.margin * size[1] / way.padded[1])

    def view(self, picture: Tensor, random: torch.Generator) -> Tensor:
        """Return the transformed picture, with the source and the planes as further channels if there are any."""
        if not self._transforms:
            return picture
        companions = [] if self._source is None else [self._source]
        seen = torch.cat([picture, *companions, *self._planes.values()], dim=1)
        for transform in self._transforms:
            seen = transform(seen, random)
        return seen

    def source(self, seen: Tensor) -> Tensor | None:
        """Return the source in the view ``seen``, if it is needed."""
        return seen.detach()[:, 3:6] if self._transforms and self._source is not None else self._source

    def planes(self, seen: Tensor) -> Mapping[str, Tensor]:
        """Return the planes in the view ``seen``."""
        if not self._transforms:
            return self._planes
        first = seen.shape[1] - len(self._names)
        return {name: seen.detach()[:, first + i : first + i + 1] for i, name in enumerate(self._names)}

    @staticmethod
    def widened(gradient: Tensor, seen: Tensor) -> Tensor:
        """Return ``gradient`` with zeros for the channels of ``seen`` that are not the picture."""
        extra = seen.shape[1] - gradient.shape[1]
        return torch.nn.functional.pad(gradient, (0, 0, 0, 0, 0, extra)) if extra else gradient
