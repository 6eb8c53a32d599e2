"""Films in the darkroom: what is known of one before it is dreamt, how it is begun, and how it is put together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from deepdream_daemon.films.ascending import Ascending
from deepdream_daemon.films.chunks import Spool
from deepdream_daemon.films.clipping import Clipping, Head, coherence_of, look_into
from deepdream_daemon.films.frame_folder import FrameFolder
from deepdream_daemon.films.frames import FilmFacts
from deepdream_daemon.films.journeying import Journeying, journey_of
from deepdream_daemon.films.limits import ClipLimits
from deepdream_daemon.films.options import FilmOptions
from deepdream_daemon.films.scenes import Scene, film_options
from deepdream_daemon.films.shot import Shot
from deepdream_daemon.films.writing import FilmWriter
from deepdream_daemon.pipeline.film_orders import FilmFile, FilmOrder
from deepdream_engine import __version__
from deepdream_engine.pictures import Picture
from deepdream_plugins.resolving.resolved import ResolvedRecipe


@dataclass(frozen=True, kw_only=True)
class PreparedFilm:
    """A film that may be begun, or gone on with: ``photo`` is what a journey begins with, ``head`` that of a clip."""

    order: FilmOrder
    recipe: ResolvedRecipe
    seed: int
    beside: Mapping[str, Picture]
    limits: ClipLimits
    options: FilmOptions
    photo: Picture | None = None
    head: Head | None = None

    @property
    def batch_key(self) -> Hashable:
        """Films share passes with whatever there is; see ``feed.Feed``."""
        return "film"

    @property
    def facts(self) -> FilmFacts | None:
        """Those of the clip, if it is of one."""
        return None if self.head is None else self.head.facts

    @property
    def megapixels(self) -> float:
        """How large its frames are."""
        if self.photo is not None:
            height, width = self.photo.pixels.shape[:2]
            return float(height * width / 1e6)
        assert self.head is not None  # one of them there is
        return self.head.facts.width * self.head.facts.height / 1e6

    def begin(self, on_stirred: Callable[[], None]) -> Shot:
        """Open its spool, and go on with what is in it. May be called again when that was closed.

        ``on_stirred`` is told, in other threads, whenever there may be something new to do for it.
        """
        return Shot(
            partial(self._scene, on_stirred),
            folder=self.order.spool,
            limit_bytes=self.order.limit_bytes,
            target=self.order.spool / self.order.name,
            options=self.options,
            identity=self.order.identity,
            on_written=on_stirred,
        )

    def rendered(self, shot: Shot) -> RenderedFilm:
        """Return what is to be put together, now that all frames of ``shot`` are written."""
        shot.end()
        return RenderedFilm(
            film=self,
            facts=shot.scene.facts,
            made=dict(shot.made),
            frames=shot.frames,
            resumed_at=shot.resumed_at,
        )

    def _scene(self, on_stirred: Callable[[], None], kept: FrameFolder) -> Scene:
        clip = self.order.clip
        if clip is None:
            assert self.photo is not None  # without a clip there is one
            if self.recipe.is_ascent_filmed:
                return Ascending(self.recipe, self.seed, self.photo, self.beside, rate=self.options.rate)
            return Journeying(self.recipe, self.seed, self.photo, self.beside, rate=self.options.rate, kept=kept)
        assert self.head is not None
        return Clipping(
            self.recipe, self.seed, clip, self.beside, head=self.head, limits=self.limits, on_read=on_stirred
        )


@dataclass(frozen=True, kw_only=True)
class RenderedFilm:
    """A film of which all ``frames`` are in its spool; ``made`` tells what made them, and ``resumed_at`` how many were
    there before its last slice."""

    film: PreparedFilm
    facts: FilmFacts
    made: Mapping[str, Any]
    frames: int
    resumed_at: int


def prepare(
    order: FilmOrder,
    photo: Picture | None,
    recipe: ResolvedRecipe,
    seed: int,
    beside: Mapping[str, Picture],
    *,
    limits: ClipLimits,
) -> PreparedFilm:
    """Look whether a film can be made; raises ``BadOption``, ``BadPicture`` and ``sources.Changed``."""
    options = film_options(recipe)
    head = None
    if order.clip is None:
        if not recipe.is_ascent_filmed:
            journey_of(recipe)
    else:
        coherence_of(recipe)
        head = look_into(order.clip, limits)
    return PreparedFilm(
        order=order, recipe=recipe, seed=seed, beside=beside, limits=limits, options=options, photo=photo, head=head
    )


def assemble(rendered: RenderedFilm, provenance: Mapping[str, object]) -> FilmFile:
    """Put the film together from its chunks, with its sound and ``provenance``; the chunks stay."""
    film = rendered.film
    order, recipe = film.order, film.recipe
    made_by = {
        **provenance,
        "deepdream": __version__,
        "recipe": recipe.to_dict(paths=False),
        "seed": film.seed,
        "model": {"name": recipe.model.spec.name},
        "engine": dict(rendered.made),
    }
    with (
        Spool(order.spool, order.limit_bytes) as spool,
        FilmWriter(
            order.spool / order.name,
            rendered.facts,
            film.options,
            spool,
            audio_from=order.clip,
            identity=order.identity,
            provenance=made_by,
        ) as writer,
    ):
        path = writer.assembled()
    return FilmFile(path=path, suffix=path.suffix, notes=tuple(writer.notes))
