"""Reloading: the configuration is taken up again when it has changed, or when somebody asks.

In a thread of its own, as loading plugins or starting a worker may take long. What is wrong with a configuration is
told, and leaves the one that is in force as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import structlog

from deepdream_daemon.pipeline.backoff import explain_error
from deepdream_engine.errors import DeepDreamError

if TYPE_CHECKING:
    from deepdream_daemon.configuration.changes import Changes
    from deepdream_daemon.running.works import Plan

log = structlog.get_logger("deepdream")

LOOK_SECONDS = 0.2
RELOAD_SECONDS = 180.0
"""For plugins that load, and for a worker that tries another device."""


class Supervision(Protocol):
    """Whoever has started the daemon, and wants to know how far it is: systemd, if it is there. For any thread."""

    def ready(self) -> None:
        """It works: after the start, and after :meth:`reloading`."""

    def reloading(self) -> None:
        """It takes up its configuration."""

    def stopping(self) -> None:
        """It ends."""

    def extend(self, seconds: float) -> None:
        """What it does now may take so much longer."""


class Nobody:
    """Supervision by nobody."""

    def ready(self) -> None: ...
    def reloading(self) -> None: ...
    def stopping(self) -> None: ...
    def extend(self, seconds: float) -> None: ...


class Reloading:
    """Looks at the file that ``changes`` are of as long as the plan in force says so. ``replan(plan, asked)`` makes the
    next plan of what the file says now, or returns the same if that is all the same, unless somebody asked for it."""

    def __init__(self, changes: Changes, replan: Callable[[Plan, bool], Plan]) -> None:
        self._changes = changes
        self._replan = replan
        self._asked = False

    def ask(self) -> None:
        """Take the configuration up again, whether it has changed or not. For signal handlers, too."""
        self._asked = True

    def start(
        self,
        stop: threading.Event,
        *,
        plan: Callable[[], Plan],
        take_up: Callable[[Plan], None],
        refuse: Callable[[str], None],
        supervision: Supervision,
    ) -> None:
        """Begin: ``plan()`` is the one in force, ``take_up`` puts another in force and may raise, ``refuse`` hears what
        is wrong."""

        def run() -> None:
            while not stop.wait(LOOK_SECONDS):
                asked = self._was_asked()
                if not asked and not (plan().settings.reload and self._changes.there_are()):
                    continue
                supervision.reloading()
                supervision.extend(RELOAD_SECONDS)
                try:
                    take_up(self._replan(plan(), asked))
                except Exception as error:
                    if stop.is_set():  # maybe because of that; the next start finds what is wrong with it
                        return
                    if not isinstance(error, DeepDreamError | OSError):
                        log.exception("taking up the configuration met a defect")
                    refuse(explain_error(error))
                if not stop.is_set():
                    supervision.ready()

        threading.Thread(target=run, name="reload", daemon=True).start()

    def _was_asked(self) -> bool:
        """Tell whether somebody asked; then what the file says now is what is taken up."""
        if not self._asked:
            return False
        # In this order: what is asked for meanwhile is either done now or told again. An Event would be no better, as a
        # signal handler that is interrupted by another one would wait for itself.
        self._asked = False
        self._changes.take_note()
        return True
