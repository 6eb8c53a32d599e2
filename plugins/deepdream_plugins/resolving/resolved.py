"""A recipe with nothing left open: every name looked up, every option filled, ready for the engine."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from deepdream_engine.errors import BadOption, UnknownTap
from deepdream_engine.records import DreamJob, Network, Program, Schedule
from deepdream_plugins.hosting.guarded import Direction, Loading, View
from deepdream_plugins.hosting.guarding import Guard, PluginFailure
from deepdream_plugins.options import Value
from deepdream_plugins.records import AscentSpec, FilterSpec, ModelSpec, ScheduleSpec, TransformSpec
from deepdream_plugins.resolving.arranging import arranged
from deepdream_plugins.resolving.companions import OWN, Companions
from deepdream_plugins.resolving.composition import compose, picture_options
from deepdream_plugins.resolving.configured import Configured
from deepdream_plugins.resolving.filtering import SECONDS, Finish, Start, after_dream, before_dream
from deepdream_plugins.resolving.keys import FIELDS, SCHEDULE, WEIGHTS
from deepdream_plugins.resolving.moving import JourneyRecipe
from deepdream_plugins.resolving.named_files import identity, sha256
from deepdream_plugins.resolving.parts import prefixed
from deepdream_plugins.resolving.telling import told_objective, told_path
from deepdream_plugins.resolving.terms import Term

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.pictures import OutputOptions, Picture
    from deepdream_plugins.hosting.host import Owned
    from deepdream_plugins.resolving.atlas import AtlasRecipe

_IS_ZERO = "gradient is zero everywhere"
_NONE: Mapping[str, Picture] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class ResolvedRecipe:
    """What :meth:`RecipeBook.resolve` makes of a name; equal recipes make equal dreams of equal pictures.

    ``terms`` is what is maximised: one without a label, or several; the objective stands at ``place``. ``mask`` is a
    path, ``""`` for the companion, or ``"none"``. With ``is_ascent_filmed``, each step is a
    frame. ``film`` and ``video`` have the options of ``moving_keys.FILM`` and ``VIDEO``, or are empty.
    """

    name: str
    model: Owned[ModelSpec]
    weights: Path | None
    weights_place: str = field(default="model.weights", compare=False)
    default_tap_place: str = field(default="model.default_tap", compare=False)
    terms: tuple[Term, ...]
    place: str = field(default="objective", compare=False)
    balance: bool
    ascent: Configured[AscentSpec]
    transforms: tuple[Configured[TransformSpec], ...]
    canvas: str
    schedule: Schedule
    arrangement: Configured[ScheduleSpec]
    mask: str
    mask_place: str = field(default="mask", compare=False)
    precision: str
    seed: int | None
    prefilters: tuple[Configured[FilterSpec], ...]
    postfilters: tuple[Configured[FilterSpec], ...]
    output: OutputOptions
    journey: JourneyRecipe | None = None
    is_ascent_filmed: bool = False
    film: Mapping[str, Value | None] = field(default_factory=dict)
    video: Mapping[str, Value | None] = field(default_factory=dict)
    atlas: AtlasRecipe | None = None
    filter_seconds: float = field(default=SECONDS, compare=False)

    @property
    def plugins(self) -> frozenset[str]:
        """The plugins that provide what the recipe is made of."""
        parts: list[Configured[Any]] = [self.ascent, self.arrangement, *self.transforms]
        parts += [*self.prefilters, *self.postfilters, *(term.objective for term in self._all_terms)]
        return frozenset({self.model.owner, *(part.owner for part in parts)})

    @property
    def makes_film(self) -> bool:
        """Whether a photo becomes a film."""
        return self.is_ascent_filmed or self.journey is not None

    def __hash__(self) -> int:
        return hash(self._canonical)

    def to_dict(self, *, paths: bool = True) -> dict[str, Any]:
        """Return JSON-safe data with every value in it; ``RecipeBook.from_dict`` reads it back.

        Without ``paths`` files are told by their names alone: dreams are shown to others, who need not know where
        things lie on this machine.
        """
        model: dict[str, str] = {"name": self.model.spec.name}
        if self.weights is not None:
            model["weights"] = told_path(str(self.weights), paths=paths)
        data: dict[str, Any] = {"name": self.name, "model": model, **told_objective(self.terms, paths=paths)}
        data |= {
            "balance": self.balance,
            "ascent": self.ascent.to_dict(paths=paths),
            "transforms": [configured.to_dict(paths=paths) for configured in self.transforms],
            "canvas": self.canvas,
            "schedule": self.arrangement.to_dict(paths=paths),
        }
        for option in SCHEDULE:
            value = getattr(self.schedule, FIELDS.get(option.name, option.name))
            data[option.name] = list(value) if isinstance(value, tuple) else value
        data |= {
            "mask": told_path(self.mask, paths=paths),
            "precision": self.precision,
            "prefilters": [configured.to_dict(paths=paths) for configured in self.prefilters],
            "postfilters": [configured.to_dict(paths=paths) for configured in self.postfilters],
            "output": asdict(self.output),
        }
        if self.schedule.stop_score is not None:
            data["stop_score"] = self.schedule.stop_score
        if self.seed is not None:
            data["seed"] = self.seed
        if self.journey is not None:
            data["journey"] = self.journey.to_dict(paths=paths)
        if self.is_ascent_filmed:
            data["output"]["steps"] = "film"
        if self.film:
            data["film"] = dict(self.film)
        if self.video:
            data["video"] = dict(self.video)
        if self.atlas is not None:
            data["atlas"] = self.atlas.to_dict()
        return data

    def fingerprint(self) -> str:
        """Return a SHA-256 over everything the recipe says, and over the content of the files it names; the same in
        every process. Raises :class:`BadOption` if one of those files cannot be read any more."""
        digests = json.dumps(
            {**self._journey_digests(), **self._companions.digests(), **self._file_digests()}, sort_keys=True
        )
        return hashlib.sha256(f"{self._canonical}{digests}".encode()).hexdigest()

    def _journey_digests(self) -> dict[str, str]:
        """Return the SHA-256 of the pictures that the segments of its journey name."""
        stills = enumerate(() if self.journey is None else self.journey.stills(self))
        return {f"{index}:{key}": told for index, still in stills for key, told in still._companions.digests().items()}

    def _file_digests(self) -> dict[str, str]:
        """Return the SHA-256 of the weights' file and of every file that an option of type ``File`` names, and what
        tells the model from others of its name; the keys are no term's."""
        parts: list[Configured[Any]] = [*self.prefilters, *self.postfilters, *self.transforms]
        parts += [self.ascent, self.arrangement, *(term.objective for term in self._all_terms)]
        digests = {
            f":{index}.{name}": sha256(path, part.places.get(name, name))
            for index, part in enumerate(parts)
            for name, path in part.files().items()
        }
        if self.weights is not None:
            digests[":weights"] = sha256(str(self.weights), self.weights_place)
        if model := self._model_identity():
            digests[":model"] = model
        return digests

    def _model_identity(self) -> str:
        spec = self.model.spec
        if spec.identity is None:
            return ""
        guard = Guard(f"the model {spec.name!r}", self.model.owner)
        told: Callable[[], object] = spec.identity
        try:
            found = guard.call(told)
            if not isinstance(found, str):
                raise guard.failure(f"returned {type(found).__name__}; identity must return a string.")
        except PluginFailure as failure:
            raise BadOption(f"the identity of the model {spec.name!r} cannot be had: {failure}") from failure
        return found

    def companions(self) -> dict[str, bool]:
        """Return what the recipe would take from beside the photo, and whether it cannot do without it.

        ``{"guide": True, "mask": False}``: it needs ``photo.guide.jpg``, and uses ``photo.mask.png`` if there is one.
        """
        return self._companions.wanted()

    def program(self) -> Program:
        """Return what pictures must have in common with this recipe's to share a pass."""
        model = self.model.spec
        return Program(
            network=Network(
                key=(
                    model.name,
                    self._model_identity(),
                    None if self.weights is None else identity(self.weights, "weights"),
                ),
                name=model.name,
                load=Loading(Guard(f"the model {model.name!r}", self.model.owner), model.load, self.weights),
                mean=model.mean,
                std=model.std,
                min_side_px=model.min_side_px,
                aliases=model.aliases,
            ),
            objective=compose(self.terms, balance=self.balance),
            precision=self.precision,
        )

    def job(self, pixels: Tensor, seed: int, companions: Mapping[str, Picture] = _NONE) -> DreamJob:
        """Return the engine's job for one pre-filtered picture ``(3, H, W)``, whose masks are of its own shape.

        ``companions`` are the decoded pictures from beside the photo, of those that :meth:`companions` names. A guide
        or mask that is missing, has no content or does not fit is a :class:`BadOption` with its place.
        """
        return self.job_of(Start(pixels=pixels, seed=seed), companions)

    def job_of(self, start: Start, companions: Mapping[str, Picture] = _NONE) -> DreamJob:
        """Return the engine's job for what :meth:`begin` returned.

        Masks that are not among those of ``start`` have to be of its shape as it is now.
        """
        program, pixels = self.program(), start.pixels
        planes = self._companions.masks(pixels, companions, start.masks)
        mask = planes.pop(OWN, None)
        return DreamJob(
            pixels=pixels,
            program=program,
            schedule=arranged(self.arrangement, self.schedule, pixels.shape[1], pixels.shape[2]),
            seed=start.seed,
            ascent=Direction(self.ascent.guard("ascent"), partial(self.ascent.spec.direction, **self.ascent.options)),
            canvas=self.canvas,
            transforms=tuple(
                View(each.guard("transform"), partial(each.spec.apply, **each.options)) for each in self.transforms
            ),
            options=picture_options(self.terms),
            mask=mask,
            planes=planes,
            guides=self._companions.guides(program.network.min_side_px, companions),
        )

    def placed(self, error: BadOption) -> BadOption:
        """Return an error that the engine found with the place of the option that its first word names: of a term, an
        ascent, a transform, or the weights. One that names nothing is returned as it is."""
        first_word = str(error).split(" ", 1)[0].rstrip(":")
        for term in self.terms:
            options = (*term.objective.options, "mask")
            tap = error.tap if isinstance(error, UnknownTap) else None
            for name in options:
                named = first_word == prefixed(term, name)
                is_default = tap == self.model.spec.default_tap and name not in term.objective.places
                if tap is not None and is_default and _names_tap(term, name, tap):
                    return BadOption(f"{self.default_tap_place}: {error}")
                if named or (tap is not None and _names_tap(term, name, tap)):
                    return BadOption(f"{term.where(name)}: {str(error).removeprefix(f'{term.label}.')}")
            if term.label and first_word == term.label:
                return BadOption(f"{term.place or term.where('name')}: {error}")
        if first_word == "objective" or isinstance(error, UnknownTap):
            # Each term's word on a gradient that is zero is of use only if no other term has one.
            hint = self.terms[0].if_zero() if len(self.terms) == 1 and _IS_ZERO in str(error) else ""
            return BadOption(f"{self.place}: {error}{hint}")
        if first_word == WEIGHTS.name:
            return BadOption(f"{self.weights_place}: {str(error).removeprefix(f'{WEIGHTS.name}: ')}")
        place = self._place_on_the_way(first_word, str(error))
        return BadOption(f"{place}: {error}") if place else error

    def _place_on_the_way(self, option: str, said: str) -> str | None:
        """Return where an option of a transform or of the ascent stands, or where its owner does if nobody wrote it.

        Of several owners of such an option, one is meant that has the value which is told with it.
        """
        everything: list[Configured[Any]] = [*self.transforms, self.ascent, self.arrangement]
        owners = [each for each in everything if option in each.options]
        told = said.removeprefix(f"{option} ")
        owners.sort(key=lambda owner: not re.match(rf"{re.escape(str(owner.options[option]))}(?![\w.])", told))
        return owners[0].places.get(option, owners[0].places["name"]) if owners else None

    def masks(self, pixels: Tensor, companions: Mapping[str, Picture] = _NONE) -> dict[str, Tensor]:
        """Return the masks of a photo ``(3, H, W)`` that :meth:`begin` takes along: all that are of its shape. One that
        is missing is a :class:`BadOption` with its place."""
        return self._companions.masks(pixels, companions)

    def begin(self, start: Start) -> Start:
        """Return a photo after the pre-filters, with the transparency and the masks that go with it."""
        return before_dream(self.prefilters, start, self.filter_seconds)

    def prefilter(self, pixels: Tensor, seed: int) -> Tensor:
        """Return ``pixels`` ``(3, H, W)`` after the pre-filters, in [0, 1]; the size may have changed."""
        return self.begin(Start(pixels=pixels, seed=seed)).pixels

    def postfilter(self, dream: Tensor, source: Tensor, seed: int) -> Tensor:
        """Return ``dream`` ``(3, H, W)`` after the post-filters, in [0, 1].

        ``source`` is the picture before the dream; it is resized to the dream if it has another size.
        """
        return self.finish(Finish(dream=dream, source=source, seed=seed)).dream

    def finish(self, finish: Finish) -> Finish:
        """Return a dream after the post-filters, with the transparency that goes with it."""
        return after_dream(self.postfilters, finish, self.filter_seconds)

    @cached_property
    def _canonical(self) -> str:
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    @property
    def _all_terms(self) -> tuple[Term, ...]:
        """Its own terms and those of its journey."""
        segments = () if self.journey is None else self.journey.segments
        return (*self.terms, *(term for segment in segments for term in segment.terms))

    @property
    def _companions(self) -> Companions:
        return Companions(terms=self.terms, mask=self.mask, mask_place=self.mask_place)


def _names_tap(term: Term, option: str, tap: str) -> bool:
    value = term.objective.options.get(option)
    return value == tap or (isinstance(value, tuple) and tap in value)
