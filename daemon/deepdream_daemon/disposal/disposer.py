"""The disposer: works off what is to become of sources whose dreams are safe, and copies files that are no pictures.

One thread asks the journal what is due, which is never remembered, and has each watched folder worked at in a lane of
its own: a disk that hangs holds up no other folder. Another thread has files copied likewise.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import structlog

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.disposal.copy_lanes import CopyLanes
from deepdream_daemon.disposal.disposing import Disposing
from deepdream_daemon.disposal.lane import FolderLane
from deepdream_daemon.disposal.lanes import MEND_SECONDS, Lanes
from deepdream_daemon.disposal.trash import Trash, put_into_trash
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.disposals import Leftover
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.backoff import LONGEST_SECONDS, explain_error

log = structlog.get_logger("deepdream")

POLL_SECONDS = 1.0


class Disposer:
    """Works in threads of its own from ``start`` until ``stop`` is set; ``troubles`` may be asked from any thread.

    ``on_changed`` hears of a file that has to settle again.
    """

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        roots: Roots,
        stop: threading.Event,
        *,
        token: str,
        on_changed: Callable[[Path], None] = lambda _: None,
        trash: Trash = put_into_trash,
    ) -> None:
        self._journal = journal
        self._stop = stop
        self._token = token
        self._wake = {"dispose": threading.Event(), "copy": threading.Event()}
        self._copies = CopyLanes(
            settings, journal, roots, stop, token=token, on_changed=on_changed, wake=self._wake["copy"].set
        )
        self._make_lane = partial(
            FolderLane, disposing=Disposing(journal, token, trash), journal=journal, roots=roots, stop=stop
        )
        self._lanes = {folder.input: self._make_lane(folder) for folder in settings.folders}
        self._untidy = set(self._lanes)
        self._at_work = Lanes("dispose", stop, self._wake["dispose"].set)
        self._before: Disposer | None = None
        self._mend_at = 0.0
        self._threads: dict[str, threading.Thread] = {}

    def start(self, after: Disposer | None = None, may_begin: Callable[[], bool] = lambda: True) -> None:
        """Begin with what is due, as soon as the disposer before has ended with it: no file is worked on by two. Nor
        before ``may_begin()``, which waits and says whether this shall begin at all."""
        self._before = after

        def begin(run: Callable[[threading.Event, Disposer | None], None], wake: threading.Event) -> None:
            if may_begin():
                run(wake, after)

        for name, run in (("dispose", self._dispose_all), ("copy", self._copy_all)):
            thread = threading.Thread(target=begin, args=(run, self._wake[name]), name=name, daemon=True)
            thread.start()
            self._threads[name] = thread

    def wake(self) -> None:
        """There may be something to do, or the daemon stops."""
        for wake in self._wake.values():
            wake.set()

    def join(self, seconds: float) -> None:
        """Wait until what is under way has ended, or for ``seconds``, once ``stop`` is set."""
        self.wake()
        until = time.monotonic() + seconds
        for thread in self._threads.values():
            thread.join(max(0.0, until - time.monotonic()))
        for lanes in (self._at_work, self._copies):
            lanes.join(max(0.0, until - time.monotonic()))

    @property
    def is_alive(self) -> bool:
        """Whether something may still be under way."""
        return bool(self._at_work.at_work()) or self._copies.is_at_work or any(map(self._is_running, self._threads))

    def troubles(self) -> list[str]:
        """Say what could not be done yet."""
        return [*self.hanging(), *self._copies.troubles(), *self._journal.disposal_troubles()]

    def hanging(self) -> dict[str, str]:
        """Say what of it hangs, which another process cannot find out, each with what to do."""
        return {
            f"moving or deleting pictures of {str(path)!r} has not ended since "
            f"{time.strftime('%H:%M', time.localtime(time.time() - seconds))}": (
                "Look at its disk, and at those that they go to: when they answer, it goes on by itself."
            )
            for path, seconds in self._hanging().items()
        }

    def turn(self) -> bool:
        """Begin what is due in the folders where nothing is under way; return whether there may be more."""
        busy = self._folders_at_work()
        for path in self._untidy - busy:
            self._at_work.begin(path, partial(self._tidy, path))
        now = time.monotonic()
        if now >= self._mend_at:
            self._mend_at = now + LONGEST_SECONDS
            self._journal.mend_disposal_clock(time.time() + 2 * LONGEST_SECONDS)
        held = self._folders_at_work() | {path for path, lane in self._lanes.items() if lane.rests}
        due = self._journal.due_disposals(besides=held)
        for path, leftovers in _by_folder(due).items():
            lane = self._lanes.get(path) or self._lanes.setdefault(path, self._make_lane(None))
            self._at_work.begin(path, partial(lane.work_off, leftovers))
        return bool(due)

    def _tidy(self, path: Path) -> None:
        self._lanes[path].tidy(self._token)
        self._untidy.discard(path)

    def _folders_at_work(self) -> set[Path]:
        """Return where something is under way, of a former configuration too."""
        before = self._before
        if before is not None and not (former := before._folders_at_work()):
            self._before = before = None
        return {*(() if before is None else former), *self._at_work.at_work()}

    def _hanging(self) -> dict[Path, float]:
        before = self._before
        return {**({} if before is None else before._hanging()), **self._at_work.hanging()}

    def _dispose_all(self, wake: threading.Event, before: Disposer | None) -> None:
        _await_end_of("dispose", before)  # of who has the lanes begin; in those that hang, nothing is begun here
        self._work(self.turn, wake)
        self._at_work.close()

    def _copy_all(self, wake: threading.Event, before: Disposer | None) -> None:
        _await_end_of("copy", before)
        if before is not None:
            self._copies.take_over(before._copies)
        self._work(self._copies.turn, wake)
        self._copies.close()

    def _work(self, turn: Callable[[], bool], wake: threading.Event) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                has_more = turn()
            except Exception as error:
                if self._stop.is_set():  # the journal is closed, and tells the next start how far this came
                    return
                log.exception("something went wrong beside the dreams, it goes on", error=explain_error(error))
                self._stop.wait(MEND_SECONDS)
                continue
            if not has_more:
                # Many that are due in a folder that hangs make the question long: it takes a tenth of the time at most.
                wake.wait(max(POLL_SECONDS, 10 * (time.monotonic() - begun)))
                wake.clear()

    def _is_running(self, name: str) -> bool:
        return name in self._threads and self._threads[name].is_alive()


def _by_folder(leftovers: Iterable[Leftover]) -> dict[Path, list[Leftover]]:
    found: dict[Path, list[Leftover]] = {}
    for left in leftovers:
        found.setdefault(left.folder, []).append(left)
    return found


def _await_end_of(name: str, before: Disposer | None) -> None:
    """Wait even if this one has to stop already: another may come after it."""
    while before is not None and before._is_running(name):
        time.sleep(0.05)
