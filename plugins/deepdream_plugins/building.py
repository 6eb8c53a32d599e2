"""The one way from merged layers to a :class:`ResolvedRecipe`: every name looked up, every value checked.

What a recipe may say is declared here, with bounds, in the same records that plugins use for their options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from deepdream_engine.errors import BadOption, nearest, unknown
from deepdream_engine.records import PRECISIONS
from deepdream_plugins.layers import Layer, Merged, Placed, as_table, merge
from deepdream_plugins.options import Value, Where, coerce, fill
from deepdream_plugins.records import ModelSpec, ObjectiveSpec, Option, Tap
from deepdream_plugins.resolved import Configured, ResolvedRecipe
from deepdream_plugins.toml_source import dotted

if TYPE_CHECKING:
    from deepdream_plugins.catalogue import Catalogue
    from deepdream_plugins.host import Owned
    from deepdream_plugins.records import FilterSpec

SCHEDULE = (
    Option(name="octaves", type=int, default=4, minimum=1, maximum=20, help="scales of the pyramid"),
    Option(name="octave_scale", type=float, default=1.4, minimum=1.01, maximum=4, help="ratio of the scales"),
    Option(name="steps", type=int, default=10, minimum=1, maximum=1000, help="ascent steps on each octave"),
    Option(name="step_size", type=float, default=1.5, minimum=0.001, maximum=64, help="8-bit levels per step"),
    Option(name="jitter", type=int, default=32, minimum=0, maximum=512, help="largest random shift in pixels"),
    Option(
        name="margin",
        type=int,
        default=0,
        minimum=0,
        maximum=512,
        help="mirrored pixels around the picture while it is dreamt, so that no pattern grows along its borders",
    ),
    Option(
        name="precision",
        type=str,
        default="fp32",
        choices=PRECISIONS,
        help="numbers of the passes: bf16 is quicker on some devices, fp64 gives the same dream on any machine",
    ),
)
SEED = Option(name="seed", type=int, minimum=0, maximum=2**63 - 1, help="derived from content and recipe if absent")
HELP = Option(name="help", type=str, default="", help="one line about the recipe")
OUTPUT = (
    Option(
        name="format",
        type=str,
        default="same",
        choices=("same", "jpeg", "png", "webp", "tiff", "bmp", "gif"),
        help="container of the dream; same is that of the picture",
    ),
    Option(name="quality", type=int, default=92, minimum=1, maximum=100, help="of JPEG and WebP"),
)
WEIGHTS = Option(name="weights", type=str, help="a file of weights, relative to the configuration file")
KEYS = (
    *("base", "help", "model", "objective", "prefilters", "postfilters", "output", "seed"),
    *(option.name for option in SCHEDULE),
)

_DEFAULTS = Layer({"model": "dreamnet", "objective": "l2", "output": {}}, lambda *keys: f"default: {dotted(*keys)}")
_FilterShelf = Mapping[str, "Owned[FilterSpec]"]
_Owned = TypeVar("_Owned")


class Builder:
    """Resolves recipes against one catalogue; relative ``weights`` are relative to ``base_dir``."""

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
        if "help" in values:
            coerce(HELP, values["help"].value, values["help"].where())
        names = [option.name for option in SCHEDULE]
        schedule: dict[str, Any] = _fill_placed(
            SCHEDULE, {key: placed for key, placed in values.items() if key in names}, of=f"recipe {name!r}"
        )
        output: dict[str, Any] = _fill_placed(OUTPUT, merged.tables["output"], of="output")
        seed = coerce(SEED, values["seed"].value, values["seed"].where()) if "seed" in values else None
        model, weights = self._model(merged.tables["model"])
        return ResolvedRecipe(
            name=name,
            model=model,
            weights=weights,
            objective=self._objective(merged, model.spec),
            seed=None if seed is None else int(seed),
            prefilters=_filters(self._catalogue.prefilters, values.get("prefilters")),
            postfilters=_filters(self._catalogue.postfilters, values.get("postfilters")),
            output=OutputOptions(**output),
            **schedule,
        )

    def _model(self, table: dict[str, Placed]) -> tuple[Owned[ModelSpec], Path | None]:
        owned = _look_up(self._catalogue.models, table["name"].value, table["name"].where())
        options = {key: placed for key, placed in table.items() if key != "name"}
        given = {key: placed.value for key, placed in options.items()}
        for key in given:
            if key != WEIGHTS.name:
                message = unknown(f"option of model {owned.spec.name!r}", key, ["name", WEIGHTS.name])
                raise BadOption(f"{options[key].where()}: {message}")
        if not given:
            return owned, None
        placed = options[WEIGHTS.name]
        weights = (self._base_dir / Path(str(coerce(WEIGHTS, placed.value, placed.where()))).expanduser()).absolute()
        if not weights.is_file():
            raise BadOption(f"{placed.where()}: {placed.value!r}: there is no file {weights}.")
        return owned, weights

    def _objective(self, merged: Merged, model: ModelSpec) -> Configured[ObjectiveSpec]:
        table = merged.tables["objective"]
        owned = _look_up(self._catalogue.objectives, table["name"].value, table["name"].where())
        spec = owned.spec
        taps = {option.name for option in spec.options if option.type is Tap}
        # A tap written before the model was chosen names a place in another network; leave it out.
        oldest = merged.tables["model"]["name"].layer
        kept = {key: item for key, item in table.items() if key not in taps or item.layer >= oldest}
        filled = _fill_placed(spec.options, kept, of=f"objective {spec.name!r}", extra=("name",))
        options: dict[str, Value] = {}
        for name, value in filled.items():
            if name in taps:
                place = kept[name].where() if name in kept else f"model {model.name!r}"
                options[name] = _tap(model, model.default_tap if value is None else str(value), place)
            elif value is not None:
                options[name] = value
        places = {name: item.where() for name, item in kept.items()}
        return Configured(spec=spec, owner=owned.owner, options=options, places=places)


def _filters(shelf: _FilterShelf, placed: Placed | None) -> tuple[Configured[FilterSpec], ...]:
    if placed is None:
        return ()
    if not isinstance(placed.value, list | tuple):
        raise BadOption(f'{placed.where()}: {placed.value!r} is not a list; write [ "name", {{ name = … }} ].')
    return tuple(_filter(shelf, item, _prefixed_item(placed.where, i)) for i, item in enumerate(placed.value))


def _filter(shelf: _FilterShelf, item: object, where: Where) -> Configured[FilterSpec]:
    table, place = as_table(item, where)
    owned = _look_up(shelf, table.get("name"), place("name"))
    spec = owned.spec
    filled = fill(spec.options, table, place, of=f"filter {spec.name!r}", extra=("name",))
    options = {name: value for name, value in filled.items() if value is not None}
    return Configured(spec=spec, owner=owned.owner, options=options)


def _look_up(shelf: Mapping[str, _Owned], name: object, place: str) -> _Owned:
    if not isinstance(name, str):
        raise BadOption(f"{place}: {'a name is missing' if name is None else f'{name!r} is not a name'}.")
    try:
        return shelf[name]
    except BadOption as error:
        raise BadOption(f"{place}: {error}") from None


def _tap(model: ModelSpec, name: str, place: str) -> str:
    """Return the real name of a tap; one the model does not list is an error if the model lists them all."""
    real = model.aliases.get(name, name)
    taps = [tap.name for tap in model.taps]
    if taps and real not in taps:
        hint = nearest(name, [*taps, *model.aliases])
        raise BadOption(f"{place}: unknown tap {name!r} of model {model.name!r}.{hint} Valid: {', '.join(taps)}.")
    return real


def _fill_placed(
    options: Sequence[Option], table: Mapping[str, Placed], *, of: str, extra: tuple[str, ...] = ()
) -> dict[str, Value | None]:
    """Fill ``options`` from placed values; one that must be given is missed where the table's name stands."""

    def where(*keys: str | int) -> str:
        placed = table.get(str(keys[0])) if keys else table.get("name")
        return placed.where(*keys[1:]) if placed else of

    return fill(options, {key: item.value for key, item in table.items()}, where, of=of, extra=extra)


def _prefixed_item(where: Where, index: int) -> Where:
    return lambda *keys: where(index, *keys)
