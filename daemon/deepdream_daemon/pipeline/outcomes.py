"""What becomes of a job whose work has ended: the journal, the quarantine and the log are told, in this
order.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.intake.sources import Changed
from deepdream_daemon.journal.claims import COPIED
from deepdream_daemon.journal.journal import JobRecord, Journal
from deepdream_daemon.pipeline.backoff import Verdict, delay_seconds, explain_error, judge
from deepdream_daemon.pipeline.film_orders import ToBeContinued
from deepdream_daemon.pipeline.gates import OutputUnavailable
from deepdream_daemon.pipeline.originals import RootAway, Skipped, Vanished
from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.pipeline.telling import Telling
from deepdream_daemon.publishing import quarantine, records
from deepdream_daemon.publishing.publish import CalledOff
from deepdream_daemon.running.snapshot import Finished, Trouble
from deepdream_daemon.worker.faults import Elsewhere
from deepdream_engine.errors import Cancelled, DeepDreamError
from deepdream_plugins.hosting.guarding import PluginFailure

if TYPE_CHECKING:
    from deepdream_plugins.hosting.host import PluginHost

log = structlog.get_logger("deepdream")

REMEMBERED = 50


class Outcomes:
    """Judges how each job ended, and tells plugins when the journal knows. Used by the pipeline's thread alone; the
    lists may be read from any. ``on_done`` hears of each watched folder that has a new dream."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        *,
        host: PluginHost,
        on_changed: Callable[[Path], None],
        on_done: Callable[[Path], None],
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._health = host.health
        self._telling = Telling(host)
        self._on_changed = on_changed
        self._on_done = on_done
        self.finished: deque[Finished] = deque(maxlen=REMEMBERED)
        self.troubles: deque[Trouble] = deque(maxlen=REMEMBERED)

    def published(self, task: Task, output: Path) -> None:
        """The dream is visible and in the journal."""
        claim, seconds = task.claim, task.seconds
        if task.recipe is not None:
            self._health.succeeded(task.recipe.plugins)
        self._telling.finished(claim, output, seconds)
        self._on_done(claim.folder)
        self.finished.append(Finished(job=claim.id, path=claim.source, output=output, seconds=seconds))
        log.info(
            "dreamt",
            job=claim.id,
            path=str(claim.source),
            recipe=claim.recipe,
            output=str(output),
            seconds=round(seconds, 2),
        )

    def found(self, job: JobRecord, output: Path, seconds: float) -> None:
        """An output whose publishing was interrupted is visible and in the journal after all."""
        if job.recipe == COPIED:
            return  # which is no dream
        self._telling.finished(job, output, seconds)
        self._on_done(job.folder)
        self.finished.append(Finished(job=job.id, path=job.source, output=output, seconds=seconds))

    def given_up(self, task: Task, error: BaseException) -> None:
        """Even saying what ``error`` means failed: the job ends with no more than its name."""
        claim, name = task.claim, type(error).__name__
        text, advice = f"{name}, which could not be dealt with", "The log has the details."
        attempts = claim.attempts + 1
        facts = {"reason": text, "advice": advice, "recipe": claim.recipe, "attempts": attempts, "failed": time.time()}
        try:
            records.record(self._journal, claim.id, claim.source, facts)
        finally:
            self._journal.fail(claim.id, attempts=attempts, error=text, advice=advice)
        self._telling.failed(claim, text, advice, final=True)
        self.troubles.append(Trouble(job=claim.id, path=claim.source, error=text, advice=advice, final=True))

    def failed(self, task: Task, error: BaseException) -> None:
        """There is no dream; say in the journal what that means."""
        claim = task.claim
        if isinstance(error, CalledOff):
            return
        if isinstance(error, Cancelled | RootAway):
            reason = str(error) or "it was cancelled"
            self._journal.put_back([claim.id], reason)
            self._telling.failed(claim, reason, "It is taken up again by itself.", final=False)
            log.info("queued again", job=claim.id, path=str(claim.source), reason=str(error))
        elif isinstance(error, ToBeContinued):
            self._journal.put_back([claim.id], str(error))
            log.info("goes on later", job=claim.id, path=str(claim.source), reason=str(error))
        elif isinstance(error, Vanished):
            quarantine.remove(self._journal.state, claim.id, claim.source)  # of a run that was killed, maybe
            self._journal.vanish(claim)
            self._telling.failed(claim, "the file was deleted or moved away", "", final=True)
            log.warning("vanished", job=claim.id, path=str(claim.source))
        elif isinstance(error, Skipped):
            quarantine.remove(self._journal.state, claim.id, claim.source)
            self._journal.skip(claim, task.fingerprint, str(error))
            log.info("skipped", job=claim.id, path=str(claim.source), reason=str(error))
        elif isinstance(error, Changed):
            quarantine.remove(self._journal.state, claim.id, claim.source)
            self._journal.withdraw(claim, str(error))
            self._telling.failed(claim, str(error), "It is taken again when it has settled.", final=False)
            log.info("settles again", job=claim.id, path=str(claim.source), reason=str(error))
            self._on_changed(claim.source)
        else:
            self._judge(task, error)

    def _judge(self, task: Task, error: BaseException) -> None:
        claim = task.claim
        if isinstance(error, OutputUnavailable):
            text, verdict = str(error), Verdict(permanent=False, costs_attempt=False, advice=error.advice)
        else:
            text, verdict = explain_error(error), judge(error, claim.source, claim.delays)
        attempts = claim.attempts + verdict.costs_attempt
        final = verdict.permanent or attempts >= self._settings.max_attempts
        facts: dict[str, object] = {"job": claim.id, "path": str(claim.source), "recipe": claim.recipe}
        facts |= {"attempts": attempts, "error": text, "advice": verdict.advice}
        is_plain = isinstance(error, OutputUnavailable | DeepDreamError | OSError)
        trace = None if is_plain and not isinstance(error.__cause__, Elsewhere) else error
        if final:
            record = {
                "reason": text,
                "advice": verdict.advice,
                "recipe": claim.recipe,
                "attempts": attempts,
                "failed": time.time(),
            }
            records.record(self._journal, claim.id, claim.source, record)
            self._journal.fail(claim.id, attempts=attempts, error=text, advice=verdict.advice)
            log.error("failed", **facts, exc_info=trace)
        else:
            wait = delay_seconds(claim.delays)
            self._journal.put_off(
                claim.id,
                due=time.time() + wait,
                attempts=attempts,
                delays=claim.delays + 1,
                error=text,
                advice=verdict.advice,
                worked_seconds=task.worked_seconds if verdict.costs_attempt else claim.worked_seconds,
            )
            log.warning("put off", **facts, retry_in=round(wait, 1), exc_info=trace)
        if isinstance(error, PluginFailure):
            self._health.failed(error.plugin, text)
        self._telling.failed(claim, text, verdict.advice, final=final)
        for older in [trouble for trouble in self.troubles if trouble.job == claim.id]:
            self.troubles.remove(older)
        self.troubles.append(Trouble(job=claim.id, path=claim.source, error=text, advice=verdict.advice, final=final))
