"""``deepdream config``: whether the configuration is right, what it may say, and its schema for editors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepdream_daemon.commands.group import USAGE, Exit, complain
from deepdream_daemon.commands.shared import config_option, explain_unless_called, json_option, print_json
from deepdream_daemon.terminal.messages import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepdream_daemon.configuration.key import Key
    from deepdream_plugins.records import Option


_NAMED = {
    "models": ("[models.NAME]", "Networks of your own, one of torchvision, timm, file and builder each."),
    "recipes": (
        "[recipes.NAME]",
        "Recipes of your own. Beside these keys: base; model, objective, ascent and schedule, each a name or a table "
        "with a name and options; terms; and the lists transforms, prefilters and postfilters.",
    ),
}


@click.group(invoke_without_command=True)
@click.pass_context
def config(ctx: click.Context) -> None:
    """Check the configuration, or explain what it may say."""
    explain_unless_called(ctx)


@config.command()
@config_option
@click.pass_context
def check(ctx: click.Context, config: Path | None) -> None:
    """Find all that is wrong with the configuration."""
    from deepdream_daemon.configuration.assembly import assemble, unknown_recipes
    from deepdream_daemon.configuration.config import load_settings
    from deepdream_daemon.configuration.schema import is_stale
    from deepdream_daemon.configuration.sinks import look_up_sinks
    from deepdream_engine.errors import BadOption
    from deepdream_plugins.hosting.loading import TRAINED

    path = _path(config)
    assembly = assemble(path)
    sinks, bad_sinks = look_up_sinks(assembly.settings, assembly.catalogue, assembly.where)
    wrong = [*assembly.book.check().values(), *unknown_recipes(assembly), *bad_sinks]
    absent = {each.name: each.reason for entries in sinks.values() for each in entries if each.sink is None}
    wrong += [BadOption(f"the sink {name!r} cannot be used: {reason}") for name, reason in absent.items()]
    try:
        load_settings(path)
    except BadOption as error:  # a folder does not exist: all else was right just now
        wrong.append(error)
    for each in wrong:
        complain(str(each))
    for plugin in assembly.catalogue.plugins:
        if plugin.state == "failed":
            complain(f"the plugin {plugin.name!r} has failed: {plugin.reason}")
        elif plugin.note and plugin.name == TRAINED:
            complain(plugin.note)
    if is_stale(path, assembly):
        complain("config.schema.json is of other plugins or recipes. Refresh it: deepdream config schema --write")
    if wrong:
        ctx.exit(USAGE)
    folders, recipes = len(assembly.settings.folders), len(assembly.settings.recipes)
    click.echo(f"{readable(path)} is right. Watched folders: {folders}. Recipes of your own: {recipes}.")
    if assembly.settings.models:
        click.echo("Networks of your own are not loaded here: 'deepdream plugins --check' tries them.")


@config.command()
@click.option("--write", is_flag=True, help="Write it beside the configuration, where its first line names it.")
@config_option
def schema(write: bool, config: Path | None) -> None:
    """Print the JSON schema by which editors check and complete it."""
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.configuration.config import find_config
    from deepdream_daemon.configuration.schema import DIRECTIVE, config_schema, names_schema, write_schema

    if not write:
        print_json(config_schema(assemble(find_config(config))))
        return
    path = _path(config)
    click.echo(f"Wrote {readable(write_schema(path, assemble(path)))}")
    if not names_schema(path):
        click.echo(f"Let the first line of {readable(path)} be: {DIRECTIVE}")


@config.command()
@click.argument("table", required=False)
@json_option
@click.pass_context
def keys(ctx: click.Context, table: str | None, as_json: bool) -> None:
    """List the keys of all tables, or of TABLE, and what they may be."""
    from deepdream_daemon.commands.pages import option_row
    from deepdream_daemon.configuration.settings import TABLES, keys_in
    from deepdream_engine.errors import BadOption, unknown

    known = [*TABLES, *_NAMED]
    if table is not None and table not in known:
        raise BadOption(unknown("table", table, known))
    shown = known if table is None else [table]
    if as_json:
        print_json({name: [_key_dict(key) for key in keys_in(name)] or _option_dicts(name) for name in shown})
        return
    formatter = ctx.make_formatter()
    for name in shown:
        header, about = _NAMED.get(name) or (f"[{name}]", TABLES[name])
        formatter.write(f"{header}\n")
        with formatter.indentation():
            formatter.write_text(about)
            formatter.write_paragraph()
            rows = [(key.name, f"{key.help}  [{_words(key)}]") for key in keys_in(name)]
            formatter.write_dl(rows or list(map(option_row, _options(name))))
        formatter.write_paragraph()
    click.echo(formatter.getvalue().rstrip("\n"))


def _options(table: str) -> Sequence[Option]:
    from deepdream_plugins.describing.reference import recipe_options
    from deepdream_plugins.own_models import OPTIONS

    return OPTIONS if table == "models" else recipe_options()


def _option_dicts(table: str) -> list[dict[str, Any]]:
    from deepdream_daemon.commands.pages import option_dict

    return [option_dict(option) for option in _options(table)]


def _path(config: Path | None) -> Path:
    from deepdream_daemon.configuration.config import find_config

    path = find_config(config)
    if path is None:
        raise Exit("there is no configuration. Make one: deepdream init", USAGE)
    return path


def _words(key: Key) -> str:
    """Return what a key may be, and its default."""
    from deepdream_daemon.configuration.tables import kind_words
    from deepdream_plugins.describing.snippets import toml_value

    if key.is_needed:
        return f"{kind_words(key)}; must be given"
    if key.default is None or key.default == {}:
        return f'{kind_words(key)}; default: "auto"' if key.auto else kind_words(key)
    return f"{kind_words(key)}; default: {toml_value(key.default)}"


def _key_dict(key: Key) -> dict[str, Any]:
    return {
        "name": key.name,
        "type": key.type,
        "default": None if key.is_needed else "auto" if key.auto else key.default,
        "is_needed": key.is_needed,
        "minimum": key.minimum,
        "maximum": key.maximum,
        "choices": key.choices,
        "help": key.help,
    }
