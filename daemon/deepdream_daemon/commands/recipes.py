"""``deepdream recipes``: the recipes there are, and all that one says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepdream_daemon.commands.shared import config_option, json_option, print_json, print_table
from deepdream_daemon.terminal.messages import readable


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
