"""``deepdream bench``: how quick this machine dreams, against a plain script and against itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepdream_daemon.commands.shared import config_option, json_option, print_json, print_table
from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from deepdream_daemon.terminal.progress import Bars
    from deepdream_engine.benchmark.short import Short
    from deepdream_engine.benchmark.timing import Spread
    from deepdream_engine.records import DreamJob
    from deepdream_plugins.resolving.resolved import ResolvedRecipe

PHOTO_PX = (720, 1280)
BAR_CHARACTERS = 44
RESTLESS = 0.15
"""Quartiles that lie farther from the median than this share of it are worth a word."""


@click.command()
@click.option("-r", "--recipe", default="classic", show_default=True, metavar="NAME", help="One of: deepdream recipes.")
@click.option(
    "--seconds", default=60.0, show_default=True, type=click.FloatRange(1, 3600), help="About how long it may take."
)
@config_option
@json_option
def bench(recipe: str, seconds: float, config: Path | None, as_json: bool) -> None:
    """Measure how quick this machine dreams."""
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.terminal.progress import bars

    assembly = assemble(config)
    chosen = assembly.book.resolve(recipe)
    settings = assembly.settings.engine
    progress = bars()
    with assembly.placing_device():
        import torch

        from deepdream_engine.benchmark.short import measure_short
        from deepdream_engine.engine import Engine

        _quieten()
        if settings.num_threads is not None:
            torch.set_num_threads(settings.num_threads)
        dream = _photo_job(chosen)
        engine = Engine(
            device=settings.device,
            max_batch=settings.max_batch,
            tile_px=settings.tile_px,
            memory_gib=settings.memory_gib,
            compile=settings.compile,
        )
        with progress:
            try:
                measured = measure_short(engine, dream, seconds=seconds, stage=lambda name: _stage(progress, name))
            except BadOption as error:
                raise chosen.placed(error) from error
    if as_json:
        print_json({"recipe": recipe, **measured.to_dict()})
    else:
        _show(measured, recipe)


def _quieten() -> None:
    """Fabric announces reduced precisions, which the table tells of anyway."""
    import logging

    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)


def _photo_job(recipe: ResolvedRecipe) -> DreamJob:
    """Return the recipe's dream of a painted photo; a guide that it needs is painted, too."""
    import io

    from PIL import Image

    from deepdream_daemon.oneshot.sky import paint_sky
    from deepdream_engine.benchmark.work import clouds
    from deepdream_engine.pictures import decode

    if not recipe.program().objective.taps:
        raise BadOption(f"recipe {recipe.name!r} uses no network, so there is nothing to measure. Choose another.")
    height, width = PHOTO_PX
    buffer = io.BytesIO()
    Image.fromarray((paint_sky(256, 256) * 255).astype("uint8")).save(buffer, "PNG")
    beside = {name: decode(buffer.getvalue()) for name, needed in recipe.companions().items() if needed}
    return recipe.job(clouds(height, width), 1, companions=beside)


@contextmanager
def _stage(progress: Bars, name: str) -> Iterator[Callable[[float], None]]:
    number = progress.add(name, "")
    yield lambda fraction: progress.update(number, fraction)
    progress.finish(number, "measured")


def _show(measured: Short, recipe: str) -> None:
    machine, single, mixed = measured.machine, measured.single, measured.mixed
    click.echo(f"deepdream {machine.deepdream} on {machine.device} ({machine.processor}), {machine.threads} threads")
    click.echo(f"torch {machine.torch}, Python {machine.python}, {machine.system}; {single.network} to {single.tap}\n")
    names = {"naive": "plain script, fp32"} | {name: f"deepdream, {name}" for name in single.times if name != "naive"}
    rows: list[tuple[str, ...]] = [
        (
            names[name],
            f"{times.wall.median / single.steps * 1000:.0f}",
            f"{single.rate(name).median / 1e6:.2f}",
            _ratio(single.speedup(name)) if name != "naive" else "1",
            _ratio(single.cpu_speedup(name)) if name != "naive" else "1",
        )
        for name, times in single.times.items()
    ]
    rate = "Mpx/s"
    print_table(
        (f"one picture, {single.size[1]} × {single.size[0]}", "ms a step", rate, "times quicker", "by CPU time"),
        rows,
        right=("ms a step", rate, "times quicker", "by CPU time"),
    )
    for name in single.fell_back:
        click.echo(f"{name} is not for this network: its gradients are too unlike those of fp32.")
    click.echo()
    print_table(
        (f"a folder of {mixed.pictures} pictures, {mixed.precision}", rate, "of equal sizes' rate"),
        [
            (f"equal: {mixed.equal_size[1]} × {mixed.equal_size[0]}", f"{mixed.equal_rate.median / 1e6:.2f}", ""),
            (f"mixed: {mixed.sizes} sizes", f"{mixed.mixed_rate.median / 1e6:.2f}", _percent(mixed.share)),
        ],
        right=(rate, "of equal sizes' rate"),
    )
    click.echo("\nMillions of pixels that go through a step, per second")
    _chart(
        [(names[name], single.rate(name).median / 1e6) for name in single.times]
        + [("a folder, equal", mixed.equal_rate.median / 1e6), ("a folder, mixed", mixed.mixed_rate.median / 1e6)]
    )
    _show_dream(measured, recipe)


def _show_dream(measured: Short, recipe: str) -> None:
    dream, rounds = measured.dream, len(measured.single.times["naive"].wall.values)
    how = "" if dream.share == 1 else f" (from {dream.share:.0%} of its steps)"
    click.echo(f"\nA {recipe!r} dream of {dream.size[1]} × {dream.size[0]} pixels takes {_span(dream.measured)}{how};")
    click.echo(f"going by the first table it would be {_span(dream.predicted)}.")
    click.echo(f"Medians of {rounds} and {len(measured.mixed.share.values)} rounds, taken in turns; quartiles behind.")
    if any(_is_restless(measured.single.times[name].wall) for name in measured.single.times):
        click.echo("The times vary a lot: other programs are at work. Ratios hold, rates may be better without them.")


def _is_restless(spread: Spread) -> bool:
    low, high = spread.quartiles
    return high - low > 2 * RESTLESS * spread.median


def _ratio(spread: Spread) -> str:
    low, high = spread.quartiles
    return f"{spread.median:.2f}  ({low:.2f}–{high:.2f})"


def _percent(spread: Spread) -> str:
    low, high = spread.quartiles
    return f"{spread.median:.0%}  ({low:.0%}–{high:.0%})"


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _chart(rows: list[tuple[str, float]]) -> None:
    """Print a bar for each row: blocks on a terminal, number signs elsewhere."""
    label = max(len(name) for name, _ in rows)
    most = max(value for _, value in rows)
    if not sys.stdout.isatty():
        for name, value in rows:
            click.echo(f"{name:<{label}}  {'#' * max(1, round(BAR_CHARACTERS * value / most))} {value:.2f}")
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    width = max(8, min(BAR_CHARACTERS, console.width - label - 10))
    for index, (name, value) in enumerate(rows):
        eighths = max(1, round(8 * width * value / most))
        bar = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
        style = "dim" if index == 0 else "green" if name.startswith("a folder") else "cyan"
        console.print(Text.assemble((f"{name:<{label}}  ", ""), (bar, style), f" {value:.2f}"))
