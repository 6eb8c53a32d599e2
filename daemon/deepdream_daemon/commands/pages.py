"""A page about one record, laid out like ``--help``: what it is, its options, and lines of ``config.toml`` that use
it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from deepdream_daemon.terminal.messages import readable
from deepdream_plugins.hookspecs import MODELS, POSTFILTERS, PREFILTERS, SINKS, Kind

if TYPE_CHECKING:
    from deepdream_plugins.records import Option

Rows = list[tuple[str, str]]


def page(formatter: click.HelpFormatter, kind: Kind, spec: Any, owner: str) -> str:
    """Return the page about the record ``spec`` of the plugin ``owner``."""
    from deepdream_plugins.describing.snippets import snippet
    from deepdream_plugins.resolving.keys import WEIGHTS

    formatter.write(f"{kind.word.capitalize()} {spec.name}, of the plugin {owner}\n\n")
    with formatter.indentation():
        formatter.write_text(readable(spec.help))
    if kind is MODELS:
        options = [option_row(WEIGHTS)]
    else:
        options = [option_row(option, may_be_needed=True) for option in spec.options]
    _section(formatter, "Options", options)
    _section(formatter, "Facts", list(_facts(kind, spec)))
    if kind is MODELS:
        _section(formatter, "Layers", [(tap.name, readable(tap.shows)) for tap in spec.taps])
    with formatter.section("In config.toml"):
        for line in snippet(kind, spec).splitlines():
            formatter.write(f"{'':{formatter.current_indent}}{line}".rstrip() + "\n")
    return formatter.getvalue()


def option_dict(option: Option) -> dict[str, Any]:
    """Return an option as JSON-safe data, with its type by name."""
    return {**asdict(option), "type": "layer" if option.type.__name__ == "Tap" else option.type.__name__}


def option_words(option: Option) -> str:
    """Return what an option may be, and its default if it has one."""
    from deepdream_plugins.describing.reference import default_words
    from deepdream_plugins.options import describe

    default = default_words(option)
    return f"{describe(option)} [{default}]" if default else describe(option)


def option_row(option: Option, *, may_be_needed: bool = False) -> tuple[str, str]:
    """Return an option, and what it means and may be, as in ``--help``."""
    from deepdream_plugins.describing.option_schema import is_needed
    from deepdream_plugins.describing.reference import default_words
    from deepdream_plugins.options import describe

    said = [describe(option)]
    if default := default_words(option):
        said.append(f"default: {default}")
    elif is_needed(option) and may_be_needed:
        said.append("required")
    return option.name, f"{readable(option.help)}  [{'; '.join(said)}]"


def _facts(kind: Kind, spec: Any) -> Iterator[tuple[str, str]]:
    if kind is MODELS:
        yield "default layer", spec.default_tap
        yield "weights", readable(spec.weights)
        yield "smallest side", f"{spec.min_side_px} pixels"
        yield "normalised by", f"mean {_numbers(spec.mean)}, deviation {_numbers(spec.std)}"
        if spec.aliases:
            yield "other names of layers", ", ".join(spec.aliases)
        yield "all layers", f"deepdream layers {spec.name}"
        if names := spec.classes() if spec.classes is not None else ():
            yield f"{len(names)} classes", f"deepdream classes {spec.name}"
    if getattr(spec, "only_added", False):
        yield "alone", "has no effect: add it to another objective, as below"
    if kind in (PREFILTERS, POSTFILTERS) and spec.moves:
        goes = "transparency and masks go" if kind is PREFILTERS else "the transparency goes"
        yield "size", f"may change; {goes} with it"
    if kind is SINKS:
        yield "time limit", f"{spec.limit_seconds:g} seconds for each dream"


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _section(formatter: click.HelpFormatter, title: str, rows: Rows) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)
