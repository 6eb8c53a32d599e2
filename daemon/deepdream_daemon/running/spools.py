"""Unfinished films that nobody will finish: their job has ended, or there is no such job any more."""

from __future__ import annotations

import structlog

from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.journal.retention import ENDED
from deepdream_daemon.pipeline.film_shares import is_shared
from deepdream_daemon.pipeline.filming import FOLDER, remove_spool

log = structlog.get_logger("deepdream")


def sweep_spools(journal: Journal) -> None:
    """Remove them: a kill just after publishing leaves one, and so does a source that was changed or deleted. Those of
    the command line stay, which go on when the same command is given again."""
    folder = journal.state / FOLDER
    try:
        names = {path.name.removesuffix("-kept") for path in folder.iterdir()}
    except FileNotFoundError:
        return
    for name in sorted(filter(is_shared, names)):
        job = journal.find_by_key(name.partition("-")[2])
        if job is None or job.state in ENDED:
            remove_spool(folder / name)
            log.info("what was left of an unfinished film is removed", path=str(folder / name))
