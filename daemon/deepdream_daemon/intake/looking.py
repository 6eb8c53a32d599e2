"""Looking: what is new, or looks otherwise than the journal knows it, begins to settle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.beside import Beside
from deepdream_daemon.intake.kinds import ignored_in
from deepdream_daemon.intake.quiet import Quiet
from deepdream_daemon.intake.scan import classify, left_out, pictures_of, walk
from deepdream_daemon.intake.selection import folder_of
from deepdream_daemon.intake.settle import Settler
from deepdream_daemon.intake.unreadable import Unreadable
from deepdream_daemon.intake.watch import Watcher
from deepdream_daemon.journal.journal import Journal


class Looking:
    """Looks into folders, and where hints point to; ``beat`` is called every now and then. Used by one thread."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        *,
        settler: Settler,
        beside: Beside,
        watcher: Watcher,
        beat: Callable[[], None],
    ) -> None:
        self._folders = settings.folders
        self._ignored = {folder.input: ignored_in(settings, folder) for folder in settings.folders}
        self._journal = journal
        self._settler = settler
        self._beside = beside
        self._watcher = watcher
        self._beat = beat
        self.there: frozenset[Path] = frozenset()
        """The watched folders that are there: what lies where another one was is none of its files."""
        self.quiet = Quiet()
        self.unreadable = Unreadable()

    def scan(self, directory: Path, *, look_at_all: bool, is_rescan: bool = False) -> None:
        """Have everything new in a watched folder, or in a folder below one, settle; ``look_at_all`` as in
        :func:`.scan.walk`. What a rescan finds no event has told of.
        """
        known = self._journal.known
        ignore = self._ignored[next(root for root in self._ignored if directory.is_relative_to(root))]
        seen: tuple[Path | None, dict[str, str]] = (None, {})
        failed: dict[Path, OSError] = {}
        quiet = self.quiet if is_rescan else None
        for path in walk(directory, known, ignore, look_at_all=look_at_all, on_error=failed.__setitem__, quiet=quiet):
            self._beat()
            if path in self._settler:
                continue  # it is looked at when its quiet time is over
            try:
                if (parent := path.parent) != seen[0]:
                    seen = (parent, known(parent))
                    self._beside.forget(parent)
                fingerprint = sources.fingerprint(path, self._beside.names(parent))
            except PermissionError as error:
                failed[path.parent] = error
                continue
            except (OSError, sources.Changed):
                continue  # gone already, or not a file any more
            if seen[1].get(path.name) != fingerprint:
                if is_rescan and path.name not in seen[1]:
                    self._watcher.found(path)
                self._settler.see(path, fingerprint)
        self.unreadable.scanned(directory, failed)

    def follow(self, hint: Path) -> None:
        """Look at what may have changed, be it a file or a folder."""
        folder = folder_of(self._folders, hint)
        if folder is None or folder.input not in self.there:
            return
        try:
            if hint.is_dir() and not hint.is_symlink():
                if left_out(hint, folder.input, self._ignored[folder.input]) is None:
                    self.scan(hint, look_at_all=True)
                return
        except OSError:
            return  # gone already; were it to return, another hint or a scan will tell
        for path in pictures_of(hint):
            if path != hint:
                self._beside.forget(path.parent)
            try:
                if classify(path, folder.input, self._ignored[folder.input]) is None:
                    fingerprint = sources.fingerprint(path, self._beside.names(path.parent))
                    if not self._journal.is_known(path, fingerprint):
                        self._settler.see(path, fingerprint)
            except (OSError, sources.Changed):
                continue  # likewise
