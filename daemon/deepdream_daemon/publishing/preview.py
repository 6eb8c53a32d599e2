"""Previews: what a job shows before its dream, and how the dream takes its place.

Nothing else is ever replaced, and a preview only if it is still the file that was published. That is found out after
the two have changed places: whatever is taken from its name lies under the dream's temporary one, and goes back if it
is no preview. So nobody's file is lost, however fast it was put there; a kill in between is gone on from by
:func:`settle`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import structlog

from deepdream_daemon.failpoints import hit
from deepdream_daemon.journal.claims import Announced
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.journal.previews import Preview
from deepdream_daemon.publishing.content import inode_of
from deepdream_daemon.publishing.exchanging import can_exchange, exchange
from deepdream_daemon.publishing.linking import link_new
from deepdream_daemon.publishing.places import check_place
from deepdream_daemon.publishing.publish import (
    TEMP_PREFIX,
    TEMP_SUFFIX,
    CalledOff,
    Staged,
    candidates,
    discard,
    entered,
    reveal,
)
from deepdream_engine.errors import BadOption

log = structlog.get_logger("deepdream")


def is_wanted(journal: Journal, job: int) -> bool:
    """Tell whether a job has still to show a preview: not if it has been there, whatever became of it since."""
    preview = journal.preview(job)
    return preview is None or not (preview.is_visible or os.path.lexists(preview.target))


def is_ours(journal: Journal, job: int, path: Path) -> bool:
    """Tell whether what is at ``path`` may be the preview of this job."""
    preview = journal.preview(job)
    return preview is not None and preview.target == path


def show(
    journal: Journal, job: int, staged: Staged, name: str, *, root: Path, token: str, may: Callable[[Path], bool]
) -> Path | None:
    """Publish a staged preview as ``name``, or under the next free name; return where, or ``None`` if it is not to be:
    ``may`` is asked about each place. ``staged`` is used up."""
    try:
        if not can_exchange(staged, root, token):
            log.warning("no preview is published, as this disk cannot exchange two files", output=os.fspath(root))
            return None
        hit("preview.staged")
        target = reveal(staged, name, lambda path: may(path) and journal.announce_preview(job, path, staged.sha256))
        preview = journal.preview(job)
        if preview is not None:
            journal.preview_is_visible(preview)
        else:  # its job has ended, and whoever takes its preview away came before it
            with entered(root, target.parent) as at:
                lost = Preview(job=job, target=target, sha256=staged.sha256, is_visible=True)
                _remove(lost, _aside(journal, job), at)
            return None
    except CalledOff:
        return None
    finally:
        discard(staged)
    hit("preview.shown")
    return target


def replace(journal: Journal, job: int, staged: Staged, announce: Callable[[Path], bool]) -> Path | None:
    """Give a staged dream the name of its job's preview; return where it is, or ``None`` if there is no preview any
    more that may be replaced. ``announce`` is as for ``publish.reveal``."""
    preview = journal.preview(job)
    directory = staged.temp.parent
    if preview is None or preview.target.parent != directory:
        return None
    name, temp = preview.target.name, staged.temp.name
    with entered(staged.root or directory, directory) as at:
        if inode_of(name, at, preview.sha256) is None:
            return None  # somebody has edited, moved or removed it
        if not announce(preview.target):
            raise CalledOff
        hit("preview.replacing")
        try:
            exchange(temp, name, at)
        except OSError as error:
            log.warning("a preview stays beside its dream", path=os.fspath(preview.target), error=str(error))
            return None
        hit("preview.exchanged")
        if not _is_settled(preview, staged.sha256, temp, at):
            return None
        os.fsync(at)
        hit("publish.directory_synced")
    return preview.target


def settle(journal: Journal, out: Announced, root: Path) -> None:
    """Go on after a kill, or an error, at any moment of :func:`replace`: what lies under the temporary name of the
    dream ``out``, and is neither that nor its preview, is somebody's file that has to go back."""
    preview, temp = journal.preview(out.job), out.temp.name
    if preview is None or preview.target != out.target:
        return
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), entered(root, out.target.parent) as at:
        inode = os.stat(temp, dir_fd=at, follow_symlinks=False).st_ino  # without it, there is nothing to settle
        if inode == out.inode or inode_of(temp, at, out.sha256) is not None:
            return
        if inode_of(out.target.name, at, out.sha256) is not None:
            _is_settled(preview, out.sha256, temp, at)
        elif inode_of(temp, at, preview.sha256) is None:
            _give_back(preview, temp, at)


def give_way(journal: Journal, job: int, root: Path) -> bool:
    """Take away the preview of a job whose dream finds no space on the disk; return whether there was one that nobody
    has changed. It is not shown again."""
    preview = journal.preview(job)
    if preview is None:
        return False
    try:
        with _alone(journal, job) as is_alone, entered(root, preview.target.parent) as at:
            return is_alone and _remove(preview, _aside(journal, job), at)
    except (OSError, BadOption):
        return False


def withdraw(journal: Journal, roots: Sequence[Path], within: Path | None = None) -> None:
    """Take away the previews of jobs that have ended without taking their place, if nobody has changed them: all, or
    those in the directory ``within``; the output folders are among ``roots``."""
    for preview in journal.stale_previews():
        directory = preview.target.parent
        if within not in {None, directory}:
            continue
        root = next((each for each in roots if directory.is_relative_to(each)), None)
        try:
            with _alone(journal, preview.job) as is_alone:
                if is_alone and _is_withdrawn(journal, preview, root):
                    journal.forget_preview(preview)
        except (OSError, BadOption) as error:  # as when a link leads elsewhere by now
            log.warning("a preview without a dream is taken away later", path=str(preview.target), error=str(error))


def _is_withdrawn(journal: Journal, preview: Preview, root: Path | None) -> bool:
    """Take away a preview; False if its output folder ``root`` is away. ``None`` is one that nobody watches any
    more."""
    try:
        check_place(journal, root or preview.target.parent)
    except (FileNotFoundError, NotADirectoryError):
        return root is None
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),  # the folder in it is gone, with all that was there
        entered(root or preview.target.parent, preview.target.parent) as at,
    ):
        _remove(preview, _aside(journal, preview.job), at)
    return True


_at_work: set[tuple[str, int]] = set()
_changing = threading.Lock()


@contextlib.contextmanager
def _alone(journal: Journal, job: int) -> Iterator[bool]:
    """Tell whether no other thread is taking away the preview of this job, which none does until the end of the
    block: two would put aside, one over the other, what they have not looked at. Nobody waits for another's disk."""
    key = (journal.instance, job)
    with _changing:
        is_alone = key not in _at_work
        _at_work.add(key)
    try:
        yield is_alone
    finally:
        if is_alone:
            with _changing:
                _at_work.discard(key)


def _is_settled(preview: Preview, sha256: str, temp: str, at: int) -> bool:
    """Look at what was taken from the name of the preview: remove it if it is that, or else give it its name back."""
    name = preview.target.name
    if inode_of(temp, at, preview.sha256) is not None:
        os.unlink(temp, dir_fd=at)
        return True
    exchange(temp, name, at)
    os.fsync(at)
    if inode_of(temp, at, sha256) is None:
        # Two of somebody's files in two moments: both are kept, and :func:`settle` gives back the second.
        raise OSError(errno.EBUSY, "somebody replaces the preview again and again", os.fspath(preview.target))
    return False


def _aside(journal: Journal, job: int) -> str:
    return f"{TEMP_PREFIX}preview-{journal.instance}-{job}{TEMP_SUFFIX}"


def _remove(preview: Preview, aside: str, at: int) -> bool:
    """Remove a preview, and nothing else: it is moved ``aside`` first, and looked at there. No sweep takes that name,
    so that a kill in between leaves it for the next time. Return whether there was one."""
    name = preview.target.name
    _judge(preview, aside, at)
    if inode_of(name, at, preview.sha256) is None:
        return False
    os.rename(name, aside, src_dir_fd=at, dst_dir_fd=at)
    hit("preview.aside")
    _judge(preview, aside, at)
    return True


def _judge(preview: Preview, aside: str, at: int) -> None:
    """Remove what was moved aside, if there is anything, or give it back if it is somebody's: under the next free name
    if there is another file by now."""
    try:
        os.stat(aside, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return
    if inode_of(aside, at, preview.sha256) is None:
        _give_back(preview, aside, at)
        return
    os.unlink(aside, dir_fd=at)
    os.fsync(at)


def _give_back(preview: Preview, temp: str, at: int) -> None:
    """Make somebody's file, which lies under the name ``temp``, visible under that of the preview, or the next that is
    free."""
    if os.stat(temp, dir_fd=at, follow_symlinks=False).st_nlink == 1:  # else a kill came right after
        for name in candidates(preview.target.name, at):
            with contextlib.suppress(FileExistsError):
                link_new(Path(temp), Path(name), at)
                path = os.fspath(preview.target.parent / name)
                log.warning("a file that had taken a preview's place is back", path=path)
                break
    with contextlib.suppress(FileNotFoundError):  # where there are no links, it has been renamed
        os.unlink(temp, dir_fd=at)
    os.fsync(at)
