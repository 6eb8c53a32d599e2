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

    from deepdream_engine.training.evaluation import Measured

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

    Sub-folders bear the names or numbers of its classes, or files begin with the number (012_house_finch.jpg). FOLDER
    may be a ZIP file; of train and val, val is taken.
    """
    from deepdream_daemon.commands.model_files import advised
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.pipeline.torch_threads import TorchThreads
    from deepdream_daemon.terminal.progress import bars
    from deepdream_engine.device import Device, device_names
    from deepdream_engine.records import Network
    from deepdream_engine.training.evaluation import Judge
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
    with assembly.placing_device(), advised(assembly.catalogue.models), bars() as shown:
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
            )
        )
    else:
        _show(measured, classes, left_out)


def _as_dict(
    *,
    model: str,
    measured: Measured,
    classes: Sequence[str],
    side: int,
    resize: int,
    left_out: list[tuple[str, str]],
    weights_sha256: str,
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
        "classes": {classes[label]: {"right": right, "of": of} for label, (right, of) in measured.by_class.items()},
        "mistakes": [
            {"class": classes[true], "taken_for": classes[other], "times": times}
            for true, other, times in measured.mistakes
        ],
        "left_out": [{"file": name, "why": why} for name, why in left_out],
    }


def _show(measured: Measured, classes: Sequence[str], left_out: list[tuple[str, str]]) -> None:
    low, high = measured.interval
    of = measured.of
    if not of:
        raise BadOption(f"no picture could be read: {readable(left_out[0][0])}: {readable(left_out[0][1])}")
    print_fields(
        {
            "top 1": f"{measured.right} of {of}, {measured.right / of:.1%} ({low:.1%}–{high:.1%})",
            "top 5": f"{measured.right5} of {of}, {measured.right5 / of:.1%}",
            "chance": f"{1 / len(classes):.1%} and {min(1.0, 5 / len(classes)):.1%}",
            "adversarial": f"{measured.robust} of {measured.robust_of}, {measured.robust / measured.robust_of:.1%}"
            if measured.robust_of
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
