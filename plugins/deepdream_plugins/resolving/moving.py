"""The journey of a recipe: its timeline, and what each segment maximises, resolved.

Each frame's job is made as a still's would be, by a recipe that differs from the whole only in objective and schedule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deepdream_engine.motion.timeline import Moment, Segment, Share, Timeline, Track
from deepdream_engine.records import DreamJob, Schedule
from deepdream_plugins.options import Value
from deepdream_plugins.resolving.filtering import Start
from deepdream_plugins.resolving.moving_keys import LENGTH, SEGMENTS, WEIGHT
from deepdream_plugins.resolving.telling import told_objective
from deepdream_plugins.resolving.terms import Term

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.motion.journey import Journey, Kept
    from deepdream_engine.pictures import Picture
    from deepdream_plugins.resolving.resolved import ResolvedRecipe


@dataclass(frozen=True, kw_only=True)
class SegmentRecipe:
    """One segment in a recipe's words: ``values`` are those of ``moving_keys.SEGMENT`` that it has, ``weights`` the
    keyframes of its terms' weights by their names."""

    terms: tuple[Term, ...]
    length: float
    values: Mapping[str, Value]
    weights: Mapping[str, Track]

    def to_dict(self, *, paths: bool) -> dict[str, Any]:
        """Return what a recipe says to get this."""
        told: dict[str, Any] = {**told_objective(self.terms, paths=paths), LENGTH.name: self.length}
        told |= {key: list(value) if isinstance(value, tuple) else value for key, value in self.values.items()}
        if self.weights:
            told[WEIGHT.name] = {name: list(track) for name, track in self.weights.items()}
        return told

    def on_timeline(self, frames: int, step_size: float) -> Segment:
        """Return the segment on a timeline where one of length 1 has ``frames`` frames; ``step_size`` is the recipe's
        own."""
        count = max(1, round(frames * self.length))
        values: Mapping[str, Any] = self.values
        sizes: Track = values.get("step_size", (step_size,))
        return Segment(
            frames=count,
            fade=round(values["fade"] * count),
            easing=values["easing"],
            zoom=values["zoom"],
            degrees=values["rotate"],
            pan=(values["pan_right"], values["pan_down"]),
            centre=(values["centre_x"], values["centre_y"]),
            strength=tuple(size / step_size for size in sizes),
            weights=self.weights,
            steps=values.get("steps"),
            octaves=values.get("octaves"),
        )


@dataclass(frozen=True, kw_only=True)
class JourneyRecipe:
    """Segments, and the timeline that they make; the rest is as ``moving_keys.JOURNEY`` says."""

    segments: tuple[SegmentRecipe, ...]
    timeline: Timeline
    frames: int
    start: str
    lock: str
    kernel: str

    def still(self, recipe: ResolvedRecipe, moment: Moment) -> ResolvedRecipe:
        """Return the recipe of one frame of ``recipe``'s journey."""
        return replace(
            recipe,
            terms=self._terms(moment, balance=recipe.balance),
            schedule=_schedule(recipe.schedule, moment),
            journey=None,
        )

    def stills(self, recipe: ResolvedRecipe) -> Iterator[ResolvedRecipe]:
        """Yield the recipe of the first frame of every segment: all that a journey takes from files is in these."""
        for index, segment in enumerate(self.timeline.segments):
            begun = Timeline(segments=(replace(segment, fade=0),)).at(0)
            (share,) = begun.shares
            yield self.still(recipe, replace(begun, shares=(replace(share, segment=index),)))

    def production(
        self, recipe: ResolvedRecipe, first: Tensor, seed: int, companions: Mapping[str, Picture], kept: Kept
    ) -> Journey:
        """Return the journey of ``recipe`` from a photo after the pre-filters, ``(3, H, W)``.

        ``companions`` are the decoded pictures from beside the photo, ``kept`` is where the first frames of a loop lie.
        """
        from deepdream_engine.motion.journey import Journey, noise

        def stage(start: Tensor, moment: Moment, frame_seed: int) -> DreamJob:
            return self.still(recipe, moment).job_of(Start(pixels=start, seed=frame_seed), companions)

        is_noise = self.start == "noise"
        return Journey(
            noise(first.shape[1], first.shape[2], seed) if is_noise else first,
            self.timeline,
            stage,
            seed=seed,
            lock=self.lock,
            kernel=self.kernel,
            from_noise=is_noise,
            kept=kept,
        )

    def to_dict(self, *, paths: bool = True) -> dict[str, Any]:
        """Return what a recipe says under ``journey`` to get this."""
        return {
            "frames": self.frames,
            "way": self.timeline.way,
            "start": self.start,
            "lock": self.lock,
            "kernel": self.kernel,
            SEGMENTS: [segment.to_dict(paths=paths) for segment in self.segments],
        }

    def _terms(self, moment: Moment, *, balance: bool) -> tuple[Term, ...]:
        """Return what is maximised in one frame: one segment's terms, or both segments' in one sum.

        The weights are numbers of each picture, so films at different places of a fade share passes. Where terms are
        balanced, each segment counts by its share alone, however many terms it has.
        """
        if len(moment.shares) == 1:
            (share,) = moment.shares
            return tuple(_weighted(term, share) for term in self.segments[share.segment].terms)
        terms: list[Term] = []
        for share in moment.shares:
            own = [_weighted(term, share) for term in self.segments[share.segment].terms]
            strength = sum(abs(term.factor) for term in own) if balance else 1.0
            terms += [
                replace(
                    term,
                    label=f"s{share.segment + 1}_{term.label or term.objective.spec.name}",
                    factor=term.factor * share.share / (strength or 1.0),
                )
                for term in own
            ]
        return tuple(terms)


def _weighted(term: Term, share: Share) -> Term:
    return replace(term, factor=term.factor * share.weights.get(term.label, 1.0))


def _schedule(schedule: Schedule, moment: Moment) -> Schedule:
    """Return the schedule of one frame; lists with a value for each octave keep those of the largest octaves."""
    octaves = moment.octaves or schedule.octaves
    fitted: dict[str, Any] = {
        name: value[-octaves:] if len(value) >= octaves else (value[0],) * (octaves - len(value)) + value
        for name in ("steps", "step_size", "jitter_px")
        if isinstance(value := getattr(schedule, name), tuple)
    }
    changed = replace(schedule, octaves=octaves, **fitted)
    sizes = changed.step_size
    strength = moment.strength
    return replace(
        changed,
        steps=moment.steps or changed.steps,
        step_size=tuple(size * strength for size in sizes) if isinstance(sizes, tuple) else sizes * strength,
    )
