"""The journal's control side: what the operator has asked of the daemon, by ``deepdream pause``, ``resume`` and
``drain``.

Whoever runs such a command is another process, so the wish is a row, and the daemon asks for it several times a second:
one look-up in a table of two rows, without a write transaction.
"""

from __future__ import annotations

import time

from deepdream_daemon.journal.store import JournalStore

PAUSED, DRAINING = "paused", "draining"


class ControlSide(JournalStore):
    """Wishes of the operator. A pause stays until it is ended, whoever starts or stops meanwhile; a drain is over with
    the daemon that was asked."""

    def pause(self) -> bool:
        """Have nothing more claimed until :meth:`resume`; what is under way ends as usual. False if it was so."""
        return self._ask(PAUSED)

    def resume(self) -> bool:
        """Have jobs claimed again, and call a drain off. False if there was neither."""
        with self._transaction() as connection:
            return connection.execute("DELETE FROM controls WHERE name IN (?, ?)", (PAUSED, DRAINING)).rowcount > 0

    def is_paused(self) -> bool:
        """Tell whether nothing may be claimed."""
        return self.paused_since() is not None

    def paused_since(self) -> float | None:
        """Return when (unix time) it was paused; ``None`` if it is not."""
        return self._since(PAUSED)

    def ask_drain(self) -> bool:
        """Have the running daemon take no new files, dream all that is queued, and end. False if it was asked."""
        return self._ask(DRAINING)

    def is_draining(self) -> bool:
        """Tell whether nothing new may be taken, and the daemon ends when nothing is left to do."""
        return self.draining_since() is not None

    def draining_since(self) -> float | None:
        """Return when (unix time) it was asked to drain; ``None`` if it was not."""
        return self._since(DRAINING)

    def end_drain(self) -> None:
        """Drained, or another daemon than the one that was asked."""
        if self.is_draining():
            with self._transaction() as connection:
                connection.execute("DELETE FROM controls WHERE name = ?", (DRAINING,))

    def _ask(self, name: str) -> bool:
        with self._transaction() as connection:
            row = (name, "", time.time())
            return connection.execute("INSERT OR IGNORE INTO controls VALUES (?, ?, ?)", row).rowcount > 0

    def _since(self, name: str) -> float | None:
        rows = self._rows("SELECT since FROM controls WHERE name = ?", name)
        return rows[0][0] if rows else None
