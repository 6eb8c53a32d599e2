"""``deepdream atlas``: what excites each channel of a network, as contact sheets and a page to look through."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepdream_daemon.commands.group import Terminated, complain
from deepdream_daemon.commands.shared import PATH, absolute, config_option, json_option, print_json, print_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepdream_daemon.microscope.atlas import Atlas
    from deepdream_daemon.microscope.excitement import Photo
    from deepdream_daemon.terminal.progress import Bars


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
    was stopped; with more channels, layers or photos, it adds them.
    """
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.layers import list_layers
    from deepdream_daemon.microscope.atlas import Atlas
    from deepdream_daemon.microscope.channels import plan
    from deepdream_daemon.microscope.excitement import read_photos
    from deepdream_daemon.microscope.studio import Studio
    from deepdream_daemon.oneshot.target import prepare_target

    assembly = assemble(config)
    studio = Studio(assembly, model, size, changes)
    read = read_photos([absolute(photo) for photo in photos], studio.side_px, assembly.settings.pictures.max_megapixels)
    wanted = [name.strip() for part in layers for name in part.split(",") if name.strip()]
    folder = absolute(output or Path(f"{model}.atlas"))
    with assembly.placing_device():
        planned = plan(list_layers(studio.spec, 224), studio.class_count(), wanted, channels or None)
        prepare_target(folder, assembly.settings)
        made = Atlas(studio, planned, folder)
        try:
            _draw(made, read)
        except (KeyboardInterrupt, Terminated):
            complain("what is drawn is kept: the same command goes on with it")
            raise
        finally:
            facts = _write_page(made)
    if not facts["is_self_contained"]:
        click.echo("its pictures are too many to be in the page: to send it, send the whole folder", err=True)
    if as_json:
        print_json(facts)
        return
    print_path(Path(facts["page"]))


def _draw(made: Atlas, photos: Sequence[Photo]) -> None:
    """Draw layer by layer, showing how far it is and how long all of it still takes; then look at the photos."""
    from deepdream_daemon.pipeline.time_left import TimeLeft, words
    from deepdream_daemon.terminal.progress import bars

    missing = {layer.name: len(made.missing(layer)) for layer in made.layers}
    total = sum(missing[layer.name] * layer.cost for layer in made.layers)
    before = 0.0
    time_left = TimeLeft()
    with bars() as shown:
        for layer in made.layers:
            count = missing[layer.name]
            there = len(made.drawn(layer))
            if count:
                bar = shown.add(layer.name, "")

                def progress(
                    done: float, *, bar: int = bar, count: int = count, before: float = before, cost: float = layer.cost
                ) -> None:
                    left = time_left.seconds((before + done * cost) / total)
                    about = "" if left is None else f", about {words(left)} left in all"
                    shown.update(bar, done / count, f"{int(done)} of {count} channels{about}")

                made.draw(layer, progress)
                drawn = len(made.drawn(layer)) - there
                silent = f", {count - drawn} that nothing excites" if drawn < count else ""
                kept = f", {there} were there" if there else ""
                shown.finish(bar, f"{drawn} channels drawn{silent}{kept}")
                before += count * layer.cost
            made.draw_sheets(layer)
        _look(made, photos, shown)


def _look(made: Atlas, photos: Sequence[Photo], shown: Bars) -> None:
    """Measure what photos excite, if there is anything to measure, showing how far it is."""
    from deepdream_daemon.microscope.excitement import measure

    bar: list[int] = []

    def progress(done: float) -> None:
        if not bar:
            bar.append(shown.add("photos", "compared with the channels' own pictures"))
        shown.update(bar[0], done)

    measure(made, photos, progress)
    if bar:
        shown.finish(bar[0], "compared with the channels' own pictures")


def _write_page(made: Atlas) -> dict[str, Any]:
    """Write the page of what is there; return its facts."""
    from deepdream_daemon.microscope.atlas_page import PAGE, atlas_page
    from deepdream_daemon.microscope.excitement import excitement

    facts = {**made.facts(), "photos": excitement(made)}
    data, is_alone = atlas_page(facts, made.folder.path)
    return {**facts, "page": str(made.folder.write(PAGE, data)), "is_self_contained": is_alone}
