"""The real renderer: bytes of a photo in, bytes of its dream out, by way of the engine.

A :class:`Darkroom` has one engine per device; whoever calls :meth:`Darkroom.dream` gets a free one. Torch is
imported when the first picture comes in.

What a picture keeps in memory, in bytes for each of its pixels: 12 when prepared (16 with transparency); what the
engine adds while it is dreamt; 12 for the dream, and 12 for the source if a post-filter asks for it, until it is
encoded. The bytes of the file are gone once it is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from deepdream_daemon.configuration.settings import EngineSettings
from deepdream_daemon.decoding.picture import facts_of
from deepdream_daemon.intake.companions import Companion
from deepdream_daemon.microscope.atlas_layers import Layers
from deepdream_daemon.microscope.sheet import PreparedSheet, RenderedSheet, shrunk
from deepdream_daemon.microscope.sheet_drawing import sheet_file
from deepdream_daemon.pipeline.companion_pictures import companion_pictures
from deepdream_daemon.pipeline.engines import Engines
from deepdream_daemon.pipeline.film_orders import FilmFile, FilmOrder
from deepdream_daemon.pipeline.picture_records import PreparedPicture, RenderedPicture
from deepdream_daemon.pipeline.printing import picked, printed
from deepdream_daemon.pipeline.rendering import Encoded, Progress
from deepdream_daemon.pipeline.starting import blamed_on, start_of
from deepdream_daemon.pipeline.torch_threads import TorchThreads
from deepdream_engine.errors import BadOption, BadPicture, DeepDreamError
from deepdream_engine.pictures import Picture, decode
from deepdream_engine.pictures.decode import inspect
from deepdream_engine.records import Failure, Outcome
from deepdream_plugins.records import Batch
from deepdream_plugins.resolving.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from deepdream_daemon.pipeline.cutting_room import PreparedFilm, RenderedFilm
    from deepdream_engine.engine import Engine
    from deepdream_plugins.hosting.health import Health
    from deepdream_plugins.hosting.host import PluginHost

__all__ = ["Darkroom", "PreparedPicture", "RenderedPicture"]


class Darkroom:
    """Decodes, dreams and encodes as a recipe says. Implements ``rendering.Renderer``.

    The plugins of ``host`` may run the batches in their own way.
    """

    def __init__(self, settings: EngineSettings, max_megapixels: float, host: PluginHost) -> None:
        self._host = host
        self._max_megapixels = max_megapixels
        self._engines = Engines(settings)
        self._threads = TorchThreads(settings.num_threads)
        self._layers = Layers()

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices, one worker each. Raises ``BadOption`` if ``engine.device`` is not to be had."""
        return self._engines.devices

    @property
    def busy_seconds(self) -> float:
        """Seconds that the engines have computed so far."""
        return self._engines.busy_seconds

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
    ) -> PreparedPicture | PreparedSheet:
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
    ) -> PreparedPicture | PreparedSheet:
        """Pre-filter a decoded picture; ``beside`` are its ``companions``, decoded. Raises as :meth:`prepare` does."""
        self._threads.stand_back()
        start = start_of(picture, recipe, seed, beside, companions)
        # From here on the pixels are the job's. A view of them, even an empty one, would keep them all.
        picture = Picture(pixels=np.empty((0, 0, 3), np.float32), **facts_of(picture))
        start = recipe.begin(start)
        if recipe.atlas is not None:
            small = start if recipe.atlas.pick else shrunk(start, recipe.atlas.cell_px)
            return PreparedSheet(
                recipe=recipe, atlas=recipe.atlas, layers=self._layers, start=small, beside=beside, picture=picture
            )
        with blamed_on(companions):
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
        feed: Iterator[PreparedPicture | PreparedFilm | PreparedSheet | None],
        *,
        on_progress: Progress,
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[int, RenderedPicture | RenderedFilm | RenderedSheet | DeepDreamError]]:
        """Yield each picture's or film's dream, or its error, as it is done; raises ``Cancelled``."""
        from deepdream_daemon.pipeline.mixing import Mixing

        self._threads.dream()
        with self._engines.borrowed() as engine:
            mixing = Mixing(
                feed,
                on_picture=lambda prepared, outcome: self._rendered(prepared, outcome, engine),
                on_progress=on_progress,
                device=engine.device.name,
            )
            try:
                is_over = False
                while not is_over:
                    batch = Batch(
                        engine=engine, jobs=mixing.jobs(), on_progress=mixing.progress, should_stop=should_stop
                    )
                    # Unlike a loop, map keeps no dream while the next ones are made.
                    yield from chain.from_iterable(map(mixing.landed, self._host.run_batch(batch)))
                    yield from mixing.told()
                    is_over = not mixing.has_films
            finally:
                mixing.close()

    def finish(self, rendered: RenderedPicture | RenderedSheet, provenance: Mapping[str, object]) -> Encoded:
        """Post-filter and encode, with ``provenance`` and all that the pixels depend on inside the file."""
        self._threads.stand_back()
        if isinstance(rendered, RenderedSheet) and not rendered.sheet.atlas.pick:
            data, suffix = sheet_file(rendered, provenance, num_threads=self._threads.number)
            return Encoded(data=data, suffix=suffix)
        if isinstance(rendered, RenderedSheet):
            rendered = picked(rendered, self._threads.number)
        given = [rendered]
        del rendered  # what the filters leave is all that the encoder needs
        return printed(given.pop(), provenance)

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
        self._threads.dream()
        self._engines.warm_up()

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
