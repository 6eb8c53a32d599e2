"""A photo whose recipe has an atlas: its dreams at all layers of a network, or at the one that was picked.

It is one picture to the daemon, and many jobs to the engine. It is made as a film is (``films.shot``): it hands out a
job for each layer, which run among all others, and is done when the last is in. Nothing of it is kept on the disk:
after a kill it is dreamt again, as any picture is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deepdream_daemon.microscope.atlas_layers import Layers
from deepdream_engine.errors import BadOption, DeepDreamError
from deepdream_engine.pictures.picture import Picture
from deepdream_plugins.builtin.sinks.sheets import size_px
from deepdream_plugins.resolving.atlas import ALL, AtlasRecipe, at_layer
from deepdream_plugins.resolving.filtering import Start
from deepdream_plugins.resolving.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_daemon.layers import LayerInfo
    from deepdream_engine.records import DreamJob

_MOST_PX = 65_500
"""Side of a JPEG."""
_MANY_LAYERS = 60
"""So many a network is thought to have before it is known."""


@dataclass(frozen=True)
class Cell:
    """What is known of one layer: its dream ``(3, H, W)``, or why there is none."""

    layer: LayerInfo
    recipe: ResolvedRecipe
    dream: Tensor | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class PreparedSheet:
    """A photo, pre-filtered, and no larger than the sheet shows it; ``picture`` has what else was in its file. Which
    ``layers`` there are is asked when it is begun."""

    recipe: ResolvedRecipe
    atlas: AtlasRecipe
    layers: Layers
    start: Start
    beside: Mapping[str, Picture]
    picture: Picture

    @property
    def batch_key(self) -> Hashable:
        """Those of one network run together."""
        return ("atlas", self.recipe.model.spec.name, self.recipe.weights)

    @property
    def megapixels(self) -> float:
        """How large all its dreams and the sheet are together."""
        height, width = self.start.pixels.shape[1:]
        if self.atlas.pick:
            return float(height * width / 1e6)
        is_all = self.atlas.layers == (ALL,)
        count = (len(self.recipe.model.spec.taps) or _MANY_LAYERS) if is_all else len(self.atlas.layers)
        return float(count * (height * width + self.atlas.cell_px**2) / 1e6)

    def begin(self) -> SheetShot:
        """Look which layers there are, and begin to dream; may be called again. Raises ``BadOption``."""
        layers, pick = self.layers.of(self.recipe, self.atlas), self.atlas.pick
        if pick:
            self.atlas.check_pick(len(layers))
            layers = layers[pick - 1 : pick]
        else:
            _, height = size_px(len(layers), columns=self.atlas.columns, cell_px=self.atlas.cell_px)
            if height > _MOST_PX:
                raise BadOption(
                    f"{self.atlas.place}: {len(layers)} layers in {self.atlas.columns} columns of {self.atlas.cell_px} "
                    f"pixels make a sheet of {height} pixels in height; the most is {_MOST_PX}. Take more columns, or "
                    f"a smaller cell_px."
                )
        return SheetShot(self, [Cell(layer, at_layer(self.recipe, layer.name)) for layer in layers])

    def rendered(self, shot: SheetShot) -> RenderedSheet:
        """Return what ``shot`` has dreamt; raises what is wrong if no layer could be dreamt."""
        return RenderedSheet(sheet=self, cells=shot.cells(), made=dict(shot.made))


@dataclass(frozen=True, kw_only=True)
class RenderedSheet:
    """One whose dreams are there; ``made`` tells what made them."""

    sheet: PreparedSheet
    cells: tuple[Cell, ...]
    made: Mapping[str, Any]


class SheetShot:
    """A sheet under way; has what ``pipeline.mixing`` asks of a film."""

    def __init__(self, prepared: PreparedSheet, cells: list[Cell]) -> None:
        self._prepared = prepared
        self._cells = cells
        self._handed = self._back = 0
        self._error: DeepDreamError | None = None
        self.made: dict[str, Any] = {}

    @property
    def words(self) -> str:
        """How far it is."""
        return f"layer {min(self._back + 1, len(self._cells))} of {len(self._cells)}" if len(self._cells) > 1 else ""

    @property
    def is_done(self) -> bool:
        """Whether all layers are dreamt."""
        return self._back == len(self._cells)

    def fraction(self, of_layer: float = 0.0) -> float:
        """Return how much is done, in [0, 1], if ``of_layer`` is of a layer in flight."""
        return min(1.0, (self._back + of_layer) / len(self._cells))

    def next_job(self) -> tuple[int, ResolvedRecipe, DreamJob] | None:
        """Return a job with its number and recipe; ``None`` if all are under way."""
        if self._handed == len(self._cells):
            return None
        number, start = self._handed, self._prepared.start
        self._handed += 1
        recipe = self._cells[number].recipe
        own = replace(start, pixels=start.pixels.clone())  # a job's pixels are its own
        return number, recipe, recipe.job_of(own, self._prepared.beside)

    def receive(self, number: int, pixels: Tensor, made_by: Mapping[str, Any]) -> None:
        """Take in the dream of job ``number``."""
        self.made.update(made_by)
        self._cells[number] = replace(self._cells[number], dream=pixels)
        self._back += 1

    def failed(self, number: int, error: DeepDreamError) -> DeepDreamError | None:
        """Return what ends the whole; a layer that the recipe does not suit stays empty, and says why."""
        if not isinstance(error, BadOption):
            return error
        self._error = self._error or error
        self._cells[number] = replace(self._cells[number], why=str(error))
        self._back += 1
        return None

    def write(self, _gives_way: Callable[[], bool]) -> bool:
        """Nothing is written before all is done."""
        return False

    def cells(self) -> tuple[Cell, ...]:
        """Return all layers; raises what is wrong if none could be dreamt."""
        if self._error is not None and all(cell.dream is None for cell in self._cells):
            raise self._error
        return tuple(self._cells)

    def close(self) -> None:
        """Nothing is open."""


def shrunk(start: Start, longest_px: int) -> Start:
    """Return ``start`` with its longer side at most ``longest_px``, all that belongs to it likewise."""
    from torch.nn import functional

    height, width = start.pixels.shape[1:]
    scale = longest_px / max(height, width)
    if scale >= 1:
        return start
    size = (max(1, round(height * scale)), max(1, round(width * scale)))

    def small(planes: Tensor) -> Tensor:
        resized = functional.interpolate(planes[None], size, mode="bilinear", antialias=True, align_corners=False)
        return resized[0].clamp_(0, 1)

    alpha = None if start.alpha is None else small(start.alpha[None])[0]
    masks = {name: small(mask) for name, mask in start.masks.items()}
    return replace(start, pixels=small(start.pixels), alpha=alpha, masks=masks)
