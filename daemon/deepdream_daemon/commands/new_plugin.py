"""``deepdream plugins new``: a package for a plugin of one's own, which passes its own tests."""

from __future__ import annotations

from pathlib import Path

import click

# Not taken from the scaffold: help is shown without importing what commands need.
KINDS = ("objective", "filter", "model", "ascent", "transform", "schedule", "sink", "events")


@click.command()
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(KINDS), default="objective", show_default=True, help="What the plugin is to provide."
)
@click.option(
    "--dir",
    "parent",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="The folder to make it in.",
)
def new(name: str, kind: str, parent: Path) -> None:
    """Write a package for a plugin, with tests.

    It has a working example of its kind, which you change into what you want, and passes its own tests, ruff and mypy.
    """
    from deepdream_plugins.scaffold import Names, write_package

    folder = write_package(name, kind, parent)
    plugin = Names.of(name)
    click.echo(f"{folder} is ready. Next:\n")
    click.echo(f"  cd {folder}")
    click.echo('  pip install --editable ".[test]"')
    click.echo("  pytest\n")
    click.echo(f'Then add "{plugin.name}" to [plugins] enable in config.toml; README.md shows how to use it.')
    click.echo(f"The code is in src/{plugin.package}/__init__.py.")
