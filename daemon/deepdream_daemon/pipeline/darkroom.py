"""The real renderer: bytes of a photo in, bytes of its dream out, by way of the engine.

A :class:`Darkroom` has one engine per device; whoever calls :meth:`Darkroom.dream` gets a free one. Torch is
imported when the first picture comes in.

What a picture keeps in memory, in bytes for each of its pixels: 12 when prepared (16 with transparency); what the
engine adds while it is dreamt; 12 for the dream, and 12 for the source if a post-filter asks for it, until it is
encoded. The bytes of the file are gone once it is decoded.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from deepdream_daemon.configuration.settings import EngineSettings
from deepdream_daemon.decoding.picture import facts_of
from deepdream_daemon.intake.companions import BadCompanion, Companion
from deepdream_daemon.pipeline.companion_pictures import companion_pictures
from deepdream_daemon.pipeline.film_orders import FilmFile, FilmOrder
from deepdream_daemon.pipeline.rendering import Encoded, Progress
from deepdream_daemon.pipeline.torch_threads import TorchThreads
from deepdream_engine import __version__
from deepdream_engine.errors import BadOption, BadPicture, DeepDreamError
from deepdream_engine.pictures import Picture, decode, encode, output_format, suffix_of
from deepdream_engine.pictures.decode import inspect
from deepdream_engine.records import Dream, DreamJob, Failure, Outcome
from deepdream_plugins.records import Batch
from deepdream_plugins.resolving.filtering import Finish, Start
from deepdream_plugins.resolving.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_daemon.pipeline.cutting_room import PreparedFilm, RenderedFilm
    from deepdream_engine.engine import Engine
    from deepdream_plugins.hosting.health import Health
    from deepdream_plugins.hosting.host import PluginHost


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
    """A dream that still has to be post-filtered and encoded, and what made it.

    ``source`` is the picture before the dream ``(3, H, W)``, for the post-filters; ``None`` if there are none.
    """

    picture: Picture
    recipe: ResolvedRecipe
    seed: int
    source: Tensor | None
    dream: Dream
    device: str
    num_threads: int


class Darkroom:
    """Decodes, dreams and encodes as a recipe says. Implements ``rendering.Renderer``.

    The plugins of ``host`` may run the batches in their own way.
    """

    def __init__(self, settings: EngineSettings, max_megapixels: float, host: PluginHost) -> None:
        self._host = host
        self._settings = settings
        self._max_megapixels = max_megapixels
        self._engines: queue.SimpleQueue[Engine] | None = None
        self._made: list[Engine] = []
        self._starting = threading.Lock()
        self._threads = TorchThreads(settings.num_threads)

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices, one worker each. Raises ``BadOption`` if ``engine.device`` is not to be had."""
        from deepdream_engine.device import device_names

        return tuple(device_names(self._settings.device))

    @property
    def busy_seconds(self) -> float:
        """Seconds that the engines have computed so far."""
        return sum(engine.busy_seconds for engine in self._made)

    def wait_until_ready(self) -> None:
        """Do nothing: what is needed is made by whoever needs it first."""

    def measure(self, data: bytes) -> float:
        """Return how many megapixels the header of ``data`` tells of; 0 for what ``prepare`` will refuse."""
        try:
            return inspect(data, max_megapixels=self._max_megapixels)[1]
        except BadPicture:
            return 0.0

    def prepare(
        self, data: bytes, recipe: ResolvedRecipe, seed: int, companions: Mapping[str, Companion]
    ) -> PreparedPicture:
        """Decode and pre-filter; raises ``BadPicture``, ``BadCompanion``, ``BadOption`` (a mask of which nothing is
        white) or ``EngineFault`` (a filter that failed).
        """
        self._threads.stand_back()
        beside = companion_pictures(companions, self._decode)
        return self.take_in(self._decode(data), recipe, seed, beside, companions)

    def take_in(
        self,
        picture: Picture,
        recipe: ResolvedRecipe,
        seed: int,
        beside: Mapping[str, Picture],
        companions: Mapping[str, Companion],
    ) -> PreparedPicture:
        """Pre-filter a decoded picture; ``beside`` are its ``companions``, decoded. Raises as :meth:`prepare` does."""
        self._threads.stand_back()
        start = _start(picture, recipe, seed, beside, companions)
        # From here on the pixels are the job's. A view of them, even an empty one, would keep them all.
        picture = Picture(pixels=np.empty((0, 0, 3), np.float32), **facts_of(picture))
        start = recipe.begin(start)
        with _blamed_on(companions):
            job = recipe.job_of(start, beside)
        if start.alpha is not None:
            picture = replace(picture, alpha=start.alpha.numpy())
        return PreparedPicture(picture=picture, recipe=recipe, job=job)

    def prepare_film(
        self,
        order: FilmOrder,
        data: bytes | None,
        recipe: ResolvedRecipe,
        seed: int,
        companions: Mapping[str, Companion],
    ) -> PreparedFilm:
        """Decode the photo of a journey, or look into a clip; raises as :meth:`prepare` does."""
        beside = companion_pictures(companions, self._decode)
        photo = None if data is None else self._decode(data)
        return self.take_in_film(order, photo, recipe, seed, beside)

    def take_in_film(
        self,
        order: FilmOrder,
        photo: Picture | None,
        recipe: ResolvedRecipe,
        seed: int,
        beside: Mapping[str, Picture],
    ) -> PreparedFilm:
        """Look whether a film can be made, of a photo that is decoded or of a clip."""
        from deepdream_daemon.films.limits import ClipLimits
        from deepdream_daemon.pipeline.cutting_room import prepare

        self._threads.stand_back()
        limits = ClipLimits(max_megapixels=self._max_megapixels)
        return prepare(order, photo, recipe, seed, beside, limits=limits)

    def dream(
        self,
        feed: Iterator[PreparedPicture | PreparedFilm | None],
        *,
        on_progress: Progress,
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[int, RenderedPicture | RenderedFilm | DeepDreamError]]:
        """Yield each picture's or film's dream, or its error, as it is done; raises ``Cancelled``."""
        from deepdream_daemon.pipeline.mixing import Mixing

        engines = self._started()
        engine = engines.get()
        mixing = Mixing(
            feed,
            on_picture=lambda prepared, outcome: self._rendered(prepared, outcome, engine),
            on_progress=on_progress,
            device=engine.device.name,
        )
        try:
            # Unlike a loop, map keeps no dream while the next ones are made.
            batch = Batch(engine=engine, jobs=mixing.jobs(), on_progress=mixing.progress, should_stop=should_stop)
            yield from chain.from_iterable(map(mixing.landed, self._host.run_batch(batch)))
            yield from mixing.told()
        finally:
            mixing.close()
            engines.put(engine)

    def finish(self, rendered: RenderedPicture, provenance: Mapping[str, object]) -> Encoded:
        """Post-filter and encode, with ``provenance`` and all that the pixels depend on inside the file."""
        import torch

        self._threads.stand_back()
        recipe, dream, picture, seed = rendered.recipe, rendered.dream, rendered.picture, rendered.seed
        made_by = {
            **provenance,
            "deepdream": __version__,
            "recipe": recipe.to_dict(paths=False),
            "seed": seed,
            "model": {"name": recipe.model.spec.name, "weights_sha256": dream.weights_sha256},
            "engine": {
                "device": rendered.device,
                "num_threads": rendered.num_threads,
                "tile_px": dream.tile_px,
                "precision": dream.precision,
                "torch": torch.__version__,
            },
        }
        pixels = dream.pixels
        if rendered.source is not None:
            alpha = None if picture.alpha is None else torch.from_numpy(picture.alpha)
            done = recipe.finish(Finish(dream=pixels, source=rendered.source, seed=seed, alpha=alpha))
            pixels = done.dream
            if done.alpha is not None and done.alpha is not alpha:
                picture = replace(picture, alpha=done.alpha.contiguous().numpy())
            del done
        del rendered, dream  # what the filters left is all that the encoder needs
        data = encode(pixels.permute(1, 2, 0).numpy(), picture, recipe.output, made_by)
        return Encoded(data=data, suffix=suffix_of(output_format(picture.format, recipe.output)))

    def finish_film(self, rendered: RenderedFilm, provenance: Mapping[str, object]) -> FilmFile:
        """Put a film together, with ``provenance`` and all that made it inside the file."""
        from deepdream_daemon.pipeline.cutting_room import assemble

        self._threads.stand_back()
        return assemble(rendered, provenance)

    def _decode(self, data: bytes) -> Picture:
        return decode(data, max_megapixels=self._max_megapixels)

    def _rendered(
        self, prepared: PreparedPicture, outcome: Outcome, engine: Engine
    ) -> RenderedPicture | DeepDreamError:
        recipe, job = prepared.recipe, prepared.job
        if isinstance(outcome, Failure):
            return recipe.placed(outcome.error) if isinstance(outcome.error, BadOption) else outcome.error
        return RenderedPicture(
            picture=prepared.picture,
            recipe=recipe,
            seed=job.seed,
            source=job.pixels if recipe.postfilters else None,
            dream=outcome,
            device=engine.device.name,
            num_threads=self._threads.number,
        )

    def warm_up(self) -> None:
        """Make the engines now, and let each device compute something, so that trouble with one shows before a picture
        is there."""
        import torch

        self._started()
        for engine in self._made:
            torch.ones(8, 8, device=engine.device.torch_device).square().sum().item()

    def close(self) -> None:
        """Nothing is held that does not go with this object."""

    def troubles(self) -> Mapping[str, str]:
        """Say nothing: trouble with the engine shows when a picture is dreamt."""
        return {}

    def running(self) -> Sequence[tuple[str, str, float]]:
        """Say nothing: strangers' code runs in this process, and its host tells of it."""
        return ()

    def share_health(self, health: Health) -> None:
        """Do nothing: the plugins that run here are those of this process."""

    def _started(self) -> queue.SimpleQueue[Engine]:
        """Return the free engines, made on the first call, and let this thread compute with all of its threads."""
        self._threads.dream()
        with self._starting:
            if self._engines is None:
                from deepdream_engine.engine import Engine

                # It announces every reduced precision, on a handler of its own if nothing has set up logging.
                logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)
                settings = self._settings
                engines: queue.SimpleQueue[Engine] = queue.SimpleQueue()
                for device in self.devices:
                    engine = Engine(
                        device=device,
                        max_batch=settings.max_batch,
                        tile_px=settings.tile_px,
                        memory_gib=settings.memory_gib,
                        compile=settings.compile,
                    )
                    engines.put(engine)
                    self._made.append(engine)
                self._engines = engines
            return self._engines


def _start(
    picture: Picture,
    recipe: ResolvedRecipe,
    seed: int,
    beside: Mapping[str, Picture],
    companions: Mapping[str, Companion],
) -> Start:
    """Return ``picture`` and what belongs to it as the pre-filters get it."""
    import torch

    pixels = torch.from_numpy(picture.pixels).permute(2, 0, 1).contiguous()  # (3, H, W)
    alpha = None if picture.alpha is None else torch.from_numpy(picture.alpha)
    with _blamed_on(companions):
        return Start(pixels=pixels, seed=seed, alpha=alpha, masks=recipe.masks(pixels, beside))


@contextmanager
def _blamed_on(companions: Mapping[str, Companion]) -> Iterator[None]:
    """Say of what is wrong with the recipe's pictures which files lie beside the photo, if there are any."""
    try:
        yield
    except BadOption as error:
        if not companions:
            raise
        files = " and ".join(repr(str(companion.path)) for companion in companions.values())
        raise BadCompanion(f"{error} (beside the picture: {files})", f"Correct {files}, or the recipe") from error
