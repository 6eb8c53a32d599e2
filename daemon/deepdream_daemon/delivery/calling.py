"""Calling a sink: each call has a thread of its own, and one that hangs is left behind."""

from __future__ import annotations

import hashlib
import os
import threading
from functools import partial

from deepdream_daemon.delivery.routes import Route
from deepdream_daemon.failpoints import hit
from deepdream_daemon.journal.deliveries import Parcel
from deepdream_engine.errors import DeepDreamError
from deepdream_plugins.events import Delivery
from deepdream_plugins.hosting.guarding import Guard, PluginFailure
from deepdream_plugins.records import SinkSpec
from deepdream_plugins.resolving.configured import Configured

SINK_CALL = "the sink "
"""How the guarded call of a sink is named, before its name."""
MOST_LEFT_BEHIND = 4
"""So many calls may hang at once; only then the sink is left alone until one of them ends."""


class TakesTooLong(DeepDreamError):
    """A sink did not end in time and was left behind."""


class Calls:
    """The calls of one sink, by one thread."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._left_behind: list[threading.Event] = []

    @property
    def are_too_many(self) -> bool:
        """Whether so many hang that no other is begun."""
        self._left_behind = [ended for ended in self._left_behind if not ended.is_set()]
        return len(self._left_behind) >= MOST_LEFT_BEHIND

    def deliver(self, parcel: Parcel, sink: Configured[SinkSpec]) -> None:
        """Have the sink take a dream; raises what it raises, and :class:`TakesTooLong`."""
        hit("delivery.begun")
        route, spec = self._route, sink.spec
        for folder in (route.state.parent, route.state):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        guard = Guard(f"{SINK_CALL}{spec.name!r}", sink.owner)
        deliver = partial(spec.deliver, delivery_of(parcel, route), **sink.options)
        ended, errors = threading.Event(), []

        def call() -> None:
            try:
                guard.call(deliver, near=spec.deliver)
            except BaseException as error:  # noqa: BLE001  (raised again by the courier)
                errors.append(error)
            finally:
                ended.set()

        threading.Thread(target=call, name=f"call of {route.name}", daemon=True).start()
        if not ended.wait(spec.limit_seconds):
            self._left_behind.append(ended)
            raise TakesTooLong(
                f"deliver of {spec.name!r} (plugin {sink.owner!r}) did not end within its limit_seconds = "
                f"{spec.limit_seconds:g}; it may still be running; make it quicker or raise the limit"
            )
        if errors:
            raise errors[0]
        hit("delivery.returned")


def is_fault(error: BaseException) -> bool:
    """Whether it is the plugin that is wrong, not what it could not reach."""
    return isinstance(error, TakesTooLong) or (
        isinstance(error, PluginFailure) and not isinstance(error.__cause__, OSError)
    )


def delivery_of(parcel: Parcel, route: Route) -> Delivery:
    """Return what the sink is told; the paths can be opened, whatever bytes are in them."""
    return Delivery(
        job=parcel.job,
        key=hashlib.sha256(parcel.key.encode() + b"\0" + os.fsencode(parcel.output)).hexdigest(),
        source=os.fspath(parcel.source),
        folder=os.fspath(parcel.folder),
        recipe=parcel.recipe,
        seed=parcel.seed,
        output=os.fspath(parcel.output),
        output_folder=os.fspath(route.output_folder),
        finished=parcel.finished,
        attempt=parcel.attempt,
        state=os.fspath(route.state),
        watched=tuple(map(os.fspath, route.watched)),
    )
