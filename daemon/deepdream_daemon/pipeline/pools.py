"""The threads beside the engine: they develop and deliver pictures and probe outputs, and post what came of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.pipeline.gates import OutputUnavailable
from deepdream_daemon.pipeline.stages import Stages
from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.pipeline.threads import DaemonThreads, pool_size
from deepdream_daemon.publishing.publish import CalledOff
from deepdream_plugins.hosting.guarding import is_third_party

log = structlog.get_logger("deepdream")


class Pools:
    """Runs the stages of many pictures at once. What came of each is told in a call that ``post`` brings to the
    pipeline's thread, with what was raised if anything was. Dreams that a stranger's post-filter is for have threads of
    their own: those that hang keep no other dream from being published.
    """

    def __init__(self, stages: Stages, post: Callable[[Callable[[], None]], None]) -> None:
        self._stages = stages
        self._post = post
        self.size = pool_size()
        self._decoders = DaemonThreads(self.size, "decode", is_background=True)
        self._finishers = DaemonThreads(self.size, "finish", is_background=True)
        self._risky_finishers = DaemonThreads(self.size, "finish with plugins", is_background=True)

    def develop(self, task: Task, then: Callable[[Task, BaseException | None], None]) -> None:
        """Have a picture read, decoded and pre-filtered."""

        def work() -> None:
            error: BaseException | None = None
            try:
                _check_wanted(task)
                self._stages.develop(task)
            except BaseException as raised:  # noqa: BLE001  (judged in the pipeline's thread)
                error = raised
            self._post(lambda: then(task, error))

        self._submit(self._decoders, work, partial(then, task))

    def deliver(self, task: Task, then: Callable[[Task, Path | BaseException], None]) -> None:
        """Have a dream post-filtered, encoded and published."""

        def work() -> None:
            result: Path | BaseException
            try:
                _check_wanted(task)
                result = self._stages.deliver(task)
            except BaseException as raised:  # noqa: BLE001  (judged in the pipeline's thread)
                result = raised
            self._post(lambda: then(task, result))

        self._submit(self._risky_finishers if _is_risky(task) else self._finishers, work, partial(then, task))

    def preview(self, task: Task, rendered: object) -> None:
        """Have a picture shown before its dream. That this fails costs nobody anything."""
        given = [rendered]
        del rendered

        def work() -> None:
            try:
                self._stages.preview(task, given)
            except Exception as error:  # noqa: BLE001  (the dream meets the same, if it matters)
                log.warning("no preview is published", job=task.claim.id, path=str(task.claim.source), error=str(error))

        self._submit(self._risky_finishers if _is_risky(task) else self._finishers, work, lambda _: None)

    def probe(
        self,
        folder: FolderSettings,
        reason: OutputUnavailable,
        then: Callable[[FolderSettings, Path, bool], None],
    ) -> None:
        """Have it found out whether something can be published in an output directory again."""

        def work() -> None:
            is_open = True
            try:
                self._stages.probe(folder, reason)
            except Exception:  # noqa: BLE001  (whatever it is, the folder still makes trouble)
                is_open = False
            self._post(lambda: then(folder, reason.directory, is_open))

        self._submit(self._finishers, work, lambda _: then(folder, reason.directory, False))

    def _submit(self, pool: DaemonThreads, work: Callable[[], None], fail: Callable[[OSError], None]) -> None:
        try:
            pool.submit(work)
        except OSError as error:  # no thread is to be had
            self._post(partial(fail, error))

    def shutdown(self) -> None:
        """Drop what has not begun, and wait for nothing."""
        for pool in (self._decoders, self._finishers, self._risky_finishers):
            pool.shutdown(wait=False, cancel_futures=True)


def _check_wanted(task: Task) -> None:
    if task.is_given_up:  # while it waited for a thread
        raise CalledOff


def _is_risky(task: Task) -> bool:
    return task.recipe is not None and any(is_third_party(each.owner) for each in task.recipe.postfilters)
