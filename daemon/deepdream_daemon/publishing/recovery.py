"""After a crash: what was under way goes back to the queue, what had become visible counts, what was left
is swept.

Whether an announced output became visible is decided by its inode and its content, not by its name.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

import structlog

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.failpoints import hit
from deepdream_daemon.journal.claims import COPIED, Announced
from deepdream_daemon.journal.disposals import Order
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.publishing import quarantine
from deepdream_daemon.publishing.publish import TEMP_PREFIX, CalledOff, Staged, is_whole, reveal, sync_directory
from deepdream_engine.errors import BadOption

log = structlog.get_logger("deepdream")


def recover(journal: Journal, folders: Iterable[FolderSettings]) -> list[Announced]:
    """Bring the journal in order at start; return the outputs that cannot be decided yet: their folder is away, or
    makes trouble.
    """
    hit("recovery.begun")
    for hold in journal.holds():  # of the run before; whether it is still so, the next output tells
        journal.release(hold.folder, hold.directory)
    running, announced = journal.at_work()
    journal.put_back(running, "the daemon had stopped in the middle of it")
    hit("recovery.requeued")
    undecided: list[Announced] = []
    roots = [folder.output for folder in folders]
    for out in announced:
        try:
            resolve(journal, out, roots)
        except (OSError, BadOption, CalledOff) as error:  # none of them keeps the daemon from starting
            log.warning("what became of its output is found out later", job=out.job, error=str(error))
            undecided.append(out)
    return undecided


def resolve(journal: Journal, out: Announced, roots: Iterable[Path]) -> Path | None:
    """Find out what became of an announced output and finish what was begun; ``None`` when it is queued
    again.

    An ``OSError`` says that it cannot be found out at the moment.
    """
    root = next((root for root in roots if out.target.is_relative_to(root)), out.target.parent)
    root.stat()
    if _is_ours(out) and is_whole(out.target, out.sha256):
        target = out.target
        sync_directory(target.parent)
    elif is_whole(out.temp, out.sha256):
        staged = Staged(temp=out.temp, sha256=out.sha256, inode=os.lstat(out.temp).st_ino, root=root)
        target = reveal(staged, out.target.name, lambda name: journal.announce(announcement(out.job, staged, name)))
    else:
        journal.take_back(out.job, "its output had not become visible")
        return None
    journal.finish(out.job, None)
    hit("publish.done")
    out.temp.unlink(missing_ok=True)
    source = journal.source(out.job)
    if source is not None:
        quarantine.remove(journal.state, out.job, source)  # of an earlier failure
        record = journal.of_output(target)
        what = "copied" if record is not None and record.recipe == COPIED else "dreamt"
        log.info(what, job=out.job, path=str(source), output=str(target))
    return target


def announcement(job: int, staged: Staged, target: Path, order: Order | None = None) -> Announced:
    """Return what the journal must know before ``staged`` becomes visible as ``target``, and what ``order`` there is
    for its source then.
    """
    return Announced(job=job, temp=staged.temp, target=target, sha256=staged.sha256, inode=staged.inode, order=order)


def _is_ours(out: Announced) -> bool:
    try:
        return os.lstat(out.target).st_ino == out.inode
    except FileNotFoundError:
        return False


def sweep(
    roots: Iterable[Path],
    instance: str,
    token: str,
    spared: Iterable[Path] = (),
    stop: threading.Event | None = None,
) -> int:
    """Remove temp files that earlier runs of this instance left in the output folders; return how many.

    Other daemons may publish into the same folders, so theirs, and those of this run (``token``), are not
    touched. Nobody waits for it when ``stop`` is set.
    """
    kept = set(spared)
    removed = 0
    todo = list(roots)
    while todo:
        directory = todo.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if stop is not None and stop.is_set():
                        return removed
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(Path(entry.path))
                    elif (
                        entry.name.startswith(f"{TEMP_PREFIX}{instance}-")
                        and not entry.name.startswith(f"{TEMP_PREFIX}{token}-")
                        and Path(entry.path) not in kept
                    ):
                        Path(entry.path).unlink()
                        removed += 1
        except OSError as error:
            log.warning("could not be swept", folder=str(directory), error=str(error))
    return removed
