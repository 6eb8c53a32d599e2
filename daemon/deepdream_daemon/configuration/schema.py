"""The JSON schema (draft 2020-12) of ``config.toml``, for editors: from the declared settings, and from the recipes'
keys and options, which depend on the plugins.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.configuration.key import Key
from deepdream_daemon.configuration.settings import TABLES, keys_in
from deepdream_daemon.configuration.tables import AUTO
from deepdream_engine.errors import BadOption
from deepdream_plugins.describing.option_schema import Schema
from deepdream_plugins.describing.schema import own_model_schema, recipe_schemas

if TYPE_CHECKING:
    from deepdream_daemon.configuration.assembly import Assembly

FILE = "config.schema.json"
"""What it is called beside ``config.toml``."""
_TITLE = "DeepDream's configuration"
DIRECTIVE = f"#:schema {FILE}"
"""The first line of a ``config.toml``, by which Taplo and editors that use it find the schema."""


def config_schema(assembly: Assembly) -> Schema:
    """Return the schema of every configuration that has the same plugins as this one."""
    from deepdream_plugins.recipes import RecipeBook

    recipes = {name: assembly.book.describe(name) for name in assembly.book.names}
    defaults = RecipeBook(assembly.catalogue, {"defaults": {}}).resolve("defaults")
    tables = {table: _table(table, recipes) for table in TABLES}
    folders = {"description": TABLES["folders"], "type": "array", "items": tables.pop("folders")}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": _TITLE,
        "type": "object",
        "properties": {
            "folders": folders,
            **tables,
            "models": {
                "description": "Networks of your own: [models.NAME].",
                "type": "object",
                "additionalProperties": own_model_schema(),
            },
            "recipes": {
                "description": "Recipes of your own: [recipes.NAME].",
                "type": "object",
                "propertyNames": {"pattern": r"^\w[\w-]*$"},
                "additionalProperties": {"$ref": "#/$defs/recipe"},
            },
        },
        "additionalProperties": False,
        "$defs": recipe_schemas(assembly.catalogue, recipes, defaults),
    }


def write_schema(config: Path, assembly: Assembly) -> Path:
    """Write the schema beside ``config`` and return where; only a schema that was written so is replaced."""
    path = config.absolute().parent / FILE
    if _read(path) is None and path.exists():
        raise BadOption(f"{str(path)!r} is something else and was left as it is. Move it elsewhere.")
    temporary = path.with_name(f".{FILE}.{os.getpid()}")
    try:
        temporary.write_text(_text(assembly), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def is_stale(config: Path, assembly: Assembly) -> bool:
    """Return whether there is a schema beside ``config`` that is not the one of its plugins and recipes."""
    found = _read(config.absolute().parent / FILE)
    return found is not None and found != json.loads(_text(assembly))


def names_schema(config: Path) -> bool:
    """Return whether the first line of ``config`` names a schema."""
    with config.open(encoding="utf-8-sig", errors="replace") as file:
        return file.readline().startswith("#:schema ")


def _text(assembly: Assembly) -> str:
    return json.dumps(config_schema(assembly), indent=1) + "\n"


def _read(path: Path) -> Schema | None:
    """Return the schema at ``path``, if it is one of ours."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("title") == _TITLE else None


def _table(table: str, recipes: Mapping[str, str]) -> Schema:
    keys = keys_in(table)
    needed = [key.name for key in keys if key.is_needed]
    properties = {key.name: _key(key) for key in keys}
    if "recipe" in properties:
        properties["recipe"]["anyOf"] = [{"enum": list(recipes)}, {}]
    return {
        "description": TABLES[table],
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": needed} if needed else {}),
    }


def _key(key: Key) -> Schema:
    """Return what a key may be; names of sinks are the catalogue's."""
    about: Schema = {"description": key.help}
    if key.auto:
        about["default"] = AUTO
    elif not key.is_needed and key.default not in (None, {}):
        about["default"] = list(key.default) if isinstance(key.default, tuple) else key.default
    text: Schema = {"type": "string", "minLength": 1}
    match key.type:
        case "number" | "integer":
            return {**about, **_number(key)}
        case "boolean":
            return {**about, "type": "boolean"}
        case "text" if key.pattern:
            examples = [{"enum": list(key.choices)}, {}]
            return {**about, "type": "string", "pattern": f"^(?:{key.pattern})$", "anyOf": examples}
        case "text" if key.choices:
            return {**about, "enum": list(key.choices)}
        case "text" | "path":
            return {**about, **text}
        case "strings":
            items = {"type": "string", "pattern": f"^(?:{key.pattern})$"} if key.pattern else text
            return {**about, "type": "array", "items": items}
        case "names":
            return {"$ref": f"#/$defs/{key.name}"}
        case "digests":
            digest = {"type": "string", "pattern": f"^{key.pattern}$"}
            return {**about, "type": "object", "additionalProperties": digest}


def _number(key: Key) -> Schema:
    bounds: Mapping[str, Any] = {"minimum": key.minimum, "maximum": key.maximum}
    number: Schema = {name: bound for name, bound in bounds.items() if bound is not None}
    if key.auto:
        return {"type": [key.type, "string"], "pattern": f"^{AUTO}$", "anyOf": [{"enum": [AUTO]}, {}], **number}
    return {"type": key.type, **number}
