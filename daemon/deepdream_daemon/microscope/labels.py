"""What photos are of, by their sub-folders or names: classes of the network, as ``deepdream evaluate`` finds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deepdream_daemon.microscope.photos import Photos
from deepdream_engine.errors import BadOption


class Labels:
    """The labels of ``photos``. ``classes`` are the network's, with synonyms; ``called`` says what one is called.

    A sub-folder may be called anything: one that names no class is a label, but of none. ``why_none`` says why no label
    is of a class, if the folder's training and held-out pictures do not fit together.
    """

    def __init__(self, photos: Photos, classes: Sequence[str], called: Callable[[int], str]) -> None:
        from deepdream_engine.training.matching import known_labels

        self._called = called
        self._numbers: dict[str, int] = {}
        self.why_none = ""
        try:
            for path, number in known_labels(photos.folder, classes).items():
                self._numbers[path.relative_to(photos.folder).as_posix()] = number
        except BadOption as error:
            self.why_none = str(error)

    def number(self, name: str) -> int | None:
        """Return the class that a photo is of, if its label is a class."""
        return self._numbers.get(name)

    def of(self, name: str) -> str:
        """Return the label of a photo: its class, else the first sub-folder that it lies in, or nothing."""
        number = self.number(name)
        if number is not None:
            return self._called(number)
        return name.split("/", 1)[0] if "/" in name else ""
