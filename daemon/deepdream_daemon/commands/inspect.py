"""``deepdream inspect``: what a network has learnt of one class, and what is suspicious about it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepdream_daemon.commands.group import Terminated, complain
from deepdream_daemon.commands.shared import PATH, absolute, config_option, json_option, print_json, print_path
from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from deepdream_daemon.microscope.on_photos import Progress
    from deepdream_daemon.microscope.studio import Studio, Subject
    from deepdream_daemon.terminal.progress import Bars

PAGE, REPORT = "index.html", "report.json"


@click.command()
@click.argument("model")
@click.option("--class", "label", metavar="NAME", help="The class, by its name or number: deepdream classes MODEL.")
@click.option("--channel", metavar="LAYER:NUMBER", help="A channel in place of a class, such as mixed4d:200.")
@click.option(
    "--photos", type=PATH, metavar="FOLDER", help="Show it these too; sub-folders may be named after classes."
)
@click.option(
    "--pictures", default=4, show_default=True, type=click.IntRange(1, 32), help="Drawn, each unlike the others."
)
@click.option("--size", default=128, show_default=True, type=click.IntRange(32, 1024), help="Of one drawn, in px.")
@click.option(
    "--side",
    type=click.IntRange(8, 4096),
    metavar="PX",
    help="Side of the photos that it is shown; default: what it was taught with.",
)
@click.option("-o", "--output", type=PATH, metavar="FOLDER", help="Default: MODEL.NAME.inspect, here.")
@click.option("-s", "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Draw otherwise, such as steps=256.")
@config_option
@json_option
def inspect(
    *,
    model: str,
    label: str | None,
    channel: str | None,
    photos: Path | None,
    pictures: int,
    size: int,
    side: int | None,
    output: Path | None,
    changes: tuple[str, ...],
    config: Path | None,
    as_json: bool,
) -> None:
    """Report on what MODEL has learnt of a class.

    Its pictures, other classes in them, small marks that are enough for it, and where in photos its evidence is.
    Prints where the page is, what is suspicious, and what was tested. The same command goes on with one that was
    stopped.
    """
    import hashlib
    import json

    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.microscope.checks import verdict
    from deepdream_daemon.microscope.inspecting import RECORD, Inspection
    from deepdream_daemon.microscope.own_folder import OwnFolder
    from deepdream_daemon.microscope.page import page
    from deepdream_daemon.microscope.photos import Photos
    from deepdream_daemon.microscope.studio import Studio
    from deepdream_daemon.oneshot.target import prepare_target
    from deepdream_daemon.terminal.progress import bars

    assembly = assemble(config)
    studio = Studio(assembly, model, size, changes)
    looked = _side(studio, side)
    subject = _subject(studio, label, channel)
    found = None if photos is None else Photos(absolute(photos), assembly.settings.pictures.max_megapixels)
    called = re.sub(r"[^\w.-]+", "-", subject.name)
    folder = absolute(output or Path(f"{model}.{called}.inspect"))
    prepare_target(folder, assembly.settings)
    with assembly.placing_device(), bars() as shown:
        told_apart = f"{studio.identity()}:{looked}:{subject.layer}:{subject.number}"
        identity = hashlib.sha256(told_apart.encode()).hexdigest()
        own = OwnFolder(folder, RECORD, identity)
        try:
            facts = Inspection(studio, subject, own, pictures=pictures, side_px=looked, progress=_steps(shown)).report(
                found
            )
        except (KeyboardInterrupt, Terminated):
            complain("what is done is kept: the same command goes on with it")
            raise
    facts["verdict"] = verdict(facts)
    plain = _without_data(facts)
    own.write(REPORT, json.dumps(plain, indent=1).encode())
    own.write(PAGE, page("report.html", f"{model}: {subject.name}", facts))
    if found is not None and found.unreadable:
        click.echo(f"{found.unreadable} of {len(found.files)} photos cannot be read. {found.why[0]}", err=True)
    if as_json:
        print_json({**plain, "page": str(folder / PAGE)})
        return
    print_path(folder / PAGE)
    for line in facts["verdict"]:
        click.echo(line)


def _side(studio: Studio, given: int | None) -> int:
    """Return how large the network is shown photos, as evaluation shows them to it."""
    spec = studio.spec
    if given is not None and given < spec.min_side_px:
        raise BadOption(f"--side {given}: model {spec.name!r} needs {spec.min_side_px} pixels at least.")
    return given or max(spec.side_px, spec.min_side_px)


def _subject(studio: Studio, label: str | None, channel: str | None) -> Subject:
    """Return what is asked for."""
    from deepdream_daemon.microscope.studio import LOGITS, Subject
    from deepdream_plugins.resolving.classes import class_number

    if (label is None) == (channel is None):
        raise BadOption("name what to inspect: either --class NAME or --channel LAYER:NUMBER.")
    if label is not None:
        number = class_number(studio.spec, label, "--class")
        names = studio.class_names()
        return Subject(layer=LOGITS, number=number, name=names[number] if names else f"class {number}")
    layer, colon, text = (channel or "").rpartition(":")
    if not (colon and layer and text.isdecimal()):
        raise BadOption(f"--channel {channel!r} is not LAYER:NUMBER; write for example --channel mixed4d:200.")
    return Subject(layer=layer, number=int(text), name=f"{layer} {text}")


def _steps(shown: Bars) -> Progress:
    """Return what shows one bar after the other."""
    bars: dict[str, int] = {}

    def progress(step: str, done: float) -> None:
        if step not in bars:
            for number in bars.values():
                if number >= 0:
                    shown.finish(number, "done")
            bars.update(dict.fromkeys(bars, -1))
            bars[step] = shown.add(step, "")
        shown.update(bars[step], done)

    return progress


def _without_data(facts: Any) -> Any:
    """Return the same without pictures, which are files, or in the page."""
    if isinstance(facts, dict):
        return {key: _without_data(value) for key, value in facts.items() if key != "data"}
    return [_without_data(value) for value in facts] if isinstance(facts, list) else facts
