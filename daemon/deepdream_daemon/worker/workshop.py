"""The workshop: a renderer whose pictures are in a worker process, and which outlives that process.

What crashes, hangs or takes all memory costs the pictures that were being worked on a new beginning, and nobody else.
Untrusted bytes never reach the worker: each picture is decoded in a small process for that, and its pixels go on in
shared memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deepdream_daemon.configuration.settings import EngineSettings, PictureSettings
from deepdream_daemon.failpoints import hit
from deepdream_daemon.intake.companions import Companion
from deepdream_daemon.pipeline.film_orders import FilmFile, FilmOrder
from deepdream_daemon.pipeline.rendering import Encoded, Progress
from deepdream_daemon.pipeline.threads import pool_size
from deepdream_daemon.worker.calls import Answer, Dreaming, call
from deepdream_daemon.worker.died import PictureLost
from deepdream_daemon.worker.handles import PreparedHandle, RenderedHandle
from deepdream_daemon.worker.keeper import START_SECONDS, UNWANTED, Keeper
from deepdream_daemon.worker.preparing import asked_to_prepare
from deepdream_engine.errors import Cancelled, DeepDreamError
from deepdream_plugins.hosting.guarding import is_third_party
from deepdream_plugins.selection import Selection

if TYPE_CHECKING:
    from deepdream_daemon.decoding.decoders import Decoders
    from deepdream_plugins.hosting.health import Health
    from deepdream_plugins.resolving.configured import Configured
    from deepdream_plugins.resolving.resolved import ResolvedRecipe

DARKROOM = "deepdream_daemon.worker.process:darkroom"
FILM_SECONDS = 3600.0
"""So long it may take to put a film together from its chunks: an animation is encoded anew."""


class Workshop:
    """Implements ``rendering.Renderer`` by a worker process, which :meth:`start` or the first picture starts.

    ``factory``, ``"module:function"``, makes what works there, see :class:`~deepdream_daemon.worker.serving.Bench`.
    Safe to use from any thread. No torch is imported in this process.
    """

    def __init__(
        self,
        engine: EngineSettings,
        pictures: PictureSettings,
        selection: Selection,
        *,
        factory: str = DARKROOM,
    ) -> None:
        self._stall_seconds = engine.stall_seconds
        self._filter_seconds = selection.filter_seconds
        self._pictures = pictures
        order = {"engine": engine, "pictures": pictures, "selection": selection.to_dict(), "factory": factory}
        self._keeper = Keeper(order)
        self._making = threading.Lock()
        self._decoders: Decoders | None = None

    # Its life

    def start(self) -> None:
        """Start the worker in the background, if it is not started yet."""
        self._keeper.start()

    def check(self, seconds: float = START_SECONDS) -> bool:
        """Wait until the worker is ready, or was found not to start at the moment; tell whether it is ready. Raises
        ``BadOption`` if it will not before the configuration is corrected: a device that is not there."""
        return self._keeper.check(seconds)

    def close(self) -> None:
        """End the worker; calls that are under way raise ``Cancelled``. May be called again."""
        self._keeper.close()
        with self._making:
            decoders, self._decoders = self._decoders, None
        if decoders is not None:
            decoders.close()

    @property
    def pid(self) -> int | None:
        """The worker's process id, if there is one."""
        return self._keeper.pid

    @property
    def restarts(self) -> int:
        """How often a worker has died so far, and was started again."""
        return self._keeper.restarts

    @property
    def last_death(self) -> str | None:
        """How the last of those ended."""
        return self._keeper.last_death

    @property
    def beat(self) -> float:
        """When the worker gave its last sign of life, by ``time.monotonic()``; now, while there is none to give one."""
        return self._keeper.beat

    @property
    def is_ready(self) -> bool:
        """Whether there is a worker that takes pictures."""
        return self._keeper.child is not None

    def troubles(self) -> Mapping[str, str]:
        """Return why the worker does not start at the moment, with what to do; nothing if it does."""
        return self._keeper.trouble

    def running(self) -> Sequence[tuple[str, str, float]]:
        """Return which strangers' code is being called in the worker, see ``PluginHost.running``."""
        return self._keeper.calls

    def share_health(self, health: Health) -> None:
        """Have plugins that were disabled there disabled in ``health``, and the other way round."""
        keeper = self._keeper
        for plugin, reason in keeper.disabled_there.items():
            health.disable(plugin, reason)
        disabled = health.disabled
        if disabled != keeper.disabled:
            keeper.disabled = disabled
            if (child := keeper.child) is not None:
                child.tell({"disable": disabled})

    # The renderer

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices, once a worker has told them; never waits for it."""
        return self._keeper.devices

    @property
    def busy_seconds(self) -> float:
        """Seconds that the engines have computed so far, of all workers."""
        return self._keeper.busy_seconds

    def wait_until_ready(self) -> None:
        """Wait until there is a worker that takes pictures; raises ``Cancelled`` if there will be none."""
        self._keeper.ready()

    def measure(self, data: bytes) -> float:
        """Return how many megapixels the header of ``data`` tells of; 0 for what ``prepare`` will refuse."""
        return self._decoding().measure(data)

    def prepare(
        self, data: bytes, recipe: ResolvedRecipe, seed: int, companions: Mapping[str, Companion]
    ) -> PreparedHandle:
        """Decode a picture in a process for that, and have the worker pre-filter it."""
        return self._prepare({}, data, recipe, seed, companions)

    def prepare_film(
        self,
        order: FilmOrder,
        data: bytes | None,
        recipe: ResolvedRecipe,
        seed: int,
        companions: Mapping[str, Companion],
    ) -> PreparedHandle:
        """Decode the photo of a film likewise. Clips are read by processes that the worker starts for each."""
        return self._prepare({"film": order}, data, recipe, seed, companions)

    def _prepare(
        self,
        more: Mapping[str, Any],
        data: bytes | None,
        recipe: ResolvedRecipe,
        seed: int,
        companions: Mapping[str, Companion],
    ) -> PreparedHandle:
        child = self._keeper.ready()
        decode = self._decoding().decode if child.facts["takes_pictures"] else None
        question, shared = asked_to_prepare(data, recipe, seed, companions, decode)
        question |= more
        del data
        limit = self._limit(strangers(recipe.prefilters))
        while (answer := call(child, question, [each.fileno() for each in shared], limit)) is None:
            child = self._keeper.ready()  # it had ended before it was asked
        hit("worker.prepared")
        return PreparedHandle(
            answer.facts["handle"],
            child.generation,
            self._keeper.dropped,
            strangers(recipe.postfilters),
            key=answer.facts["key"],
            megapixels=answer.facts["megapixels"],
        )

    def dream(
        self, feed: Iterator[Any | None], *, on_progress: Progress, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Any | DeepDreamError]]:
        """Have the worker dream, on a device that is free there, what ``feed`` has."""
        dreaming = Dreaming(
            self._keeper.ready(should_stop),
            feed,
            on_progress=on_progress,
            should_stop=should_stop,
            stall_seconds=self._stall_seconds,
            dropped=self._keeper.dropped,
            on_busy=self._keeper.note_busy,
        )
        yield from dreaming.run()

    def finish(self, rendered: RenderedHandle, provenance: Mapping[str, object]) -> Encoded:
        """Have the worker post-filter and encode a dream."""
        answer = self._finish("finish", rendered, provenance, self._limit(rendered.postfilters))
        hit("worker.finished")
        return Encoded(data=answer.data, suffix=answer.facts["suffix"])

    def finish_film(self, rendered: RenderedHandle, provenance: Mapping[str, object]) -> FilmFile:
        """Have the worker put a film together."""
        answer = self._finish("finish film", rendered, provenance, max(self._stall_seconds, FILM_SECONDS))
        return FilmFile(**{name: answer.facts[name] for name in ("path", "suffix", "notes")})

    def _finish(
        self, do: str, rendered: RenderedHandle, provenance: Mapping[str, object], limit_seconds: float
    ) -> Answer:
        child = self._keeper.child
        if child is None or child.generation != rendered.generation:
            raise Cancelled(UNWANTED) if self._keeper.is_closed else PictureLost
        question = {"do": do, "handle": rendered.number, "provenance": dict(provenance)}
        if (answer := call(child, question, [], limit_seconds)) is None:
            raise PictureLost
        return answer

    def _limit(self, filters: int) -> float:
        """Return how long something may take beside a dream; strangers' filters have limits of their own."""
        return self._stall_seconds + self._filter_seconds * filters

    def _decoding(self) -> Decoders:
        from deepdream_daemon.decoding.decoders import Decoders

        with self._making:
            if self._keeper.is_closed:
                raise Cancelled(UNWANTED)
            if self._decoders is None:
                self._decoders = Decoders(self._pictures, pool_size())
            return self._decoders


def strangers(filters: Sequence[Configured[Any]]) -> int:
    """Return how many of ``filters`` are not built in."""
    return sum(is_third_party(each.owner) for each in filters)
