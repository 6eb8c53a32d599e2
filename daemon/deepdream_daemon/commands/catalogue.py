"""What there is to choose from: recipes, models with their layers and classes, objectives, ascents, transforms,
filters, schedules and sinks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepdream_daemon.commands.shared import config_option, json_option, print_json, print_table
from deepdream_daemon.terminal.messages import readable
from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from deepdream_plugins.records import Option


@click.command()
@click.argument("name", required=False)
@config_option
@json_option
def recipes(name: str | None, config: Path | None, as_json: bool) -> None:
    """List the recipes, or show all that NAME says."""
    from deepdream_daemon.configuration.assembly import assemble

    book = assemble(config).book
    if name is not None:
        data = book.resolve(name).to_dict()
        if as_json:
            print_json(data)
        else:
            print_table(("key", "value"), _flat(data))
        return
    broken = book.check()
    rows: list[dict[str, Any]] = [
        {
            "name": each,
            "help": book.describe(each),
            "owner": book.owner(each),
            "error": str(broken[each]) if each in broken else None,
        }
        for each in book.names
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("recipe", "what it does", "from"),
        [(row["name"], f"BROKEN: {row['error']}" if row["error"] else row["help"], row["owner"]) for row in rows],
    )


@click.command()
@config_option
@json_option
def models(config: Path | None, as_json: bool) -> None:
    """List the networks that can dream."""
    from deepdream_daemon.configuration.assembly import assemble

    owned = assemble(config).catalogue.models
    if as_json:
        print_json(
            [
                {
                    "name": name,
                    "help": each.spec.help,
                    "default_tap": each.spec.default_tap,
                    "weights": each.spec.weights,
                    "min_side_px": each.spec.min_side_px,
                    "owner": each.owner,
                }
                for name, each in owned.items()
            ]
        )
        return
    rows: list[tuple[str, ...]] = []
    for name, each in owned.items():
        rows.append((name, each.spec.help, each.spec.default_tap, each.owner))
        rows.append(("", f"weights: {each.spec.weights}", "", ""))
    print_table(("model", "what it is", "default layer", "plugin"), rows)


@click.command()
@click.argument("model")
@click.option("--size", default=224, show_default=True, type=click.IntRange(32, 4096), help="Side of the input, in px.")
@config_option
@json_option
def layers(model: str, size: int, config: Path | None, as_json: bool) -> None:
    """List the layers of MODEL and what they tend to show."""
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.layers import list_layers

    spec = assemble(config).catalogue.models[model].spec
    found = list_layers(spec, size)
    if as_json:
        print_json([asdict(layer) for layer in found])
        return
    print_table(
        ("layer", "channels", "height", "width", "tends to show"),
        [(layer.label, layer.channels, layer.height, layer.width, layer.shows) for layer in found],
        right=("channels", "height", "width"),
    )
    click.echo(f"\nUse one: deepdream dream PHOTO --set model={model} --set objective.layer={spec.default_tap}")


@click.command()
@click.argument("model")
@click.argument("word", default="")
@config_option
@json_option
def classes(model: str, word: str, config: Path | None, as_json: bool) -> None:
    """List the classes of MODEL, or those with WORD in their names."""
    from deepdream_daemon.configuration.assembly import assemble

    spec = assemble(config).catalogue.models[model].spec
    if spec.classes is None:
        raise BadOption(f"model {model!r} does not name its classes. 'deepdream layers {model}' lists its layers.")
    found = [(number, name) for number, name in enumerate(spec.classes()) if word.casefold() in name.casefold()]
    if as_json:
        print_json([{"number": number, "name": name} for number, name in found])
        return
    if not found:
        raise BadOption(f"model {model!r} has no class with {word!r} in its name. All: deepdream classes {model}")
    print_table(("number", "class"), found, right=("number",))


@click.command()
@config_option
@json_option
def objectives(config: Path | None, as_json: bool) -> None:
    """List what can be maximised, with the options."""
    _print_shelf("objective", "objectives", config, as_json)


@click.command()
@config_option
@json_option
def ascents(config: Path | None, as_json: bool) -> None:
    """List the ways from gradients to steps, with their options."""
    _print_shelf("ascent", "ascents", config, as_json)


@click.command()
@config_option
@json_option
def transforms(config: Path | None, as_json: bool) -> None:
    """List the random changes of what the network sees."""
    _print_shelf("transform", "transforms", config, as_json)


@click.command()
@config_option
@json_option
def schedules(config: Path | None, as_json: bool) -> None:
    """List the ways to arrange octaves and steps, with their options."""
    _print_shelf("schedule", "schedules", config, as_json)


@click.command()
@config_option
@json_option
def sinks(config: Path | None, as_json: bool) -> None:
    """List the places that dreams can be brought to, with their options."""
    _print_shelf("sink", "sinks", config, as_json)


@click.command()
@config_option
@json_option
def filters(config: Path | None, as_json: bool) -> None:
    """List the filters before and after a dream, with their options."""
    from deepdream_daemon.configuration.assembly import assemble

    catalogue = assemble(config).catalogue
    kinds = (("prefilter", catalogue.prefilters), ("postfilter", catalogue.postfilters))
    records = [
        ({"name": name, "owner": each.owner, "kind": kind}, each.spec)
        for kind, shelf in kinds
        for name, each in shelf.items()
    ]
    _print_records("filter", records, as_json)


def _print_shelf(word: str, shelf: str, config: Path | None, as_json: bool) -> None:
    from deepdream_daemon.configuration.assembly import assemble

    owned = getattr(assemble(config).catalogue, shelf)
    _print_records(word, [({"name": name, "owner": each.owner}, each.spec) for name, each in owned.items()], as_json)


def _print_records(word: str, records: list[tuple[dict[str, Any], Any]], as_json: bool) -> None:
    """Show records, each followed by its options."""
    if as_json:
        print_json(
            [
                {**about, "help": spec.help, "options": [_option_dict(option) for option in spec.options]}
                for about, spec in records
            ]
        )
        return
    rows: list[tuple[object, ...]] = []
    for about, spec in records:
        rows.append((about["name"], "", spec.help, about.get("kind", ""), about["owner"]))
        rows += [("", option.name, f"{_option_words(option)}: {option.help}", "", "") for option in spec.options]
    if all(not row[3] for row in rows):
        rows = [(*row[:3], row[4]) for row in rows]
        print_table((word, "option", "what it does", "plugin"), rows)
    else:
        print_table((word, "option", "what it does", "kind", "plugin"), rows)


def _option_dict(option: Option) -> dict[str, Any]:
    return {**asdict(option), "type": "layer" if option.type.__name__ == "Tap" else option.type.__name__}


def _option_words(option: Option) -> str:
    from deepdream_plugins.options import describe

    words, default = describe(option), option.default
    if default is None or default == "":
        return words
    shown = ", ".join(str(item) for item in default) if isinstance(default, tuple) else str(default).lower()
    return f"{words} [{shown}]"


def _flat(data: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """The recipe as ``objective.layer = …`` lines, in the words of ``--set``."""
    rows: list[tuple[str, str]] = []
    for key, value in data.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            rows.append((f"{prefix}{key}", ", ".join(_item_words(item) for item in value) or "none"))
        else:
            shown = str(value).lower() if isinstance(value, bool) else readable(value)
            rows.append((f"{prefix}{key}", shown))
    return rows


def _item_words(item: object) -> str:
    if not isinstance(item, dict):
        return readable(item)
    options = " ".join(f"{key}={value}" for key, value in item.items() if key != "name")
    return f"{item['name']}({options})" if options else str(item["name"])
