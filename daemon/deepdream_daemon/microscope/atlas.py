"""The atlas of a network: a picture of what excites each channel most, layer by layer, in a folder that can be gone on
with.

Each picture is a file, written once, when it is made, so that a run that is killed loses only those in flight. What an
atlas is of is what lies in its folder, whichever runs have put it there: none takes away what others have drawn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.microscope.channels import Layer
from deepdream_daemon.microscope.own_folder import OwnFolder
from deepdream_daemon.microscope.studio import ATTEMPTS, LOGITS, Studio, Subject, seed_of, sees_nothing
from deepdream_engine.errors import DeepDreamError

if TYPE_CHECKING:
    from deepdream_engine.records import DreamJob

RECORD = "atlas.json"
_CELLS, _COLUMNS = 96, 8


class Atlas:
    """The pictures of ``layers``, all that the network has, in ``folder``; those that are there already are kept.

    Raises ``BadOption`` for a folder that is not this atlas's, or was begun with other weights.
    """

    def __init__(self, studio: Studio, layers: Sequence[Layer], folder: Path) -> None:
        self.studio = studio
        self.layers = layers
        self._identity = studio.identity()
        self.folder = OwnFolder(folder, RECORD, self._identity)
        self.folder.keep_to(studio.weights_sha256)
        self.class_names = studio.class_names()
        self._silent: dict[str, list[int]] = self.folder.data.setdefault("silent", {})
        self._on_sheets: dict[str, int] = self.folder.data.setdefault("on_sheets", {})

    def subject(self, layer: Layer, number: int) -> Subject:
        """Return a channel with its name."""
        name = f"class {number}" if layer.name == LOGITS else f"{layer.name} {number}"
        if layer.name == LOGITS and number < len(self.class_names):
            name = self.class_names[number]
        return Subject(layer=layer.name, number=number, name=name)

    def silent(self, layer: Layer) -> list[int]:
        """Return the channels that nothing in noise of any contrast excites."""
        return sorted(self._silent.get(layer.name, ()))

    def drawn(self, layer: Layer) -> list[int]:
        """Return the channels that there are pictures of."""
        lying = (path.stem for path in (self.folder.path / layer.pictures).glob("*.jpg"))
        return sorted(int(name) for name in lying if name.isdecimal() and int(name) < layer.total)

    def missing(self, layer: Layer) -> list[int]:
        """Return the channels that are still to be drawn."""
        done = {*self.drawn(layer), *self.silent(layer)}
        return [number for number in layer.numbers if number not in done]

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
                yield self.studio.job(subject, seed_of(self._identity, subject, attempt), attempt)

        def progress(index: int, fraction: float) -> None:
            parts[index] = fraction
            on_progress(done + sum(parts.values()))

        for index, outcome in self.studio.dream(jobs(), progress):
            number, attempt = flying.pop(index)
            parts.pop(index, None)
            subject = self.subject(layer, number)
            if isinstance(outcome, DeepDreamError):
                if not sees_nothing(outcome):
                    raise outcome
                if attempt + 1 < ATTEMPTS:
                    todo.append((number, attempt + 1))
                    continue
                self._silent.setdefault(layer.name, []).append(number)
                self.folder.save()
            else:
                recipe = self.studio.recipe(subject, attempt)
                seed = seed_of(self._identity, subject, attempt)
                data = self.studio.encoded(outcome.pixels, recipe, seed, outcome.weights_sha256)
                self.folder.write(layer.picture(number), data)
            done += 1
            on_progress(done + sum(parts.values()))

    def draw_sheets(self, layer: Layer) -> None:
        """Draw the contact sheets of a layer, with the channels' names, unless they show all that is drawn already."""
        import io

        from deepdream_plugins.builtin.sinks.sheets import Cell, draw

        drawn = self.drawn(layer)
        pages = [drawn[start : start + _CELLS] for start in range(0, len(drawn), _CELLS)]
        names = [f"sheets/{layer.folder}{f'-{index + 1}' if index else ''}.png" for index in range(len(pages))]
        are_there = all((self.folder.path / name).exists() for name in names)
        if are_there and self._on_sheets.get(layer.name, 0) == len(drawn):
            return
        for index, (name, numbers) in enumerate(zip(names, pages, strict=True)):
            cells = []
            for number in numbers:
                below = str(number) if layer.name == LOGITS else ""
                cells.append(Cell(self.folder.path / layer.picture(number), self.subject(layer, number).name, below))
            page = f", sheet {index + 1} of {len(pages)}" if len(pages) > 1 else ""
            title = f"{self.studio.spec.name} {layer.name}: {len(drawn)} of {layer.total} channels{page}"
            buffer = io.BytesIO()
            draw(cells, title, columns=_COLUMNS, cell_px=self.studio.side_px, font="").save(buffer, format="PNG")
            self.folder.write(name, buffer.getvalue())
        self._on_sheets[layer.name] = len(drawn)
        self.folder.save()

    def facts(self) -> dict[str, Any]:
        """Return what the page and ``--json`` tell of the channels that have been drawn so far."""
        return {
            "model": self.studio.spec.name,
            "help": self.studio.spec.help,
            "side_px": self.studio.side_px,
            "changes": list(self.studio.changes),
            "model_settings": self.studio.model_settings(),
            "layers": [
                {
                    "name": layer.name,
                    "shows": layer.shows,
                    "total": layer.total,
                    "silent": self.silent(layer),
                    "channels": [
                        {"number": number, "name": self.subject(layer, number).name, "file": layer.picture(number)}
                        for number in drawn
                    ],
                }
                for layer in self.layers
                if (drawn := self.drawn(layer)) or layer.numbers or self.silent(layer)
            ],
        }
