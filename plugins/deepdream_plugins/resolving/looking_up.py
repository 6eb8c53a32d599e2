"""From a name and placed options to a :class:`Configured` record: looked up, filled, fitted to the model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from deepdream_engine.errors import BadOption, nearest
from deepdream_plugins.options import Item, Value, Where, coerce, fill
from deepdream_plugins.records import ClassName, File, FilterSpec, ModelSpec, ObjectiveSpec, Option, PictureFile, Tap
from deepdream_plugins.resolving.classes import class_number
from deepdream_plugins.resolving.configured import Configured, Spec
from deepdream_plugins.resolving.keys import MASK, NO_MASK, OUTPUT_TAP
from deepdream_plugins.resolving.layers import Placed, as_table
from deepdream_plugins.unknown_name import UnknownName

if TYPE_CHECKING:
    from deepdream_plugins.hosting.host import Owned

_Owned = TypeVar("_Owned")


def look_up(shelf: Mapping[str, _Owned], name: object, place: str) -> _Owned:
    """Return the record called ``name``, or raise :class:`BadOption` naming ``place``."""
    if not isinstance(name, str):
        raise BadOption(f"{place}: {'a name is missing' if name is None else f'{name!r} is not a name'}.")
    try:
        return shelf[name]
    except UnknownName as error:
        raise error.at(place) from None


def configured_list(
    shelf: Mapping[str, Owned[Spec]], word: str, placed: Placed | None, base_dir: Path
) -> tuple[Configured[Spec], ...]:
    """Return what a list such as ``[ "name", { name = …, options } ]`` names, in its order; paths are relative to
    ``base_dir``."""
    if placed is None:
        return ()
    is_list = isinstance(placed.value, list | tuple)
    if not is_list and not isinstance(placed.value, str | Mapping):
        raise BadOption(f'{placed.where()}: {placed.value!r} is not a list; write [ "name", {{ name = … }} ].')
    found = []
    for index, item in enumerate(placed.value if is_list else [placed.value]):
        table, place = as_table(item, _prefixed_item(placed.where, index) if is_list else placed.where)
        owned = look_up(shelf, table.get("name"), place("name"))
        found.append(_configured(owned, word, table, place, base_dir))
    return tuple(found)


def configured(
    shelf: Mapping[str, Owned[Spec]], word: str, table: Mapping[str, Placed], base_dir: Path
) -> Configured[Spec]:
    """Return what a merged ``{ name = …, options }`` names; paths are relative to ``base_dir``."""
    owned = look_up(shelf, table["name"].value, table["name"].where())
    return _configured(owned, word, *placed_values(table, f"{word} {owned.spec.name!r}"), base_dir)


def _configured(
    owned: Owned[Spec], word: str, table: Mapping[str, object], place: Where, base_dir: Path
) -> Configured[Spec]:
    spec = owned.spec
    filled = fill(spec.options, table, place, of=f"{word} {spec.name!r}", extra=("name",))
    options = {name: value for name, value in filled.items() if value is not None}
    for option in spec.options:
        if option.type is File and (path := str(options[option.name])):
            options[option.name] = str(existing_file(base_dir, path, place(option.name)))
    if isinstance(spec, FilterSpec) and spec.check is not None:
        try:
            spec.check(**options)
        except BadOption as error:
            named = str(error).split(" ", 1)[0].rstrip(":")
            raise BadOption(f"{place(named) if named in table else place('name')}: {error}") from None
    return Configured(
        spec=spec, owner=owned.owner, options=options, places={key: place(key) for key in ("name", *table)}
    )


def placed_values(table: Mapping[str, Placed], of: str) -> tuple[dict[str, object], Where]:
    """Return the values of a merged table and where they stand; an option that must be given is missed where the
    table's name stands."""

    def where(*keys: str | int) -> str:
        placed = table.get(str(keys[0])) if keys else table.get("name")
        return placed.where(*keys[1:]) if placed else of

    return {key: item.value for key, item in table.items()}, where


@dataclass(frozen=True)
class Fitting:
    """What options of objectives are fitted to: the model, the number of the layer that chose it, and the folder that
    pictures are relative to."""

    model: ModelSpec
    model_layer: int
    base_dir: Path

    def objective(
        self, owned: Owned[ObjectiveSpec], table: Mapping[str, Placed], extra: tuple[str, ...]
    ) -> Configured[ObjectiveSpec]:
        """Return the objective with the options of a merged table: taps by their real names, classes by their
        numbers, pictures by their absolute paths. ``extra`` are the keys that may stand beside the options."""
        spec = owned.spec
        taps = {option.name for option in spec.options if option.type is Tap}
        # A tap written before the model was chosen names a place in another network; leave it out.
        kept = {key: item for key, item in table.items() if key not in taps or item.layer >= self.model_layer}
        given, where = placed_values(kept, f"objective {spec.name!r}")
        given.pop("name", None)  # which has been looked up
        filled = fill(spec.options, given, where, of=f"objective {spec.name!r}", extra=extra)
        declared = {option.name: option for option in spec.options}
        options: dict[str, Value] = {}
        for name, value in filled.items():
            place = where(name) if name in kept else f"model {self.model.name!r}"
            options[name] = self._fitted(
                declared[name], self._default(declared[name]) if value is None else value, place
            )
        return Configured(
            spec=spec, owner=owned.owner, options=options, places={key: item.where() for key, item in kept.items()}
        )

    def _default(self, option: Option) -> Value:
        return (self.model.default_tap,) if option.many else self.model.default_tap

    def _fitted(self, option: Option, value: Value, place: str) -> Value:
        if isinstance(value, tuple):
            return tuple(cast(Item, self._fitted(option, item, place)) for item in value)
        if option.type is Tap:
            return self._tap(str(value), place)
        if option.type is ClassName:
            return class_number(self.model, cast("str | int", value), place)
        if option.type in (PictureFile, File):
            return self.picture(str(value), place)
        return value

    def _tap(self, name: str, place: str) -> str:
        """Return the real name of a tap; one the model does not list is an error if the model lists them all."""
        model = self.model
        real = model.aliases.get(name, name)
        taps = [tap.name for tap in model.taps]
        if taps and real not in taps and real != OUTPUT_TAP:
            hint = nearest(name, [*taps, *model.aliases])
            raise BadOption(f"{place}: unknown tap {name!r} of model {model.name!r}.{hint} Valid: {', '.join(taps)}.")
        return real

    def picture(self, path: str, place: str) -> str:
        """Return the absolute path of a picture, of which only its being there is checked; ``""`` stays so."""
        return str(existing_file(self.base_dir, path, place)) if path else ""

    def mask(self, placed: Placed) -> str:
        """Return the same for a written mask, which may also be ``NO_MASK``."""
        path = str(coerce(MASK, placed.value, placed.where))
        return path if path == NO_MASK else self.picture(path, placed.where())

    def classes(self, spec: ObjectiveSpec) -> int | None:
        """Return how many classes the model names, if the objective is about one of them."""
        if self.model.classes is None or not any(option.type is ClassName for option in spec.options):
            return None
        return len(self.model.classes()) or None


def existing_file(base_dir: Path, path: str, place: str) -> Path:
    """Return the absolute path of a file named relative to ``base_dir``, or raise :class:`BadOption`."""
    try:
        file = (base_dir / Path(path).expanduser()).absolute()
    except RuntimeError as error:  # ~somebody
        raise BadOption(f"{place}: {path!r}: {error} Write the path without '~'.") from error
    if file.is_dir():
        raise BadOption(f"{place}: {path!r} is a folder; name a file in it.")
    if not file.is_file():
        siblings: list[str] = []
        with suppress(OSError):
            siblings = [each.name for each in file.parent.iterdir()]
        raise BadOption(f"{place}: {path!r}: there is no file {file}.{nearest(file.name, siblings)}")
    return file


def _prefixed_item(where: Where, index: int) -> Where:
    return lambda *keys: where(index, *keys)
