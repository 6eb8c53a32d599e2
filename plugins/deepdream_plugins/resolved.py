"""A recipe with nothing left open: every name looked up, every option filled, ready for the engine."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from deepdream_engine.errors import BadOption, DeepDreamError, EngineFault, UnknownTap
from deepdream_engine.records import DreamJob, Network, Objective, Program, Schedule
from deepdream_plugins.options import Value
from deepdream_plugins.records import FilterContext, FilterSpec, ModelSpec, ObjectiveSpec, Tap

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.pictures import OutputOptions
    from deepdream_plugins.host import Owned

Spec = TypeVar("Spec", ObjectiveSpec, FilterSpec)


@dataclass(frozen=True, kw_only=True)
class Configured(Generic[Spec]):
    """A record of the plugin ``owner`` with a value for each of its options.

    ``places`` says where the options that somebody wrote stand, such as ``config.toml:7: recipes.x.objective.layer``;
    under ``name`` it has the record's own place.
    """

    spec: Spec
    owner: str
    options: Mapping[str, Value]
    places: Mapping[str, str] = field(default_factory=dict, compare=False)

    def to_dict(self) -> dict[str, Value]:
        """Return what a recipe says to get this."""
        return {"name": self.spec.name, **self.options}


@dataclass(frozen=True, kw_only=True)
class ResolvedRecipe:
    """What :meth:`RecipeBook.resolve` makes of a name; equal recipes make equal dreams of equal pictures."""

    name: str
    model: Owned[ModelSpec]
    weights: Path | None
    objective: Configured[ObjectiveSpec]
    octaves: int
    octave_scale: float
    steps: int
    step_size: float
    jitter: int
    margin: int
    precision: str
    seed: int | None
    prefilters: tuple[Configured[FilterSpec], ...]
    postfilters: tuple[Configured[FilterSpec], ...]
    output: OutputOptions

    def __hash__(self) -> int:
        return hash(self.fingerprint())

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data with every value in it; ``RecipeBook.from_dict`` reads it back."""
        model: dict[str, str] = {"name": self.model.spec.name}
        if self.weights is not None:
            model["weights"] = str(self.weights)
        data: dict[str, Any] = {
            "name": self.name,
            "model": model,
            "objective": self.objective.to_dict(),
            "octaves": self.octaves,
            "octave_scale": self.octave_scale,
            "steps": self.steps,
            "step_size": self.step_size,
            "jitter": self.jitter,
            "margin": self.margin,
            "precision": self.precision,
            "prefilters": [configured.to_dict() for configured in self.prefilters],
            "postfilters": [configured.to_dict() for configured in self.postfilters],
            "output": asdict(self.output),
        }
        if self.seed is not None:
            data["seed"] = self.seed
        return data

    def fingerprint(self) -> str:
        """Return a SHA-256 over everything the recipe says; the same in every process."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def program(self) -> Program:
        """Return what pictures must have in common with this recipe's to share a pass."""
        model, objective = self.model.spec, self.objective
        declared = {option.name: option for option in objective.spec.options}
        taps = {str(objective.options[name]) for name, option in declared.items() if option.type is Tap}
        static = {name: value for name, value in objective.options.items() if not declared[name].per_picture}
        check = objective.spec.check
        return Program(
            network=Network(
                key=(model.name, None if self.weights is None else _identity(self.weights)),
                name=model.name,
                load=partial(model.load, self.weights),
                mean=model.mean,
                std=model.std,
                min_side_px=model.min_side_px,
                aliases=model.aliases,
            ),
            objective=Objective(
                key=(objective.spec.name, tuple(sorted(static.items()))),
                taps=tuple(sorted(taps)),
                score=lambda activations, options: objective.spec.score(activations, **options),
                static=static,
                check=None if check is None else lambda shapes, options: check(shapes, **options),
            ),
            schedule=Schedule(
                octaves=self.octaves,
                octave_scale=self.octave_scale,
                steps=self.steps,
                margin_px=self.margin,
            ),
            precision=self.precision,
        )

    def job(self, pixels: Tensor, seed: int) -> DreamJob:
        """Return the engine's job for one pre-filtered picture ``(3, H, W)``."""
        options: dict[str, float | int] = {}
        for option in self.objective.spec.options:
            value = self.objective.options[option.name]
            if option.per_picture and not isinstance(value, str):
                options[option.name] = value
        return DreamJob(
            pixels=pixels,
            program=self.program(),
            seed=seed,
            step_size=self.step_size,
            jitter_px=self.jitter,
            options=options,
        )

    def placed(self, error: BadOption) -> BadOption:
        """Return an error that the engine found in the objective's options with the place where they were written."""
        places, options = self.objective.places, self.objective.options
        first_word = str(error).split(" ", 1)[0]
        tap = error.tap if isinstance(error, UnknownTap) else None
        names = [name for name in options if name == first_word or (tap is not None and options[name] == tap)]
        place = next((places[name] for name in names if name in places), places.get("name"))
        return error if place is None else BadOption(f"{place}: {error}")

    def prefilter(self, pixels: Tensor, seed: int) -> Tensor:
        """Return ``pixels`` ``(3, H, W)`` after the pre-filters, in [0, 1]; the size may have changed."""
        for configured in self.prefilters:
            pixels = _apply(configured, "pre-filter", pixels, pixels, seed)
        return pixels

    def postfilter(self, dream: Tensor, source: Tensor, seed: int) -> Tensor:
        """Return ``dream`` ``(3, H, W)`` after the post-filters, in [0, 1].

        ``source`` is the picture before the dream; it is resized to the dream if it has another size.
        """
        if self.postfilters and source.shape != dream.shape:
            from torch.nn.functional import interpolate

            source = interpolate(source[None], dream.shape[1:], mode="bicubic", antialias=True)[0].clamp(0, 1)
        for configured in self.postfilters:
            before = dream.shape
            dream = _apply(configured, "post-filter", dream, source, seed)
            if dream.shape != before:
                raise EngineFault(
                    f"{_names(configured, 'post-filter')} changed the size from {_size(before)} to "
                    f"{_size(dream.shape)}; only a pre-filter may."
                )
        return dream


def _identity(weights: Path) -> tuple[str, int, int]:
    """Tell one file of weights from another at the same place, so that a replaced one is loaded anew."""
    try:
        status = weights.stat()
    except OSError as error:
        raise BadOption(f"weights: {str(weights)!r} cannot be read ({error.strerror}). Put it back.") from error
    return str(weights), status.st_size, status.st_mtime_ns


def _apply(configured: Configured[FilterSpec], word: str, pixels: Tensor, source: Tensor, seed: int) -> Tensor:
    """Run one filter on one picture ``(3, H, W)`` and refuse what would spoil the picture silently."""
    import torch

    names = _names(configured, word)
    context = FilterContext(source=source[None], seed=seed)
    try:
        with torch.no_grad():
            result: object = configured.spec.apply(pixels[None], context, **configured.options)
    except DeepDreamError:
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise EngineFault(
            f"{names} failed at {frame.filename}:{frame.lineno}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(result, torch.Tensor):
        raise EngineFault(f"{names} returned {type(result).__name__}, not a tensor.")
    if result.ndim != 4 or result.shape[:2] != (1, 3) or 0 in result.shape:
        raise EngineFault(f"{names} returned the shape {tuple(result.shape)}, not (1, 3, height, width).")
    if result.is_complex() or not torch.isfinite(result).all():
        raise EngineFault(f"{names} returned values that are not finite numbers.")
    return result[0].to(torch.float32).clamp(0, 1)  # (3, H, W)


def _names(configured: Configured[FilterSpec], word: str) -> str:
    return f"the {word} {configured.spec.name!r} of the plugin {configured.owner!r}"


def _size(shape: Sequence[int]) -> str:
    return f"{shape[-1]} × {shape[-2]}"
