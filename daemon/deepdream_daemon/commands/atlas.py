"""``deepdream atlas``: what excites each channel of a network, as contact sheets and a page to look through."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepdream_daemon.commands.group import Terminated, complain
from deepdream_daemon.commands.shared import PATH, absolute, config_option, json_option, print_json, print_path

if TYPE_CHECKING:
    from deepdream_daemon.microscope.atlas import Atlas

PAGE = "index.html"


class _Count(click.ParamType[int]):
    """A number from 1, or ``all``, which is 0."""

    name = "N|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if isinstance(value, int):
            return value
        if value == "all":
            return 0
        if not value.isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is neither a number from 1 nor 'all'.", param, ctx)
        return int(value)


@click.command()
@click.argument("model")
@click.option("--layers", multiple=True, metavar="NAME[,NAME...]", help="Only these; default: all, and the classes.")
@click.option("--channels", default="24", show_default=True, type=_Count(), help="Of each layer, drawn by lot.")
@click.option("--size", default=128, show_default=True, type=click.IntRange(32, 1024), help="Of a picture, in px.")
@click.option("--photo", "photos", multiple=True, type=PATH, help="Order the channels by how much this excites them.")
@click.option("-o", "--output", type=PATH, metavar="FOLDER", help="Default: MODEL.atlas, here.")
@click.option("-s", "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Draw otherwise, such as steps=256.")
@config_option
@json_option
def atlas(
    *,
    model: str,
    layers: tuple[str, ...],
    channels: int,
    size: int,
    photos: tuple[Path, ...],
    output: Path | None,
    changes: tuple[str, ...],
    config: Path | None,
    as_json: bool,
) -> None:
    """Draw what excites each channel of MODEL most.

    Prints where the page is; a contact sheet of each layer lies beside it. The same command goes on with an atlas that
    was stopped; with more channels or layers, it adds them.
    """
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.layers import list_layers
    from deepdream_daemon.microscope.atlas import Atlas, plan
    from deepdream_daemon.microscope.excitement import excitement
    from deepdream_daemon.microscope.page import page
    from deepdream_daemon.microscope.studio import Studio
    from deepdream_daemon.oneshot.target import prepare_target

    assembly = assemble(config)
    studio = Studio(assembly, model, size, changes)
    wanted = [name.strip() for part in layers for name in part.split(",") if name.strip()]
    chosen = plan(list_layers(studio.spec, 224), len(studio.class_names()), wanted, channels or None)
    folder = absolute(output or Path(f"{model}.atlas"))
    prepare_target(folder, assembly.settings)
    made = Atlas(studio, chosen, folder)
    with assembly.placing_device():
        facts = {**made.facts(), "photos": []}
        try:
            _draw(made)
            facts["photos"] = excitement(
                made, [absolute(photo) for photo in photos], assembly.settings.pictures.max_megapixels
            )
        except (KeyboardInterrupt, Terminated):
            complain("what is drawn is kept: the same command goes on with it")
            raise
        finally:
            facts |= made.facts()
            made.folder.write(PAGE, page("atlas.html", f"{model}: an atlas", facts))
    if as_json:
        print_json({**facts, "page": str(folder / PAGE)})
        return
    print_path(folder / PAGE)


def _draw(made: Atlas) -> None:
    """Draw layer by layer, showing how far it is and how long all of it still takes."""
    from deepdream_daemon.pipeline.time_left import TimeLeft, words
    from deepdream_daemon.terminal.progress import bars

    missing = {layer.name: len(made.missing(layer)) for layer in made.layers}
    total, before = sum(missing.values()), 0
    time_left = TimeLeft()
    with bars() as shown:
        for layer in made.layers:
            count = missing[layer.name]
            there = len(made.drawn(layer))
            if count:
                bar = shown.add(layer.name, "")

                def progress(done: float, *, bar: int = bar, count: int = count, before: int = before) -> None:
                    left = time_left.seconds((before + done) / total)
                    about = "" if left is None else f", about {words(left)} left in all"
                    shown.update(bar, done / count, f"{int(done)} of {count} channels{about}")

                made.draw(layer, progress)
                drawn = len(made.drawn(layer)) - there
                silent = f", {count - drawn} that nothing excites" if drawn < count else ""
                kept = f", {there} were there" if there else ""
                shown.finish(bar, f"{drawn} channels drawn{silent}{kept}")
                before += count
            made.sheets(layer)
