"""What is in a network: its layers, and the classes that it tells apart."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from deepdream_daemon.commands.shared import config_option, json_option, print_json, print_table
from deepdream_engine.errors import BadOption


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
    guessed = " (a guess by its depth)" if any(layer.guessed for layer in found) else ""
    print_table(
        ("layer", "channels", "height", "width", f"tends to show{guessed}"),
        [(layer.label, layer.channels, layer.height, layer.width, layer.shows) for layer in found],
        right=("channels", "height", "width"),
    )
    names = {name for layer in found for name in (layer.name, *layer.aliases)}
    default = next((layer.name for layer in found if layer.is_default), found[0].name)  # of "middle", the real one
    layer = spec.default_tap if spec.default_tap in names else default
    click.echo(f"\nUse one: deepdream dream PHOTO --set model={model} --set objective.layer={layer}")


@click.command()
@click.argument("model")
@click.argument("word", default="")
@config_option
@json_option
def classes(model: str, word: str, config: Path | None, as_json: bool) -> None:
    """List the classes of MODEL, or those with WORD in their names."""
    from deepdream_daemon.configuration.assembly import assemble

    spec = assemble(config).catalogue.models[model].spec
    names = spec.classes() if spec.classes is not None else ()
    if not names:
        raise BadOption(f"model {model!r} does not name its classes. 'deepdream layers {model}' lists its layers.")
    found = [(number, name) for number, name in enumerate(names) if word.casefold() in name.casefold()]
    if as_json:
        print_json([{"number": number, "name": name} for number, name in found])
        return
    if not found:
        raise BadOption(f"model {model!r} has no class with {word!r} in its name. All: deepdream classes {model}")
    print_table(("number", "class"), found, right=("number",))
