"""The one way from merged layers to a :class:`ResolvedRecipe`: every name looked up, every value checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_engine.errors import BadOption, unknown
from deepdream_engine.records import Schedule
from deepdream_plugins.options import Value, coerce, fill
from deepdream_plugins.records import ModelSpec
from deepdream_plugins.resolving.atlas import build_atlas
from deepdream_plugins.resolving.keys import (
    FIELDS,
    KEYS,
    MASK,
    MOST_OCTAVES,
    OUTPUT,
    PER_OCTAVE,
    SCHEDULE,
    SINGLE,
    STOP_SCORE,
    WEIGHTS,
)
from deepdream_plugins.resolving.layers import Layer, Merged, Placed, merge
from deepdream_plugins.resolving.looking_up import (
    Fitting,
    configured,
    configured_list,
    existing_file,
    look_up,
    placed_values,
)
from deepdream_plugins.resolving.moving_building import JourneyBuilder, without_journeys_terms
from deepdream_plugins.resolving.moving_keys import FILM, VIDEO
from deepdream_plugins.resolving.resolved import ResolvedRecipe
from deepdream_plugins.resolving.terms import Term, TermBuilder
from deepdream_plugins.toml_source import dotted

if TYPE_CHECKING:
    from deepdream_plugins.catalogue import Catalogue
    from deepdream_plugins.hosting.host import Owned

_DEFAULTS = Layer(
    {"model": "dreamnet", "objective": "l2", "ascent": "mean_abs", "schedule": "pyramid", "output": {}},
    lambda *keys: f"default: {dotted(*keys)}",
)


class Builder:
    """Resolves recipes against one catalogue; relative paths are relative to ``base_dir``."""

    def __init__(self, catalogue: Catalogue, base_dir: Path) -> None:
        self._catalogue = catalogue
        self._base_dir = base_dir

    def build(self, name: str, layers: Sequence[Layer]) -> ResolvedRecipe:
        """Return the recipe that ``layers`` make, the oldest first, or raise :class:`BadOption`."""
        from deepdream_engine.pictures import OutputOptions

        for layer in layers:
            for key in layer.table:
                if key not in KEYS:
                    raise BadOption(f"{layer.where(key)}: {unknown('recipe option', key, KEYS)}")
        merged = merge([_DEFAULTS, *layers])
        values = merged.values
        single: dict[str, Any] = {option.name: _single(merged, option.name) for option in SINGLE}
        del single["help"]  # only checked
        schedule = replace(_schedule(merged), stop_score=single.pop(STOP_SCORE.name))
        output: dict[str, Any] = fill(OUTPUT, *placed_values(merged.tables["output"], "output"), of="output")
        table = merged.tables["model"]
        model, weights = self._model(table)
        fitting = Fitting(model.spec, table["name"].layer, self._base_dir)
        mask = values.get(MASK.name)

        def terms_of(part: Merged) -> tuple[Term, ...]:
            return TermBuilder(self._catalogue.objectives, part, fitting).build()

        terms = terms_of(without_journeys_terms(merged))
        journey = JourneyBuilder(merged, terms_of, schedule, terms).build()
        is_ascent_filmed = output.pop("steps") == "film"
        if is_ascent_filmed and journey is not None:
            raise BadOption(
                f'{merged.tables["output"]["steps"].where()}: steps = "film" films the ascent of one picture, and this '
                'recipe has a journey, which is a film already. Leave out one: steps = "dream" keeps the journey.'
            )
        film, video = (merged.tables.get(key, {}) for key in ("film", "video"))
        return ResolvedRecipe(
            name=name,
            model=model,
            weights=weights,
            default_tap_place=self._catalogue.host.place_of_model(model.owner, model.spec.name, "default_tap"),
            weights_place=table.get(WEIGHTS.name, table["name"]).where(),
            place=merged.tables["objective"]["name"].where(),
            terms=terms,
            journey=journey,
            is_ascent_filmed=is_ascent_filmed,
            film=fill(FILM, *placed_values(film, "film"), of="film") if film else {},
            video=fill(VIDEO, *placed_values(video, "video"), of="video") if video else {},
            atlas=build_atlas(merged.tables, terms),
            ascent=configured(self._catalogue.ascents, "ascent", merged.tables["ascent"], self._base_dir),
            transforms=configured_list(
                self._catalogue.transforms, "transform", values.get("transforms"), self._base_dir
            ),
            schedule=schedule,
            arrangement=configured(self._catalogue.schedules, "schedule", merged.tables["schedule"], self._base_dir),
            mask=fitting.mask(mask) if mask else "",
            mask_place=mask.where() if mask else MASK.name,
            prefilters=configured_list(self._catalogue.prefilters, "filter", values.get("prefilters"), self._base_dir),
            postfilters=configured_list(
                self._catalogue.postfilters, "filter", values.get("postfilters"), self._base_dir
            ),
            output=OutputOptions(**output),
            filter_seconds=self._catalogue.host.selection.filter_seconds,
            **single,
        )

    def _model(self, table: dict[str, Placed]) -> tuple[Owned[ModelSpec], Path | None]:
        owned = look_up(self._catalogue.models, table["name"].value, table["name"].where())
        weights = None
        for key, placed in table.items():
            if key == WEIGHTS.name:
                path = str(coerce(WEIGHTS, placed.value, placed.where))
                weights = existing_file(self._base_dir, path, placed.where())
            elif key != "name":
                message = unknown(f"option of model {owned.spec.name!r}", key, ["name", WEIGHTS.name])
                raise BadOption(f"{placed.where()}: {message}")
        return owned, weights


def _single(merged: Merged, key: str) -> Value | None:
    option = next(option for option in SINGLE if option.name == key)
    placed = merged.values.get(key)
    return option.default if placed is None else coerce(option, placed.value, placed.where)


def _schedule(merged: Merged) -> Schedule:
    """Return the pyramid; the newest of ``octaves`` and the lists with one value per octave says how many octaves there
    are, and no other may say something else."""
    values = {option.name: merged.values[option.name] for option in SCHEDULE if option.name in merged.values}
    lists = {key: values[key] for key in PER_OCTAVE if key in values and isinstance(values[key].value, list | tuple)}
    chosen: dict[str, Any] = {}
    for option in SCHEDULE:
        name, placed = option.name, values.get(option.name)
        if placed is None:
            chosen[name] = option.default
        else:
            chosen[name] = coerce(replace(option, many=name in lists), placed.value, placed.where)
    if lists:
        said = ["octaves", *lists] if "octaves" in values else [*lists]
        newest = max(said, key=lambda key: values[key].layer)  # the first of those that are equally new
        if newest in lists:
            chosen["octaves"] = len(values[newest].value)
            if chosen["octaves"] > MOST_OCTAVES:
                raise BadOption(
                    f"{values[newest].where()}: {newest} has {chosen['octaves']} values, but there are at most "
                    f"{MOST_OCTAVES} octaves; give one value for each octave, or a single value for all of them."
                )
        for key, placed in lists.items():
            if len(placed.value) != chosen["octaves"]:
                raise _unequal(key, placed, newest, values[newest], chosen["octaves"])
    if chosen["octaves_above"] >= chosen["octaves"]:
        raise BadOption(
            f"{values['octaves_above'].where()}: {chosen['octaves_above']} octaves above the picture's size leave none "
            f"of the {chosen['octaves']} for the picture itself; give at most {chosen['octaves'] - 1}, or more octaves."
        )
    return Schedule(**{FIELDS.get(name, name): value for name, value in chosen.items()})


def _unequal(key: str, placed: Placed, newest: str, deciding: Placed, octaves: int) -> BadOption:
    """Return the error that the list ``key`` has another length than ``newest`` says, at what was written last."""
    is_as_new = placed.layer == deciding.layer
    says = f"octaves is {octaves}" if newest == "octaves" else f"{newest} has {octaves}"
    if is_as_new:
        what = f"{placed.where()}: {key} has {len(placed.value)} values, but {says}"
    else:
        says = says if newest == "octaves" else f"{says} values"
        what = f"{deciding.where()}: {says}, but {key} has {len(placed.value)} ({placed.where()})"
    return BadOption(
        f"{what}; give one value for each octave, the smallest octave first, or a single value for all of them."
    )
