"""The seam between the daemon and the engine: what the daemon asks of whatever makes the dreams."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from deepdream_daemon.intake.companions import Companion
from deepdream_daemon.pipeline.film_orders import FilmFile, FilmOrder
from deepdream_engine.errors import DeepDreamError

if TYPE_CHECKING:
    from deepdream_plugins.hosting.health import Health
    from deepdream_plugins.resolving.resolved import ResolvedRecipe


class Progress(Protocol):
    """Hears, in the engine's thread, how much of a picture is done, in [0, 1], and of a film also which frame it is
    at. Must not block."""

    def __call__(self, index: int, fraction: float, detail: str = "", /) -> None: ...


class Prepared(Protocol):
    """A decoded picture, ready to be dreamt; those with equal ``batch_key`` may share passes."""

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
    calls of ``dream`` do, and the renderer gives each a free device. All three may wait until the renderer is ready
    again, and raise ``Cancelled`` when it is closed."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices; none as long as they are not known."""
        ...

    @property
    def busy_seconds(self) -> float:
        """Seconds that all devices together have computed so far, not counting what they waited for."""
        ...

    def troubles(self) -> Mapping[str, str]:
        """Return what keeps all pictures waiting, each with what to do about it; nothing if all is well."""
        ...

    def running(self) -> Sequence[tuple[str, str, float]]:
        """Return which strangers' code is being called outside this process, as ``PluginHost.running`` does."""
        ...

    def share_health(self, health: Health) -> None:
        """Have plugins that were disabled elsewhere disabled in ``health``, and the other way round."""
        ...

    def close(self) -> None:
        """End what was started for it. May be called again."""
        ...

    def wait_until_ready(self) -> None:
        """Wait until pictures can be worked at; raises ``Cancelled`` if that will never be."""
        ...

    def measure(self, data: bytes) -> float:
        """Return how many megapixels ``prepare`` will hold, from the file's header alone; 0 if it will
        refuse them.
        """
        ...

    def prepare(self, data: bytes, recipe: ResolvedRecipe, seed: int, companions: Mapping[str, Companion]) -> Prepared:
        """Decode and pre-filter a picture, with its companions by name; raises ``BadPicture``, ``BadOption`` or
        ``OSError``.
        """
        ...

    def prepare_film(
        self,
        order: FilmOrder,
        data: bytes | None,
        recipe: ResolvedRecipe,
        seed: int,
        companions: Mapping[str, Companion],
    ) -> Prepared:
        """Look whether a film can be made, of the photo ``data`` or of a clip; raises as :meth:`prepare` does, and
        ``sources.Changed`` for a clip that is not what was ordered.
        """
        ...

    def dream(
        self, feed: Iterator[Any | None], *, on_progress: Progress, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Any | DeepDreamError]]:
        """Yield the index and the outcome of each picture of ``feed`` as it finishes; raises ``Cancelled``.

        The feed is asked, in the thread that iterates, whenever there is room for one more picture, and never
        blocks; ``None`` in it says that there is none at the moment, so go on with those that are in flight and ask
        again after the next pass. The index counts the pictures.

        A film among them ends as ``ToBeContinued`` when the feed says that it gives way.
        """
        ...

    def finish(self, rendered: Any, provenance: Mapping[str, object]) -> Encoded:
        """Post-filter and encode a dream; inside go ``provenance`` (source and job) and how it was made."""
        ...

    def finish_film(self, rendered: Any, provenance: Mapping[str, object]) -> FilmFile:
        """Put a film together in its spool's folder; likewise."""
        ...
