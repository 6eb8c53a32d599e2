"""What all works of a daemon have done and are doing, those that are over included."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from deepdream_daemon.pipeline.outcomes import REMEMBERED
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.running.attended import Attended
from deepdream_daemon.running.snapshot import Active, Finished, Trouble
from deepdream_daemon.running.works import Works


class Tally:
    """Counts over the ``works()`` that there are now and those that :meth:`bury` has heard of; may be asked from any
    thread."""

    def __init__(self, works: Callable[[], Sequence[Works]]) -> None:
        self._works = works
        self._finished: deque[Finished] = deque(maxlen=REMEMBERED)
        self._errors: deque[Trouble] = deque(maxlen=REMEMBERED)
        self._found_by_rescan = 0
        self._watcher_restarts = 0
        self._worker_restarts = 0
        self._last_death: str | None = None

    def bury(self, works: Works) -> None:
        """Remember what works have done that are over and not among ``works()`` any more."""
        self._finished += works.pipeline.outcomes.finished
        self._errors += works.pipeline.outcomes.troubles
        self._found_by_rescan += works.intake.found_by_rescan
        self._watcher_restarts += works.intake.watcher.restarts

    def bury_worker(self, renderer: Renderer) -> None:
        """Remember what became of the worker of a renderer that no works have any more."""
        if isinstance(renderer, Attended):
            self._worker_restarts += renderer.restarts
            self._last_death = renderer.last_death or self._last_death

    def active(self) -> tuple[Active, ...]:
        """Return what is under way."""
        return tuple(active for works in self._works() for active in works.pipeline.active())

    def finished(self) -> tuple[Finished, ...]:
        """Return the latest dreams."""
        # Copied in one go each, as more may be added meanwhile.
        lately = (one for works in self._works() for one in list(works.pipeline.outcomes.finished))
        return tuple([*self._finished, *lately][-REMEMBERED:])

    def errors(self) -> tuple[Trouble, ...]:
        """Return the latest that was put off or failed."""
        lately = (one for works in self._works() for one in list(works.pipeline.outcomes.troubles))
        return tuple([*self._errors, *lately][-REMEMBERED:])

    def troubles(self) -> list[str]:
        """Say what is not as it should be."""
        return list(dict.fromkeys(trouble for works in reversed(self._works()) for trouble in works.troubles()))

    @property
    def found_by_rescan(self) -> int:
        """How many files no event had told of."""
        return self._found_by_rescan + sum(works.intake.found_by_rescan for works in self._works())

    @property
    def watcher_restarts(self) -> int:
        """How often a watcher was started again."""
        return self._watcher_restarts + sum(works.intake.watcher.restarts for works in self._works())

    @property
    def worker_restarts(self) -> int:
        """How often a worker was started again."""
        return self._worker_restarts + sum(worker.restarts for worker in self._workers())

    @property
    def last_death(self) -> str | None:
        """Why, the last time."""
        deaths = [worker.last_death for worker in self._workers() if worker.last_death is not None]
        return deaths[-1] if deaths else self._last_death

    def _workers(self) -> list[Attended]:
        renderers: dict[int, Renderer] = {id(works.plan.renderer): works.plan.renderer for works in self._works()}
        return [renderer for renderer in renderers.values() if isinstance(renderer, Attended)]
