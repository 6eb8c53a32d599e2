"""The real renderer: bytes of a photo in, bytes of its dream out, by way of the engine.

A :class:`Darkroom` has one engine per device; whoever calls :meth:`Darkroom.dream` gets a free one. Torch is
imported when the first picture comes in.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deepdream_daemon.configuration.settings import EngineSettings
from deepdream_daemon.pipeline.rendering import Encoded, Progress
from deepdream_engine import __version__
from deepdream_engine.errors import BadOption, DeepDreamError
from deepdream_engine.pictures import Picture, decode, encode, output_format, suffix_of
from deepdream_engine.records import Dream, DreamJob, Failure
from deepdream_plugins.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from deepdream_engine.engine import Engine


@dataclass(frozen=True)
class PreparedPicture:
    """A decoded and pre-filtered picture with its job; ``picture`` holds what goes back into the output file."""

    picture: Picture
    recipe: ResolvedRecipe
    job: DreamJob

    @property
    def batch_key(self) -> Hashable:
        """Pictures with equal keys may share passes; the engine sorts their sizes out."""
        return self.job.program

    @property
    def megapixels(self) -> float:
        """How large the picture is as it will be dreamt."""
        return self.job.pixels.shape[1] * self.job.pixels.shape[2] / 1e6


@dataclass(frozen=True)
class RenderedPicture:
    """A dream that still has to be post-filtered and encoded, and the device that made it."""

    prepared: PreparedPicture
    dream: Dream
    device: str


class Darkroom:
    """Decodes, dreams and encodes as a recipe says. Implements ``rendering.Renderer``."""

    def __init__(self, settings: EngineSettings, max_megapixels: float) -> None:
        self._settings = settings
        self._max_megapixels = max_megapixels
        self._engines: queue.SimpleQueue[Engine] | None = None
        self._starting = threading.Lock()

    @property
    def devices(self) -> Sequence[str]:
        """Names of the devices, one worker each. Raises ``BadOption`` if ``engine.device`` is not to be had."""
        from deepdream_engine.device import device_names

        return device_names(self._settings.device)

    def prepare(self, data: bytes, recipe: ResolvedRecipe, seed: int) -> PreparedPicture:
        """Decode and pre-filter; raises ``BadPicture`` or ``EngineFault`` (a filter that failed)."""
        import torch

        picture = decode(data, max_megapixels=self._max_megapixels)
        pixels = torch.from_numpy(picture.pixels).permute(2, 0, 1).contiguous()  # (H, W, 3) to (3, H, W)
        job = recipe.job(recipe.prefilter(pixels, seed), seed)
        # From here on the pixels are the job's; keeping both would double the memory of a queue of pictures.
        return PreparedPicture(picture=replace(picture, pixels=picture.pixels[:0]), recipe=recipe, job=job)

    def dream(
        self, batch: Sequence[PreparedPicture], *, on_progress: Progress, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[int, RenderedPicture | DeepDreamError]]:
        """Yield each picture's dream, or its error, as it is done; raises ``Cancelled``."""
        engines = self._started()
        engine = engines.get()
        try:
            jobs = [prepared.job for prepared in batch]
            for index, outcome in engine.stream(jobs, on_progress=on_progress, should_stop=should_stop):
                if isinstance(outcome, Failure):
                    error = outcome.error
                    yield index, batch[index].recipe.placed(error) if isinstance(error, BadOption) else error
                else:
                    yield index, RenderedPicture(batch[index], outcome, engine.device.name)
        finally:
            engines.put(engine)

    def finish(self, rendered: RenderedPicture, provenance: Mapping[str, object]) -> Encoded:
        """Post-filter and encode, with ``provenance`` and all that the pixels depend on inside the file."""
        import torch

        recipe, job, picture = rendered.prepared.recipe, rendered.prepared.job, rendered.prepared.picture
        pixels = recipe.postfilter(rendered.dream.pixels, job.pixels, job.seed)
        made_by = {
            **provenance,
            "deepdream": __version__,
            "recipe": _public(recipe),
            "seed": job.seed,
            "model": {"name": recipe.model.spec.name, "weights_sha256": rendered.dream.weights_sha256},
            "engine": {
                "device": rendered.device,
                "num_threads": torch.get_num_threads(),
                "tile_px": rendered.dream.tile_px,
                "torch": torch.__version__,
            },
        }
        data = encode(pixels.permute(1, 2, 0).contiguous().numpy(), picture, recipe.output, made_by)
        return Encoded(data=data, suffix=suffix_of(output_format(picture.format, recipe.output)))

    def _started(self) -> queue.SimpleQueue[Engine]:
        """Return the free engines, made on the first call."""
        with self._starting:
            if self._engines is None:
                import torch

                from deepdream_engine.engine import Engine

                if self._settings.num_threads is not None:
                    torch.set_num_threads(self._settings.num_threads)
                engines: queue.SimpleQueue[Engine] = queue.SimpleQueue()
                for device in self.devices:
                    engines.put(
                        Engine(device=device, max_batch=self._settings.max_batch, tile_px=self._settings.tile_px)
                    )
                self._engines = engines
            return self._engines


def _public(recipe: ResolvedRecipe) -> dict[str, Any]:
    """Return the recipe without where its weights lie on this machine: dreams are shown to others."""
    data = recipe.to_dict()
    if recipe.weights is not None:
        data["model"] = {**data["model"], "weights": recipe.weights.name}
    return data
