"""The atlas of a network: a picture of what excites each channel most, layer by layer, in a folder that can be gone on
with.

Pictures lie beside the page rather than in it: each is written once, when it is made, so that a run that is killed
loses only those in flight; the page stays small enough to open at once with thousands of them; and a browser loads what
it shows. The folder is moved or zipped as a whole, and needs no server.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.layers import LayerInfo
from deepdream_daemon.microscope.own_folder import OwnFolder
from deepdream_daemon.microscope.studio import LOGITS, Studio, Subject, seed_of
from deepdream_engine.errors import BadOption, DeepDreamError, unknown

if TYPE_CHECKING:
    from deepdream_engine.records import DreamJob

RECORD = "atlas.json"
_IS_ZERO = "gradient is zero everywhere"
_SPREADS = (10.0, 60.0, 200.0)
"""How wide the noise is that a channel is drawn from: one that sees nothing in it gets some with more contrast."""
_CELLS, _COLUMNS = 96, 8


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer with the channels that are drawn; ``total`` is how many it has."""

    name: str
    shows: str
    total: int
    numbers: tuple[int, ...]

    @property
    def folder(self) -> str:
        """The layer's name as one of a folder."""
        return re.sub(r"[^\w.-]", "_", self.name)

    def picture(self, number: int) -> str:
        """Where the picture of a channel is, below the atlas."""
        return f"pictures/{self.folder}/{number:04}.jpg"


def plan(layers: Sequence[LayerInfo], classes: int, wanted: Sequence[str], channels: int | None) -> list[Layer]:
    """Return the layers to draw: those that are ``wanted``, by any of their names, or all, with the classes at the end;
    of each at most ``channels`` channels."""
    from deepdream_engine.microscope.eyes import sample

    found = {layer.name: (layer.shows, layer.channels) for layer in layers}
    if classes:
        found[LOGITS] = ("the classes", classes)
    names = {alias: layer.name for layer in layers for alias in (layer.name, *layer.aliases)} | {LOGITS: LOGITS}
    for name in wanted:
        if names.get(name) not in found:
            raise BadOption(f"--layers: {unknown('layer', name, found)}")
    chosen = list(dict.fromkeys(names[name] for name in wanted)) or list(found)
    return [
        Layer(name=name, shows=found[name][0], total=found[name][1], numbers=tuple(sample(found[name][1], channels)))
        for name in chosen
    ]


class Atlas:
    """The pictures of ``layers`` in ``folder``; those that are there already are kept."""

    def __init__(self, studio: Studio, layers: Sequence[Layer], folder: Path) -> None:
        self.studio = studio
        self.layers = layers
        self._identity = studio.identity()
        self.folder = OwnFolder(folder, RECORD, self._identity)
        self.class_names = studio.class_names()
        self._silent: dict[str, list[int]] = self.folder.data.setdefault("silent", {})

    def subject(self, layer: Layer, number: int) -> Subject:
        """Return a channel with its name."""
        is_named = layer.name == LOGITS and number < len(self.class_names)
        name = self.class_names[number] if is_named else f"{layer.name} {number}"
        return Subject(layer=layer.name, number=number, name=name)

    def is_silent(self, layer: Layer, number: int) -> bool:
        """Whether nothing excites a channel that noise of any contrast has in it."""
        return number in self._silent.get(layer.name, ())

    def drawn(self, layer: Layer) -> list[int]:
        """Return the channels that there are pictures of."""
        return [number for number in layer.numbers if (self.folder.path / layer.picture(number)).exists()]

    def missing(self, layer: Layer) -> list[int]:
        """Return the channels that are still to be drawn."""
        drawn = set(self.drawn(layer))
        return [number for number in layer.numbers if number not in drawn and not self.is_silent(layer, number)]

    def draw(self, layer: Layer, on_progress: Callable[[float], None]) -> None:
        """Draw what is missing of a layer, as many channels at a time as the device has room for.

        ``on_progress`` is told how many of its channels are done.
        """
        todo: deque[tuple[int, int]] = deque((number, 0) for number in self.missing(layer))
        flying: dict[int, tuple[int, int]] = {}
        parts: dict[int, float] = {}
        done = 0

        def jobs() -> Iterator[DreamJob | None]:
            count = 0
            while todo or flying:
                if not todo:
                    yield None
                    continue
                number, attempt = flying[count] = todo.popleft()
                count += 1
                subject = self.subject(layer, number)
                yield self.studio.job(subject, seed_of(self._identity, subject, attempt), spread=_SPREADS[attempt])

        def progress(index: int, fraction: float) -> None:
            parts[index] = fraction
            on_progress(done + sum(parts.values()))

        for index, outcome in self.studio.dream(jobs(), progress):
            number, attempt = flying.pop(index)
            parts.pop(index, None)
            subject = self.subject(layer, number)
            if isinstance(outcome, DeepDreamError):
                if not (isinstance(outcome, BadOption) and _IS_ZERO in str(outcome)):
                    raise outcome
                if attempt + 1 < len(_SPREADS):
                    todo.append((number, attempt + 1))
                    continue
                self._silent.setdefault(layer.name, []).append(number)
                self.folder.save()
            else:
                recipe = self.studio.recipe(subject, spread=_SPREADS[attempt])
                seed = seed_of(self._identity, subject, attempt)
                data = self.studio.encoded(outcome.pixels, recipe, seed, outcome.weights_sha256)
                self.folder.write(layer.picture(number), data)
            done += 1
            on_progress(done + sum(parts.values()))

    def sheets(self, layer: Layer) -> list[str]:
        """Draw the contact sheets of a layer, with the channels' names; return where they are below the folder."""
        import io

        from deepdream_plugins.builtin.sinks.sheets import Cell, draw

        drawn, written = self.drawn(layer), []
        pages = [drawn[start : start + _CELLS] for start in range(0, len(drawn), _CELLS)]
        for index, numbers in enumerate(pages):
            cells = []
            for number in numbers:
                name = self.subject(layer, number).name
                below = str(number) if layer.name == LOGITS else ""
                cells.append(Cell(self.folder.path / layer.picture(number), name, below))
            page = f", sheet {index + 1} of {len(pages)}" if len(pages) > 1 else ""
            title = f"{self.studio.spec.name} {layer.name}: {len(drawn)} of {layer.total} channels{page}"
            buffer = io.BytesIO()
            draw(cells, title, columns=_COLUMNS, cell_px=self.studio.side_px, font="").save(buffer, format="PNG")
            name = f"sheets/{layer.folder}{f'-{index + 1}' if index else ''}.png"
            self.folder.write(name, buffer.getvalue())
            written.append(name)
        return written

    def facts(self) -> dict[str, Any]:
        """Return what the page and ``--json`` tell of the channels that have been drawn so far."""
        return {
            "model": self.studio.spec.name,
            "help": self.studio.spec.help,
            "side_px": self.studio.side_px,
            "layers": [
                {
                    "name": layer.name,
                    "shows": layer.shows,
                    "total": layer.total,
                    "silent": sorted(set(self._silent.get(layer.name, ())) & set(layer.numbers)),
                    "channels": [
                        {"number": number, "name": self.subject(layer, number).name, "file": layer.picture(number)}
                        for number in self.drawn(layer)
                    ],
                }
                for layer in self.layers
            ],
        }
