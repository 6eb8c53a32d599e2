"""After a crash: what was under way goes back to the queue, what had become visible counts, what was left
is swept.

Whether an announced output became visible is decided by its inode and its content, not by its name alone. Inodes count
as long as the temp file has its own: a disk without hard links has renamed it, and gives other numbers when it is
mounted again; so does a folder that was restored.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import structlog

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.failpoints import hit
from deepdream_daemon.journal.claims import COPIED, Announced
from deepdream_daemon.journal.disposals import Order
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.publishing import preview, quarantine
from deepdream_daemon.publishing.content import inode_of
from deepdream_daemon.publishing.places import check_place
from deepdream_daemon.publishing.publish import TEMP_PREFIX, CalledOff, Staged, discard, entered, reveal
from deepdream_engine.errors import BadOption

log = structlog.get_logger("deepdream")


def recover(journal: Journal, folders: Sequence[FolderSettings]) -> list[Announced]:
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
    for out in announced:
        try:
            resolve(journal, out, folders)
        except (OSError, BadOption) as error:  # none of them keeps the daemon from starting
            log.warning("what became of its output is found out later", job=out.job, error=str(error))
            undecided.append(out)
    return undecided


def resolve(journal: Journal, out: Announced, folders: Sequence[FolderSettings]) -> Path | None:
    """Find out what became of an announced output and finish what was begun; ``None`` when it is queued
    again.

    An ``OSError`` says that it cannot be found out at the moment, a ``BadOption`` that a link keeps it from being.
    """
    source = journal.source(out.job)
    root = next((each.output for each in folders if out.target.is_relative_to(each.output)), None)
    if root is not None or os.path.lexists(out.target.parent):
        root = root or out.target.parent
        check_place(journal, root)
        preview.settle(journal, out, root)
        staged, is_visible = _left(out, root)
    else:
        staged, is_visible = None, False  # nobody publishes there any more, so nobody will bring it back
    target = out.target if is_visible else None
    if staged is not None and not is_visible:
        target = _publish(journal, out, staged, is_other_allowed=not _skips(source, folders))
    if target is None:
        journal.take_back(out.job, "its output had not become visible")
    else:
        journal.finish(out.job, None)
        hit("publish.done")
    if staged is not None:
        discard(staged)
    if target is None or source is None:
        return target
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


def _publish(journal: Journal, out: Announced, staged: Staged, *, is_other_allowed: bool) -> Path | None:
    """Go on from where it ended, under another name if that is taken by now and the folder allows it."""

    def announce(target: Path) -> bool:
        if target != out.target and not is_other_allowed:
            return False
        return journal.announce(announcement(out.job, staged, target))

    try:
        target = preview.replace(journal, out.job, staged, announce)
        return target or reveal(staged, out.target.name, announce)
    except CalledOff:
        return None


def _left(out: Announced, root: Path) -> tuple[Staged | None, bool]:
    """Return its temp file, if that is there and whole, and whether it is visible, durably."""
    try:
        with entered(root, out.target.parent) as at:
            inode = inode_of(out.temp.name, at, out.sha256)
            visible = inode_of(out.target.name, at, out.sha256)
            is_ours = visible is not None and (visible == out.inode or inode != out.inode)
            if is_ours:
                os.fsync(at)
    except (FileNotFoundError, NotADirectoryError):
        return None, False  # the root is there, so the folder below is gone, with all that was in it
    return None if inode is None else Staged(temp=out.temp, sha256=out.sha256, inode=inode, root=root), is_ours


def _skips(source: Path | None, folders: Sequence[FolderSettings]) -> bool:
    """Tell whether nothing is to be published for a picture under a second name, since its folder says so."""
    folder = next((each for each in folders if source is not None and source.is_relative_to(each.input)), None)
    return folder is not None and folder.collision == "skip"


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
    ours, of_this_run, kept = f"{TEMP_PREFIX}{instance}-", f"{TEMP_PREFIX}{token}-", set(spared)
    removed = 0
    for directory, names, at in _directories(roots):
        if stop is not None and stop.is_set():
            break
        for name in names:
            path = directory / name
            if name.startswith(ours) and not name.startswith(of_this_run) and path not in kept:
                try:
                    os.unlink(name, dir_fd=at)
                except OSError as error:
                    _not_swept(OSError(error.errno, error.strerror, os.fspath(path)))
                else:
                    removed += 1
    return removed


def _directories(roots: Iterable[Path]) -> Iterator[tuple[Path, list[str], int]]:
    """Yield all directories from the roots down, entered without following a link, with the names of their files."""
    for root in roots:
        try:
            for directory, _, names, at in os.fwalk(f"{root}/.", onerror=_not_swept):  # the root may be a link
                yield Path(directory), names, at
        except OSError as error:
            _not_swept(error)


def _not_swept(error: OSError) -> None:
    log.warning("could not be swept", path=os.fsdecode(error.filename), error=error.strerror)
