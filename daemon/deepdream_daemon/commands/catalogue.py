"""The records that a configuration may name: lists of each kind with their options, and a page about each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepdream_daemon.commands.shared import config_option, json_option, print_json, print_table

if TYPE_CHECKING:
    from deepdream_plugins.catalogue import Catalogue
    from deepdream_plugins.hookspecs import Kind

Entry = tuple["Kind", Any, str]
"""The kind of a record, the record and its plugin."""


def _command(name: str, help: str, show: Callable[[Sequence[Entry]], None]) -> click.Command:
    """Return the command that lists the records which ``deepdream_NAME`` hooks give, or explains one of them."""

    @click.command(name, help=help, add_help_option=False)
    @click.argument("record", metavar="[NAME]", required=False)
    @config_option
    @json_option
    @click.option("-h", "--help", "explain", is_flag=True, help="Show this message, or the page about NAME.")
    @click.pass_context
    def command(ctx: click.Context, record: str | None, config: Path | None, as_json: bool, explain: bool) -> None:
        from deepdream_daemon.commands.pages import page
        from deepdream_daemon.configuration.assembly import assemble

        if explain and record is None:
            click.echo(ctx.get_help())
            return
        entries = list(_entries(assemble(config).catalogue, name, record))
        if as_json:
            print_json([_entry_dict(*entry) for entry in entries])
        elif record is None:
            show(entries)
        else:
            click.echo("\n".join(page(ctx.make_formatter(), *entry) for entry in entries), nl=False)

    return command


def _entries(catalogue: Catalogue, name: str, record: str | None) -> Iterator[Entry]:
    """Yield the records of a command, or those called ``record``, of which there must be one."""
    from deepdream_plugins.hookspecs import KINDS, PREFIX

    wanted = (f"pre{name}", f"post{name}") if name == "filters" else (name,)
    kinds = [kind for kind in KINDS if kind.hook.removeprefix(PREFIX) in wanted]
    shelves = [(kind, getattr(catalogue, kind.hook.removeprefix(PREFIX))) for kind in kinds]
    if record is not None and not any(record in shelf for _, shelf in shelves):
        word = shelves[0][0].word if len(shelves) == 1 else "filter"
        raise shelves[0][1].missing(word, record, dict.fromkeys(each for _, shelf in shelves for each in shelf))
    for kind, shelf in shelves:
        for each, owned in shelf.items():
            if record in (None, each):
                yield kind, owned.spec, owned.owner


def _entry_dict(kind: Kind, spec: Any, owner: str) -> dict[str, Any]:
    from deepdream_daemon.commands.pages import option_dict
    from deepdream_plugins.hookspecs import MODELS

    data = {"name": spec.name, "owner": owner, "kind": kind.word.replace("-", ""), "help": spec.help}
    if kind is MODELS:
        return {**data, **{key: getattr(spec, key) for key in ("default_tap", "weights", "min_side_px")}}
    return {**data, "options": [option_dict(option) for option in spec.options]}


def _show_models(entries: Sequence[Entry]) -> None:
    rows: list[tuple[str, ...]] = []
    for _, spec, owner in entries:
        rows.append((spec.name, spec.help, spec.default_tap, owner))
        rows.append(("", f"weights: {spec.weights}", "", ""))
    print_table(("model", "what it is", "default layer", "plugin"), rows)


def _show(entries: Sequence[Entry]) -> None:
    """Show records, each followed by its options; their kind only if there are several."""
    from deepdream_daemon.commands.pages import option_words

    words = {kind.word for kind, _, _ in entries}
    rows: list[tuple[object, ...]] = []
    for kind, spec, owner in entries:
        rows.append((spec.name, "", spec.help, kind.word.replace("-", ""), owner))
        rows += [("", option.name, f"{option_words(option)}: {option.help}", "", "") for option in spec.options]
    if len(words) < 2:
        print_table((*words, "option", "what it does", "plugin"), [(*row[:3], row[4]) for row in rows])
    else:
        print_table(("filter", "option", "what it does", "kind", "plugin"), rows)


models = _command("models", "List the networks that can dream, or explain NAME.", _show_models)
objectives = _command("objectives", "List what can be maximised, or explain NAME.", _show)
ascents = _command("ascents", "List the ways from gradients to steps, or explain NAME.", _show)
transforms = _command("transforms", "List the random changes before steps, or explain NAME.", _show)
schedules = _command("schedules", "List the ways to arrange octaves, or explain NAME.", _show)
filters = _command("filters", "List the filters before and after, or explain NAME.", _show)
sinks = _command("sinks", "List where dreams can be brought to, or explain NAME.", _show)
