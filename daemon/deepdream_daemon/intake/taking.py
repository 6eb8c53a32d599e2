"""Taking a picture that has settled: which recipe, seed and key it gets, or why it gets none, and the record of it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.explaining.absent import ADVICE, absence
from deepdream_daemon.failpoints import hit
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.asking import Asking
from deepdream_daemon.intake.beside import Beside
from deepdream_daemon.intake.companions import BadCompanion, MissingCompanion
from deepdream_daemon.intake.kinds import may_be_picture
from deepdream_daemon.intake.selection import (
    choose_companions,
    choose_recipe,
    copy_key,
    derive_seed,
    failed_key,
    folder_of,
    job_key,
    recipe_of_folder,
)
from deepdream_daemon.intake.twins import twin_of
from deepdream_daemon.journal.claims import COPIED
from deepdream_daemon.journal.disposals import Order
from deepdream_daemon.journal.intake import NewJob, Recorded, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.backoff import explain_error, judge
from deepdream_daemon.pipeline.telling import job_facts
from deepdream_daemon.publishing import quarantine, records
from deepdream_engine.errors import BadOption, BadPicture
from deepdream_plugins.events import JobFailed

if TYPE_CHECKING:
    from deepdream_plugins.recipes import RecipeBook

log = structlog.get_logger("deepdream")


class Taking:
    """Decides about one file after the other; used by one thread, which calls ``beat`` as long as it lives."""

    def __init__(
        self,
        settings: Settings,
        book: RecipeBook,
        journal: Journal,
        beside: Beside,
        *,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._beat = beat
        self._settings = settings
        self._book = book
        self._journal = journal
        self._beside = beside
        self._limit_bytes = sources.limit_bytes(settings.pictures.max_megapixels)

    def decide(self, path: Path, fingerprint: str, among: Container[str] | None) -> Taken | None:
        """Decide about the file at ``path`` that has settled as ``fingerprint``, ``among`` those names of what lies
        beside it (see :meth:`.beside.Beside.names`).

        ``None`` if no watched folder holds it; ``sources.Changed`` if it changes meanwhile.
        """
        folder = folder_of(self._settings.folders, path)
        if folder is None:
            return None
        sha256, name = "", recipe_of_folder(folder, path, self._book)
        asking = Asking(folder, path, self._book)
        try:
            if folder.copy_through and not may_be_picture(path, folder.input):
                key = copy_key(path, fingerprint)  # it may be large; whoever copies it sees what is in it
                copy = NewJob(key=key, folder=folder.input, sha256="", recipe=COPIED, seed=0)
                return Taken(path=path, fingerprint=fingerprint, job=copy)
            sha256, _ = sources.read_file(path, self._limit_bytes, keep=False, root=folder.input, beat=self._beat)
            if sources.fingerprint(path, self._beside.names(path.parent)) != fingerprint:
                raise sources.Changed(f"{path} changed after it had settled")
            hit("intake.hashed")
            output = self._journal.output_with(sha256)
            if output is not None:
                reason = f"it is a dream of this daemon already, the same as {str(output)!r}"
                return Taken(path=path, fingerprint=fingerprint, reason=reason)
            recipe = choose_recipe(folder, path, self._book, asking, among=among)
            name = recipe.name
            used = choose_companions(path, recipe, self._limit_bytes, root=folder.input, among=among)
            seed = derive_seed(sha256, recipe)
            key = job_key(sha256, path, recipe, seed, used)
            if self._journal.find_by_key(key) is None:
                twin = twin_of(self._journal, folder, path, sha256=sha256, recipe=recipe, seed=seed, used=used)
                if twin is not None:
                    return Taken(path=path, fingerprint=fingerprint, reason=twin)
        except (BadPicture, BadOption, PermissionError) as error:
            key = failed_key(sha256, path, fingerprint, f"{name} {error}")
            job = _refused(NewJob(key=key, folder=folder.input, sha256=sha256, recipe=name, seed=0), path, error)
        else:
            order = Order(folder.source, fingerprint)
            job = NewJob(key=key, folder=folder.input, sha256=sha256, recipe=recipe.name, seed=seed, order=order)
        if asking.fault:
            log.warning("a plugin failed", path=str(path), error=asking.fault)
        job = replace(job, choice=asking.recipe, chosen_by=asking.plugin, note=asking.fault)
        return Taken(path=path, fingerprint=fingerprint, job=job)

    def record(self, batch: Sequence[Taken]) -> None:
        """Record what was decided, all at once, and tell of it."""
        recorded = self._recorded(batch)
        hit("intake.recorded")
        for entry in recorded:
            path, job = entry.taken.path, entry.taken.job
            for old in entry.replaced:
                quarantine.remove(self._journal.state, old, path)
            if entry.state == "failed" and job is not None and job.error is not None and entry.job is not None:
                facts = {"reason": job.error, "advice": job.advice, "attempts": 1, "failed": time.time()}
                records.record(self._journal, entry.job, path, facts)
                log.error("failed", job=entry.job, path=str(path), error=job.error, advice=job.advice)
                if entry.is_new:
                    told = job_facts(entry.job, path, job.folder, job.recipe)
                    failed = JobFailed(**told, error=job.error, advice=job.advice or "", final=True)
                    self._book.catalogue.host.tell(failed)
            elif job is not None and job.expects and entry.is_new:
                log.warning("waits", job=entry.job, path=str(path), reason=job.error, advice=job.advice)
            else:
                log.info(entry.state, job=entry.job, path=str(path), reason=entry.taken.reason or None)
        records.are_written(self._journal, {entry.noted for entry in recorded if entry.noted is not None})

    def _recorded(self, batch: Sequence[Taken]) -> list[Recorded]:
        """Record all at once or, when that fails, one by one: none keeps its neighbours out."""
        try:
            return self._journal.record(batch)
        except sqlite3.OperationalError:
            raise  # the disk is full, or the journal locked: the next scan finds them again
        except Exception as error:
            if len(batch) == 1:
                path = str(batch[0].path)
                log.exception("a file could not be recorded", path=path, error=explain_error(error))
                return []
            return [entry for taken in batch for entry in self._recorded([taken])]


def _refused(job: NewJob, path: Path, error: Exception) -> NewJob:
    """Return ``job`` as failed from the start, or waiting for a companion or a plugin: the picture at ``path`` cannot
    be read, or nobody can tell what its recipe is.
    """
    if isinstance(error, MissingCompanion):
        return replace(job, expects=True, error=f"waits: {error.short}", advice=error.advice)
    if reason := absence(error):
        return replace(job, expects=True, error=f"waits: {reason}", advice=ADVICE)
    advice = judge(error, path).advice
    if isinstance(error, BadOption) and not isinstance(error, BadCompanion):
        advice = "Correct it and save the file; the picture is then taken by itself."
    return replace(job, error=explain_error(error), advice=advice)
