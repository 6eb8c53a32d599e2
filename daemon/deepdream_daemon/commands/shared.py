"""What several commands share: the options ``--config`` and ``--json``, tables, JSON and readable paths."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from deepdream_daemon.terminal.messages import readable

Command = TypeVar("Command", bound=Callable[..., Any])

PATH: Any = click.Path(path_type=Path, readable=False)
"""Any path: whether it can be read is found out, and said, one file at a time."""


def config_option(command: Command) -> Command:
    """Add ``--config FILE``, passed on as ``config``."""
    return click.option(
        "--config",
        type=PATH,
        metavar="FILE",
        help="The configuration; default: $DEEPDREAM_CONFIG, ./config.toml, then the user's own.",
    )(command)


def json_option(command: Command) -> Command:
    """Add ``--json``, passed on as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def explain_unless_called(ctx: click.Context) -> None:
    """Show the help of a group of commands if none of them was named."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def print_json(value: object) -> None:
    """Print ``value`` as JSON in ASCII, so that every file name can be read back as it was."""
    click.echo(json.dumps(value, indent=2, default=str))


def print_path(path: Path) -> None:
    """Print a path byte for byte, for scripts that go on with it."""
    click.echo(os.fsencode(path))


def absolute(path: Path) -> Path:
    """Return the absolute path of a file, its folder resolved, but the file itself not: it may be a link."""
    parent = Path(os.path.abspath(path))  # noqa: PTH100  (Path.absolute keeps "..")
    return parent.parent.resolve() / parent.name


def clock(when: float) -> str:
    """Return a unix time as the clock on the wall showed it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print rows under headings: wrapped to a terminal's width, in full lines elsewhere."""
    cells = [[readable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(columns, cells, right)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in (columns, *cells):
        line = (
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(columns, row, widths, strict=True)
        )
        click.echo("  ".join(line).rstrip())


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for index, name in enumerate(columns):
        table.add_column(
            name,
            justify="right" if name in right else "left",
            style="cyan" if index == 0 else "",
            overflow="fold",
            no_wrap=index == 0,
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)


def wrapped(text: str, width: int) -> list[str]:
    """Return the lines of ``text``, at least one; no word is cut, as it may be a name to copy."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def print_fields(fields: Mapping[str, object]) -> None:
    """Print ``name: value`` lines with the values aligned; fields of ``None`` are left out, and a long value's further
    lines, wrapped as in :func:`wrapped`, have no name.
    """
    shown = {name: value for name, value in fields.items() if value is not None}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        first, *further = value if isinstance(value, list) else [value]
        click.echo(f"{name:<{width}}  {readable(first)}")
        for line in further:
            click.echo(f"{'':<{width}}  {readable(line)}")
