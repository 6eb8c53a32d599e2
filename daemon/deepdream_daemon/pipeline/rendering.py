"""The seam between the daemon and the engine: what the daemon asks of whatever makes the dreams."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from deepdream_engine.errors import DeepDreamError

if TYPE_CHECKING:
    from deepdream_plugins.resolved import ResolvedRecipe

Progress = Callable[[int, float], None]
"""``progress(index in the batch, fraction done in [0, 1])``; called from the engine's thread, must not
block.
"""


class Prepared(Protocol):
    """A decoded picture, ready to be dreamt; those with equal ``batch_key`` may share a batch."""

    @property
    def batch_key(self) -> Hashable: ...
    @property
    def megapixels(self) -> float: ...


@dataclass(frozen=True)
class Encoded:
    """The bytes of a finished output file and the suffix that its name should have, such as ``.jpg``."""

    data: bytes
    suffix: str


class Renderer(Protocol):
    """Makes dreams. ``prepare`` and ``finish`` run in several threads at once; at most ``len(devices)``
    calls of ``dream`` do, and the renderer gives each a free device."""

    @property
    def devices(self) -> Sequence[str]: ...

    def prepare(self, data: bytes, recipe: ResolvedRecipe, seed: int) -> Prepared:
        """Decode and pre-filter a picture; raises ``BadPicture``, ``BadOption`` or ``OSError``."""
        ...

    def dream(
        self, batch: Sequence[Any], *, on_progress: Progress, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Any | DeepDreamError]]:
        """Yield the index and the outcome of each picture as it finishes; raises ``Cancelled``."""
        ...

    def finish(self, rendered: Any, provenance: Mapping[str, object]) -> Encoded:
        """Post-filter and encode a dream; inside go ``provenance`` (source and job) and how it was made."""
        ...
