"""Checks of sinks: deliveries of real pictures, twice, which leave the pictures as they are."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from deepdream_plugins.events import Delivery
from deepdream_plugins.records import SinkSpec
from deepdream_plugins.testing.failing import Broken, calling
from deepdream_plugins.testing.options import filled
from deepdream_plugins.testing.tiny import a_picture

_FINISHED = 1_780_000_000.0
"""In May 2026, for tests that show dates."""


def check_sink(spec: SinkSpec, /, **options: object) -> None:
    """Deliver dreams, one of them twice as after a power cut, and check that nothing was returned and that pictures and
    dreams are as they were.

    It is a real delivery: give options that lead to a place of the test's own. Raises ``AssertionError`` with what to
    mend; a wrong option is a ``BadOption``.
    """
    check_declared(spec, **options)
    values = filled(spec, "sink", options)
    of = f"the sink {spec.name!r}"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        first, second = a_delivery(place, "photo"), a_delivery(place, "Ünter dem 'Meer' $(1)", job=2)
        again = a_delivery(place, "photo", attempt=2)
        before = {
            path: path.read_bytes() for path in map(Path, (first.source, first.output, second.source, second.output))
        }
        for delivery in (first, second, again):
            with calling(f"{of}: delivery {delivery.attempt} of {Path(delivery.output).name!r}"):
                deliver: Callable[..., object] = spec.deliver  # whatever it is annotated with
                returned = deliver(delivery, **values)
            if returned is not None:
                raise Broken(
                    f"{of} returned {type(returned).__name__}; it must return nothing, and raise an error if it could "
                    f"not deliver: what it returns is not looked at."
                )
        for path, content in before.items():
            if not (path.is_file() and path.read_bytes() == content):
                raise Broken(f"{of} changed {path.name!r}; pictures and dreams belong to others. Work on a copy.")


def check_declared(spec: SinkSpec, /, **options: object) -> None:
    """Check what the record says, without a delivery: its options can be written down, ``check`` takes them, and its
    limit is a time."""
    values = filled(spec, "sink", options)
    of = f"the sink {spec.name!r}"
    json.dumps(values)
    if not (0 < spec.limit_seconds < 86_400):
        raise Broken(
            f"{of}: limit_seconds is {spec.limit_seconds:g}; say how long a delivery may take before it is given up, "
            f"more than 0 and less than a day."
        )
    if spec.check is not None:
        with calling(f"{of}: check", "Raise BadOption for what does not fit, beginning with the option's name."):
            spec.check(**values)


def a_delivery(folder: Path, name: str = "photo", *, job: int = 1, attempt: int = 1) -> Delivery:
    """Return a delivery of a real dream: ``folder/in/NAME.jpg`` dreamt to ``folder/out/NAME.classic.jpg``, written if
    they are not there yet, with ``folder/state`` for the sink's own."""
    source, output = folder / "in" / f"{name}.jpg", folder / "out" / f"{name}.classic.jpg"
    for seed, path in enumerate((source, output)):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _save(path, seed)
    state = folder / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    return Delivery(
        job=job,
        key=f"{job:064x}",
        source=_text(source),
        folder=_text(source.parent),
        recipe="classic",
        seed=7,
        output=_text(output),
        output_folder=_text(output.parent),
        finished=_FINISHED + 60 * job,
        attempt=attempt,
        state=_text(state),
    )


def _text(path: Path) -> str:
    return os.fsencode(path.absolute()).decode("utf-8", "backslashreplace")


def _save(path: Path, seed: int) -> None:
    from PIL import Image

    pixels = a_picture(48, 64, seed).mul(255).round().byte().permute(1, 2, 0)  # (H, W, 3)
    Image.fromarray(pixels.contiguous().numpy()).save(path, quality=90)
