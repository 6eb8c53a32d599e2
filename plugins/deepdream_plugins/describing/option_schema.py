"""The JSON schema (draft 2020-12) of a record's options, and of names and tables that choose a record.

It is written so that Taplo can use it: Taplo completes from ``properties`` and ``anyOf``, but neither from ``if`` nor
beside ``$ref`` and ``allOf``. So what is *offered* stands in the former and refuses nothing, and what is *refused*
stands in the latter, where each mistake is told once, as what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from deepdream_plugins.records import ClassName, Option, Tap

if TYPE_CHECKING:
    from deepdream_plugins.hosting.host import Owned

Schema = dict[str, Any]
Records = Mapping[str, tuple[Option, ...]]
"""The options of each record, by its name."""


def is_needed(option: Option) -> bool:
    """Return whether ``option`` must be given."""
    return option.default is None and option.type is not Tap


def option_schema(option: Option) -> Schema:
    """Return what an option may be, with its help and default."""
    item = _item(option)
    about = _about(option)
    if not option.many:
        return {**about, **item}
    fewest = 0 if option.default == () else 1
    several = {"type": "array", "items": item, "minItems": fewest}
    return {**about, "if": {"type": "array"}, "then": several, "else": item}


def table_schema(options: Iterable[Option]) -> Schema:
    """Return a table of options, of which none must be there."""
    properties = {option.name: option_schema(option) for option in options}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def record(
    kind: str,
    records: Records,
    *,
    whole: bool = True,
    default: str | None = None,
    other: str | None = None,
    types: tuple[str, ...] = ("string", "object"),
) -> Schema:
    """Return what refuses all but the name of a record, or a table with its name and its options, which is defined as
    ``KIND.NAME``.

    A table without a name is one of ``default``, if there is one. If it is not ``whole``, name and needed options may
    be inherited, and then it has options of any record. ``other`` is a pattern of names that are no record's, which
    take no options. ``types`` are told to who writes something else.
    """
    needs = {name: [each.name for each in options if whole and is_needed(each)] for name, options in records.items()}
    if whole and default is not None:
        nameless = reference(f"{kind}.{default}")
    else:
        nameless = {"required": ["name"]} if whole else _any_options(records)
    names: Schema = {"enum": list(records)}
    named: Schema = {"properties": {"name": names}}
    text: Schema = {"enum": [name for name, needed in needs.items() if not needed]}
    if other is not None:
        is_other = {"type": "string", "pattern": other}
        named = {
            "properties": {"name": {"if": is_other, "then": {}, "else": names}},
            "if": {"properties": {"name": is_other}},
            "then": {"additionalProperties": False, "properties": {"name": {}}},
        }
        text = {"if": is_other, "then": {}, "else": text}
    chain: Schema = {"if": {"required": ["name"]}, "then": named, "else": nameless}
    for name, needed in reversed(needs.items()):
        is_it = {"properties": {"name": {"const": name}}, "required": ["name"]}
        table = reference(f"{kind}.{name}")
        chain = {"if": is_it, "then": {"allOf": [table], "required": needed} if needed else table, "else": chain}
    table_or_wrong = {"if": {"type": "object"}, "then": chain, "else": {"type": list(types)}}
    return {"if": {"type": "string"}, "then": text, "else": table_or_wrong}


def offers(records: Records, helps: Mapping[str, str]) -> Schema:
    """Return what refuses nothing, and makes an editor complete names of records, and their options in tables."""
    owners: dict[str, dict[str, Option]] = {}
    for name, options in records.items():
        for option in options:
            owners.setdefault(option.name, {})[name] = option
    names = suggested(helps, {})
    properties = {option: _offered(by_record, len(records)) for option, by_record in owners.items()}
    return {**names, "properties": {"name": names, **properties}}


def listed(kind: str, shelf: Mapping[str, Owned[Any]]) -> Schema:
    """Return what a list of records may be, of names and of tables with a name, or one of either."""
    records = options_of(shelf)
    item = {**offers(records, helps_of(shelf)), **record(kind, records)}
    alone = record(kind, records, types=("array", "string", "object"))
    return {"items": item, "if": {"type": "array"}, "then": {}, "else": alone}


def _item(option: Option) -> Schema:
    if option.choices:
        return {"enum": list(option.choices)}
    if option.type is ClassName:
        return {"type": ["string", "integer"], "minimum": 0, "maximum": 2**31 - 1}
    if issubclass(option.type, str):
        return {"type": "string"}
    if option.type is bool:
        return {"type": "boolean"}
    bounds = {"minimum": option.minimum, "maximum": option.maximum}
    return {
        "type": "integer" if option.type is int else "number",
        **{name: bound for name, bound in bounds.items() if bound is not None},
    }


def _about(option: Option) -> Schema:
    about: Schema = {"description": option.help}
    if option.default is not None and option.default != "":
        about["default"] = list(option.default) if isinstance(option.default, tuple) else option.default
    return about


def _offered(by_record: Mapping[str, Option], count: int) -> Schema:
    """Return what is known of an option that several records have; it refuses nothing."""
    helps = dict.fromkeys(option.help for option in by_record.values())
    if len(helps) == 1:
        (text,) = helps
        of = "" if len(by_record) == count else f" ({', '.join(by_record)})"
        description = f"{text}{of}"
    else:
        description = "\n\n".join(f"{name}: {option.help}" for name, option in by_record.items())
    values: list[object] = []
    for option in by_record.values():
        values += [True, False] if option.type is bool else option.choices
    choices: Schema = {"anyOf": [{"enum": list(dict.fromkeys(values))}, {}]} if values else {}
    return {"description": description, **choices}


def suggested(helps: Mapping[str, str], others: Schema | None = None) -> Schema:
    """Return names that an editor offers with what each is, though others are right too."""
    docs = {"docs": {"enumValues": list(helps.values())}}
    return {"anyOf": [{"enum": list(helps), "x-taplo": docs}, {"type": "string"} if others is None else others]}


def _any_options(records: Records) -> Schema:
    """Return a table with options of whichever record."""
    every: dict[str, list[Schema]] = {}
    for options in records.values():
        for option in options:
            schema = _item(option) if not option.many else {}
            if schema not in every.setdefault(option.name, []):
                every[option.name].append(schema)
    properties = {name: schemas[0] if len(schemas) == 1 else {"anyOf": schemas} for name, schemas in every.items()}
    return {"properties": properties, "additionalProperties": False}


def reference(name: str) -> Schema:
    """Refer to the definition ``name``."""
    return {"$ref": f"#/$defs/{name}"}


def options_of(shelf: Mapping[str, Owned[Any]]) -> dict[str, tuple[Option, ...]]:
    """Return the options of each record of a shelf."""
    return {name: tuple(getattr(owned.spec, "options", ())) for name, owned in shelf.items()}


def helps_of(shelf: Mapping[str, Owned[Any]]) -> dict[str, str]:
    """Return what each record of a shelf is."""
    return {name: owned.spec.help for name, owned in shelf.items()}
