"""``deepdream evaluate``: how well a model recognises pictures whose classes are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepdream_daemon.commands.shared import (
    PATH,
    absolute,
    config_option,
    json_option,
    print_fields,
    print_json,
    print_table,
)
from deepdream_daemon.terminal.messages import readable
from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepdream_daemon.configuration.assembly import Assembly
    from deepdream_engine.training.card import Card
    from deepdream_engine.training.evaluation import Measured
    from deepdream_plugins.records import ModelSpec

_SHOWN = 5


@click.command()
@click.argument("model")
@click.argument("folder", type=PATH, metavar="FOLDER")
@click.option("-w", "--weights", type=PATH, metavar="FILE", help="Weights of that model to use in place of its own.")
@click.option(
    "--side",
    type=click.IntRange(8, 4096),
    metavar="PX",
    help="Side of the square in the middle that is looked at; default: what it was taught with.",
)
@click.option(
    "--resize", type=click.IntRange(8, 8192), metavar="PX", help="The shorter side before that; default: the same."
)
@click.option(
    "--robust",
    type=click.FloatRange(0),
    default=0.0,
    metavar="RADIUS",
    help="Also count what is right after an adversarial step of that L2 length.",
)
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.")
@config_option
@json_option
def evaluate(
    *,
    model: str,
    folder: Path,
    weights: Path | None,
    side: int | None,
    resize: int | None,
    robust: float,
    device: str,
    config: Path | None,
    as_json: bool,
) -> None:
    """Count how many pictures of FOLDER are recognised by MODEL.

    Sub-folders bear the names or numbers of its classes, or files begin with the number (012_house_finch.jpg); where
    the words behind it show that the numbers are another network's, the words count. FOLDER may be a ZIP file; of train
    and val, val is taken. It is told when MODEL was taught with these very pictures.
    """
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.pipeline.torch_threads import TorchThreads
    from deepdream_daemon.terminal.progress import bars
    from deepdream_engine.device import Device, device_names
    from deepdream_engine.records import Network
    from deepdream_engine.training.evaluation import Judge
    from deepdream_engine.training.known_pictures import was_taught_with
    from deepdream_engine.training.matching import labelled

    assembly = assemble(config)
    spec = assembly.catalogue.models[model].spec
    classes = spec.classes() if spec.classes is not None else ()
    if not classes:
        raise BadOption(f"model {model!r} does not name its classes, so no picture can be right.")
    file = None if weights is None else absolute(weights)
    looked = side or max(spec.side_px, spec.min_side_px)
    sized = resize or looked
    if sized < looked:
        raise BadOption(f"--resize {sized}: the square of --side {looked} does not fit into it.")
    if looked < spec.min_side_px:
        raise BadOption(f"--side {looked}: model {model!r} needs {spec.min_side_px} pixels at least.")
    listing = labelled(absolute(folder), classes, model)
    network = Network(
        key=(model, str(file)),
        name=model,
        load=lambda: spec.load(file),
        mean=spec.mean,
        std=spec.std,
        min_side_px=spec.min_side_px,
    )
    TorchThreads(assembly.settings.engine.num_threads).dream()
    with assembly.placing_device(), bars() as shown:
        judge = Judge(network, Device(device_names(device)[0]))
        bar = shown.add(model, f"{len(listing.samples)} pictures")
        measured = judge.measure(
            listing,
            listing.samples,
            side_px=looked,
            resize_px=sized,
            robust_radius=robust,
            robust_of=len(listing.samples) if robust else 0,
            told=lambda done, of: shown.update(bar, done / max(1, of)),
        )
        shown.finish(bar, f"{measured.of} pictures")
    left_out = [*listing.left_out, *measured.unreadable]
    if not measured.of:
        raise BadOption(f"no picture could be read: {readable(left_out[0][0])}: {readable(left_out[0][1])}")
    card = _card(spec, assembly) if file is None else None
    known = card if card is not None and was_taught_with(card, listing, measured.unreadable) else None
    if as_json:
        print_json(
            _as_dict(
                model=model,
                measured=measured,
                classes=classes,
                side=looked,
                resize=sized,
                left_out=left_out,
                weights_sha256=judge.weights_sha256,
                known=known,
            )
        )
    else:
        _show(measured, classes, left_out, known)


def _card(spec: ModelSpec, assembly: Assembly) -> Card | None:
    """Return the card of a taught model."""
    from deepdream_engine.training.card import CARD, read_card

    path = Path(spec.weights).parent / CARD
    return read_card(path) if path in assembly.catalogue.host.selection.trained else None


def _learnt_from(card: Card) -> int:
    return sum(learnt for learnt, _, _ in card.counts)


def _as_dict(
    *,
    model: str,
    measured: Measured,
    classes: Sequence[str],
    side: int,
    resize: int,
    left_out: list[tuple[str, str]],
    weights_sha256: str,
    known: Card | None,
) -> dict[str, object]:
    return {
        "model": model,
        "weights_sha256": weights_sha256,
        "side_px": side,
        "resize_px": resize,
        "pictures": measured.of,
        "right": measured.right,
        "right_among_five": measured.right5,
        "interval": measured.interval,
        "robust": measured.robust,
        "robust_of": measured.robust_of,
        "taught_with_these": known
        and {"learnt_from": _learnt_from(known), "held_out": known.held_out, "right_of_held_out": known.right},
        "classes": {classes[label]: {"right": right, "of": of} for label, (right, of) in measured.by_class.items()},
        "mistakes": [
            {"class": classes[true], "taken_for": classes[other], "times": times}
            for true, other, times in measured.mistakes
        ],
        "left_out": [{"file": name, "why": why} for name, why in left_out],
    }


def _show(measured: Measured, classes: Sequence[str], left_out: list[tuple[str, str]], known: Card | None) -> None:
    low, high = measured.interval
    of = measured.of
    print_fields(
        {
            "top 1": f"{measured.right} of {of}, {measured.right / of:.1%} ({low:.1%}–{high:.1%})",
            "top 5": f"{measured.right5} of {of}, {measured.right5 / of:.1%}",
            "chance": f"{1 / len(classes):.1%} and {min(1.0, 5 / len(classes)):.1%}",
            "adversarial": f"{measured.robust} of {measured.robust_of}, {measured.robust / measured.robust_of:.1%}"
            if measured.robust_of
            else None,
            "learnt from": f"{_learnt_from(known)} of these very pictures, so it does better here than on others; of "
            f"{known.held_out} that were held out it recognised {known.right}, {known.accuracy:.1%}"
            if known
            else None,
            "left out": f"{len(left_out)} files, such as {readable(left_out[0][0])}: {readable(left_out[0][1])}"
            if left_out
            else None,
        }
    )
    often = [each for each in measured.mistakes if each[2] > 1][:_SHOWN]
    if often:
        click.echo()
        print_table(
            ("class", "taken for", "times"),
            [(_short(classes[true]), _short(classes[other]), times) for true, other, times in often],
            right=("times",),
        )


def _short(name: str) -> str:
    return name.partition(",")[0]
