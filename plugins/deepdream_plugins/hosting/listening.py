"""Events on their way to plugins: every plugin that listens has a queue and a thread, so none waits for another."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from deepdream_plugins import events
from deepdream_plugins.hosting.guarding import Guard
from deepdream_plugins.hosting.health import Health

_LOG = logging.getLogger(__name__)
LONGEST_QUEUE = 1000
_IDLE_SECONDS = 5.0

HOOK_OF: Mapping[type[Any], str] = {
    events.JobStarted: "deepdream_job_started",
    events.JobProgress: "deepdream_progress",
    events.JobFinished: "deepdream_job_finished",
    events.JobFailed: "deepdream_job_failed",
    events.DaemonStarted: "deepdream_daemon_started",
    events.DaemonStopping: "deepdream_daemon_stopping",
}
"""The hook that tells of each event."""

Tell = Callable[[Any], object]


class Listener:
    """One plugin's queue, and the thread that works it off while there is something in it.

    A plugin that takes longer than its events take to come loses the oldest; of a job's progress it hears the latest.
    """

    def __init__(self, plugin: str, hooks: Mapping[str, Tell], health: Health) -> None:
        self._plugin = plugin
        self._hooks = hooks
        self._health = health
        self._changed = threading.Condition()
        self._queue: OrderedDict[Hashable, object] = OrderedDict()
        self._count = 0
        self._lost = 0
        self._thread: threading.Thread | None = None
        self._busy = False

    def hear(self, event: object) -> None:
        """Queue ``event`` if the plugin has a function for it. Never blocks for long, never raises."""
        if HOOK_OF[type(event)] not in self._hooks:
            return
        with self._changed:
            self._count += 1
            key: Hashable = self._count
            if isinstance(event, events.JobProgress):
                key = ("progress", event.job)
                self._queue.pop(key, None)
            if len(self._queue) >= LONGEST_QUEUE:
                self._queue.popitem(last=False)
                self._lost += 1
                if self._lost == 1:
                    _LOG.warning("the plugin %r does not keep up with its events: the oldest are lost", self._plugin)
            self._queue[key] = event
            if self._thread is None:
                self._start()
            self._changed.notify_all()

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name=f"listener {self._plugin}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no thread is to be had; the next event tries again
            _LOG.warning("the plugin %r hears nothing for now: %s", self._plugin, error)
        else:
            self._thread = thread

    def settled(self, deadline: float) -> bool:
        """Wait until all is told, at most until ``deadline`` of the monotonic clock; return whether it is."""
        with self._changed:
            while self._queue or self._busy:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            return True

    def _next(self) -> object | None:
        """Return the next event, or ``None`` when there has been none for a while, and the thread ends."""
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            until = time.monotonic() + _IDLE_SECONDS
            while not self._queue:
                left = until - time.monotonic()
                if left <= 0:
                    self._thread = None
                    return None
                self._changed.wait(left)
            self._busy = True
            return self._queue.popitem(last=False)[1]

    def _work(self) -> None:
        try:
            while (event := self._next()) is not None:
                self._tell(event)
        finally:
            # Whatever ends the thread: the next event begins another, and nobody waits for this one.
            with self._changed:
                if self._thread is threading.current_thread():
                    self._thread, self._busy = None, False
                self._changed.notify_all()

    def _tell(self, event: object) -> None:
        hook = HOOK_OF[type(event)]
        if self._plugin in self._health.disabled:
            return
        try:
            Guard(hook, self._plugin).call(self._hooks[hook], event)
        except Exception as failure:  # noqa: BLE001  (of the plugin, or memory that ran out)
            # The thread goes on: one event that is not heard must not keep the plugin from the next.
            _LOG.warning("%s", failure)
            if self._health.failed(self._plugin, str(failure), hook):
                _LOG.error("the plugin %r is disabled: %s", self._plugin, self._health.disabled[self._plugin])
        else:
            self._health.succeeded([self._plugin], hook)


class Listeners:
    """All plugins that listen."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._by_plugin: dict[str, Listener] = {}

    def add(self, plugin: str, hooks: Mapping[str, Tell]) -> None:
        """Let ``plugin`` hear what it has functions for, by the hook's name."""
        if hooks:
            self._by_plugin[plugin] = Listener(plugin, hooks, self._health)

    def remove(self, plugin: str) -> None:
        """Let ``plugin`` hear nothing any more."""
        self._by_plugin.pop(plugin, None)

    def tell(self, event: object) -> None:
        """Tell all plugins of ``event``; see :meth:`Listener.hear`."""
        if type(event) in HOOK_OF:
            for listener in list(self._by_plugin.values()):
                listener.hear(event)

    def settle(self, seconds: float) -> bool:
        """Wait at most ``seconds`` until everything is told; return whether it is."""
        deadline = time.monotonic() + seconds
        return all(listener.settled(deadline) for listener in list(self._by_plugin.values()))
