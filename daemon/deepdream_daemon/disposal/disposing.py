"""Disposing of one source: it is moved, put into the trash or deleted, but only while its dream is there and safe.

Every step can be taken again after a crash at any point: what is going to happen is announced before, and what was
begun is recognised by what the files hold, not by their names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.disposal.aside import Aside
from deepdream_daemon.disposal.looking import Replaced, Seen, holds, identity, look, status
from deepdream_daemon.disposal.moving import Trip, free_places
from deepdream_daemon.disposal.pieces import Piece, identity_of_picture, pieces_beside
from deepdream_daemon.disposal.trash import Trash, put_into_trash
from deepdream_daemon.failpoints import hit
from deepdream_daemon.intake import sources
from deepdream_daemon.journal.disposals import Leftover
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.publishing.publish import make_directory


class Kept(Exception):
    """The source stays for good: it is not the one that was dreamt any more."""


class DreamAway(Exception):
    """The dream is not where it was published, so its source stays at least for now."""


class Gone(Exception):
    """Somebody else has taken the source away before."""


@dataclass(frozen=True)
class Disposed:
    """What became of a source, in words, and what did not go with it, if anything."""

    what: str
    remark: str | None = None


class Disposing:
    """Disposes of one source after the other. Used by one thread."""

    def __init__(self, journal: Journal, token: str, trash: Trash = put_into_trash) -> None:
        self._journal = journal
        self._token = token
        self._trash = trash

    def dispose(self, left: Leftover, folder: FolderSettings) -> Disposed:
        """Dispose of a source and what lies beside it.

        Raises :class:`Kept`, :class:`DreamAway`, :class:`Gone`, or an ``OSError`` that may pass.
        """
        aside = Aside(folder.input, left.source.parent, self._journal.instance, left.job)
        try:
            _check_dream(left, folder)
            found = self._find(left, folder, aside)
            beside = pieces_beside(left.source, left.fingerprint, aside.held)
            target: Path | None = None
            if left.how == "move":
                target = self._move(left, folder, aside, found, beside)
                what = f"moved to {str(target)!r}"
            elif left.how == "trash":
                self._put_into_trash(left, found)
                what = "put into the trash"
            else:
                self._delete(left, folder, aside, found)
                what = "deleted"
        except (Kept, DreamAway, Gone):
            aside.put_all_back()
            raise
        stayed = [repr(each.path.name) for each in beside if not self._follow(each, left, folder, aside, target)]
        aside.close()
        hit("dispose.done")
        return Disposed(what, f"{', '.join(stayed)} stayed" if stayed else None)

    def _find(self, left: Leftover, folder: FolderSettings, aside: Aside) -> Path | None:
        """Return where the source is, if it is there and is the one that was dreamt, or ``None`` if it may be disposed
        of already; raises :class:`Kept` or :class:`Gone` otherwise."""
        held = aside.held(left.source.name)
        found = held or left.source
        try:
            known = identity(status(found, folder.input)) == identity_of_picture(left.fingerprint)
            if known and held is None and not left.begun:
                known = sources.fingerprint(found) == left.fingerprint
            if known:
                known = look(found, folder.input).sha256 == left.sha256
        except (FileNotFoundError, NotADirectoryError) as error:
            if left.begun:
                return None
            raise Gone from error
        except (Replaced, sources.Changed):
            known = False
        if known:
            return found
        if held is None and left.target is not None and left.how == "move" and self._is_moved(left, folder):
            return None  # and another one has come
        raise Kept("it changed since it was dreamt")

    def _is_moved(self, left: Leftover, folder: FolderSettings) -> bool:
        root = folder.processed
        return (
            root is not None
            and left.target is not None
            and left.target.is_relative_to(root)  # it may be another folder by now
            and holds(left.target, root, left.sha256)
        )

    def _move(
        self, left: Leftover, folder: FolderSettings, aside: Aside, found: Path | None, beside: list[Piece]
    ) -> Path | None:
        root, target = folder.processed, left.target
        if root is None:
            raise Kept("no folder is named that it is to be moved to")
        if found is None:
            if not self._is_moved(left, folder):
                raise Gone
            return target
        directory = root / left.source.relative_to(folder.input).parent
        make_directory(root, directory)
        expected = Seen(left.sha256, identity_of_picture(left.fingerprint))
        if not self._is_moved(left, folder):
            trip = Trip(folder.input, root, self._token)
            for target in free_places(directory, left.source.name, lambda name: [each.beside(name) for each in beside]):
                self._announce(left, target)
                try:
                    trip.place(found, target, expected)
                except FileExistsError:
                    continue
                except Replaced as error:
                    raise Kept("it changed since it was dreamt") from error
                break
        self._take_away(left.source.name, expected.identity, aside)
        return target

    def _delete(self, left: Leftover, folder: FolderSettings, aside: Aside, found: Path | None) -> None:
        if found is None:
            return
        self._announce(left, aside.place)
        identity = identity_of_picture(left.fingerprint)
        self._take_away(left.source.name, identity, aside, lambda: _check_dream(left, folder))

    def _put_into_trash(self, left: Leftover, found: Path | None) -> None:
        if found is not None:
            self._announce(left, left.source)
            # It is named by its path alone, and the trash keeps whatever is there then; so it is looked at just before.
            if identity(status(found, left.folder)) != identity_of_picture(left.fingerprint):
                raise Kept("it changed since it was dreamt")
            self._trash(found)
            hit("dispose.trashed")

    def _take_away(self, name: str, expected: str, aside: Aside, check: Callable[[], None] = lambda: None) -> None:
        """Remove a file for good, if it is the one with the identity ``expected``, and ``check`` does not raise."""
        if aside.held(name) is None:
            try:
                aside.take(name, expected)
            except FileNotFoundError:
                return  # somebody else has removed it
            except Replaced as error:
                raise Kept("it changed since it was dreamt") from error
        try:
            check()
        except Exception:
            aside.put_back(name)
            raise
        aside.remove(name)
        hit("dispose.removed")

    def _follow(self, piece: Piece, left: Leftover, folder: FolderSettings, aside: Aside, target: Path | None) -> bool:
        """Do with what lies beside the picture as was done with that; return whether it could follow.

        It stays if it changed, if another picture needs it, or if its new name is taken.
        """
        name = piece.path.name
        held = aside.held(name)
        found = held or piece.path
        try:
            if identity(status(found, folder.input)) != piece.identity or piece.is_needed():
                if held is not None:
                    aside.put_back(name)
                return False
            if left.how == "trash":
                self._trash(found)
            else:
                if left.how == "move" and not self._bring(piece, found, folder, target):
                    return False
                self._take_away(name, piece.identity, aside)
        except FileNotFoundError:
            return True  # gone already
        except (FileExistsError, Replaced, Kept):
            return False
        hit("dispose.followed")
        return True

    def _bring(self, piece: Piece, found: Path, folder: FolderSettings, target: Path | None) -> bool:
        """Have what lies beside the picture appear beside ``target``, unless it does."""
        if target is None or folder.processed is None or not target.is_relative_to(folder.processed):
            return False
        goal, seen = target.with_name(piece.beside(target.name)), look(found, folder.input)
        if seen.identity != piece.identity:
            return False
        if not holds(goal, folder.processed, seen.sha256):
            Trip(folder.input, folder.processed, self._token).place(found, goal, seen)
        return True

    def _announce(self, left: Leftover, target: Path) -> None:
        if not self._journal.announce_disposal(left, target):
            raise Kept("its dream is to be made again")
        hit("dispose.announced")


def _check_dream(left: Leftover, folder: FolderSettings) -> None:
    """Open the dream again: only what is there, whole, makes its source dispensable."""
    root = folder.output if left.output.is_relative_to(folder.output) else left.output.parent
    try:
        if look(left.output, root).sha256 == left.output_sha256:
            return
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DreamAway("its dream is not where it was published any more") from error
    except Replaced:
        pass
    raise Kept("what is where its dream was published is not that dream")
