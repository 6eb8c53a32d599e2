"""``deepdream train``: a folder of pictures, sorted into sub-folders, becomes a model that dreams."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepdream_daemon.commands.shared import PATH, absolute, config_option, print_fields, print_path
from deepdream_daemon.terminal.messages import readable
from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from torch import nn

    from deepdream_daemon.configuration.assembly import Assembly
    from deepdream_engine.training.card import Card
    from deepdream_engine.training.task import Subject, Task

_NAME = re.compile(r"\w[\w.-]*")


@click.command()
@click.argument("folder", type=PATH, metavar="FOLDER")
@click.option("-n", "--name", metavar="NAME", help="What the model is to be called; default: as the folder is.")
@click.option(
    "-m", "--model", metavar="MODEL", help="The model to begin with, of: deepdream models.  [default: dreamnet]"
)
@click.option("-w", "--weights", type=PATH, metavar="FILE", help="Other weights of that model to begin with.")
@click.option(
    "-r",
    "--recipe",
    metavar="NAME",
    help="finetune, painterly (slower; dreams stay solid), unlabelled (no classes), dreamnet (from nothing) or a FILE.",
)
@click.option(
    "-s",
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the recipe, such as batch=64 or stages.0.epochs=5.",
)
@click.option(
    "--longer", type=click.FloatRange(0.01, 1000), default=1.0, metavar="TIMES", help="Train so many times as long."
)
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--devices", type=click.IntRange(1, 1024), metavar="N", help="How many of them.  [default: all]")
@click.option(
    "--workers", type=click.IntRange(0, 256), metavar="N", help="Processes that read pictures.  [default: as suits]"
)
@click.option(
    "--log", type=click.Choice(["csv", "tensorboard"]), default="csv", show_default=True, help="How figures are kept."
)
@click.option("--restart", is_flag=True, help="Begin again in place of going on.")
@click.option("--replace", is_flag=True, help="Let it take the place of a model of that name.")
@config_option
def train(
    *,
    folder: Path,
    name: str | None,
    model: str | None,
    weights: Path | None,
    recipe: str | None,
    changes: tuple[str, ...],
    longer: float,
    device: str,
    devices: int | None,
    workers: int | None,
    log: str,
    restart: bool,
    replace: bool,
    config: Path | None,
) -> None:
    """Teach a network your own pictures, and print where its card is.

    The sub-folders of FOLDER are the classes. Pictures in no sub-folder are learnt without classes: what they have in
    common and what sets them apart shows in dreams, but nothing has a name.

    \b
    deepdream train photos                       200 photos take minutes on a CPU
    deepdream dream PHOTO.jpg --set model=photos
    deepdream train DATA --recipe dreamnet       the embedded model, from nothing

    FOLDER may be a ZIP file, or hold train and val (folders or .zip). The same command goes on with a training that
    was stopped. What becomes of it is a model like any other; a running daemon has it after a reload.
    """
    from deepdream_daemon.commands.training_view import View, stop_on_signals
    from deepdream_daemon.configuration.apart import within
    from deepdream_daemon.configuration.assembly import assemble, models_folders
    from deepdream_daemon.pipeline.torch_threads import TorchThreads
    from deepdream_engine.training.recipe import read_recipe
    from deepdream_engine.training.task import Task
    from deepdream_engine.training.teaching import teach
    from deepdream_engine.training.verdict import verdict

    assembly = assemble(config)
    place = absolute(folder)
    chosen = read_recipe(recipe or _usual(place, model or "dreamnet", assembly), changes).longer(longer)
    base = chosen.model or model or "dreamnet"
    if chosen.model and model and chosen.model != model:
        raise BadOption(f"--model {model}: the recipe {chosen.name!r} is for the model {chosen.model!r}. Leave it out.")
    named = name or re.sub(r"[^\w.-]+", "-", place.stem if place.is_file() else place.name).strip("-._") or "trained"
    target = models_folders(assembly.settings)[0] / named
    _check_name(named, assembly)
    for watched in assembly.settings.folders:
        if within(target.resolve(), watched.input):
            raise BadOption(
                f"{str(target)!r} lies in the watched folder {str(watched.input)!r}, where whoever drops files could "
                f"put another network in its place. Move the configuration, or that folder."
            )
    subject = _subject(base, None if weights is None else absolute(weights), assembly, start=chosen.start)
    task = Task(
        name=named,
        place=place,
        folder=target,
        recipe=chosen,
        subject=subject,
        device=device,
        devices=devices,
        workers=workers,
        log=log,
        restart=restart,
        replace=replace,
    )
    TorchThreads(assembly.settings.engine.num_threads).dream()
    with assembly.placing_device(), stop_on_signals(target, restart=restart) as stopping, View(named, stopping) as view:
        card = teach(task, view)
    if card is None:  # a helper of another process
        return
    _show(card, verdict(card), task)


def _usual(place: Path, model: str, assembly: Assembly) -> str:
    """Return the recipe for the pictures at ``place``."""
    from deepdream_engine.training.listing import has_labels

    if not has_labels(place):
        return "unlabelled"
    # Only the embedded model was taught adversarially; others lose by it before they gain.
    return "painterly" if _architecture(model, assembly) == "dreamnet" else "finetune"


def _architecture(model: str, assembly: Assembly) -> str:
    """Return whose layers a model has: its own, or those of the one that it was taught from."""
    from deepdream_engine.training.card import CARD, read_card

    spec = assembly.catalogue.models[model].spec
    card = Path(spec.weights).parent / CARD
    return read_card(card).architecture if card in assembly.catalogue.host.selection.trained else model


def _check_name(name: str, assembly: Assembly) -> None:
    from deepdream_plugins.hosting.loading import TRAINED

    if not _NAME.fullmatch(name):
        raise BadOption(f"--name {name!r}: use letters, digits, '-', '_' and '.'.")
    models = assembly.catalogue.models
    if name in models and models[name].owner != TRAINED:
        raise BadOption(f"--name {name!r}: the plugin {models[name].owner!r} has a model of that name. Choose another.")


def _subject(base: str, weights: Path | None, assembly: Assembly, *, start: str) -> Subject:
    from deepdream_engine.training.task import Subject
    from deepdream_plugins.builtin.trained_models import from_random, with_classes

    spec = assembly.catalogue.models[base].spec
    architecture = _architecture(base, assembly)
    if weights is not None and start == "random":
        raise BadOption("--weights: this recipe begins with random weights. Leave it out, or choose --recipe finetune.")

    def load(classes: int, start: str) -> tuple[nn.Module, str, str]:
        module, head, digest = with_classes(spec, classes, weights, taught=start == "weights")
        return (from_random(module, base) if start == "random" else module), head, digest

    return Subject(
        architecture=architecture,
        base=base,
        load=load,
        mean=spec.mean,
        std=spec.std,
        side_px=spec.side_px,
        min_side_px=spec.min_side_px,
        default_tap=spec.default_tap,
        aliases=spec.aliases,
    )


def _show(card: Card, told: list[str], task: Task) -> None:
    from deepdream_engine.training.card import CARD
    from deepdream_engine.training.finishing import LEFT_OUT

    print_path(task.folder / CARD)
    for sentence in told:
        click.echo(readable(sentence))
    print_fields(
        {
            "adversarial": f"{card.robust} of {card.robust_of} right after a step of length {card.robust_radius:g}"
            if card.robust_of
            else None,
            "left out": f"{card.left_out} files; {readable(task.folder / LEFT_OUT)} names them"
            if card.left_out
            else None,
            "SHA-256": card.sha256,
        }
    )
    click.echo(f"\nUse it: deepdream dream PHOTO --set model={card.name}")
