"""Output folders that cannot be written to at the moment: nothing is claimed for them until a probe
succeeds.
"""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass, field
from pathlib import Path

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0

_BLOCKING = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ENOTCONN,
    errno.ESTALE,
    errno.EIO,
    errno.ETIMEDOUT,
}


class OutputUnavailable(Exception):
    """A finished dream cannot be published: the trouble is with the output folder, not with the job."""

    def __init__(self, directory: Path, size_bytes: int, error: OSError) -> None:
        super().__init__(f"the output folder {str(directory)!r} cannot be written to: {error.strerror or error}")
        self.directory = directory
        self.size_bytes = size_bytes


def blocks_output(error: OSError) -> bool:
    """Tell whether an error while publishing would meet every other output of the folder too."""
    return error.errno in _BLOCKING


@dataclass
class Gate:
    """A closed output folder, and what to probe it with."""

    reason: OutputUnavailable
    delay_seconds: float = FIRST_SECONDS
    is_probing: bool = False
    probe_at: float = field(default=0.0)

    def __post_init__(self) -> None:
        self.probe_at = time.monotonic() + self.delay_seconds


class Gates:
    """The closed gates, by the input folder whose outputs they hold up. Used by the pipeline's thread
    alone.
    """

    def __init__(self) -> None:
        self._closed: dict[Path, Gate] = {}

    def close(self, folder: Path, reason: OutputUnavailable) -> None:
        """Claim nothing for ``folder`` until a probe succeeds."""
        self._closed.setdefault(folder, Gate(reason))

    def open(self, folder: Path) -> None:
        """Claim for ``folder`` again."""
        self._closed.pop(folder, None)

    def still_closed(self, folder: Path) -> None:
        """A probe failed: the next one comes later."""
        gate = self._closed[folder]
        gate.is_probing = False
        gate.delay_seconds = min(gate.delay_seconds * 2, LONGEST_SECONDS)
        gate.probe_at = time.monotonic() + gate.delay_seconds

    def is_closed(self, folder: Path) -> bool:
        """Tell whether nothing may be claimed for ``folder``."""
        return folder in self._closed

    def to_probe(self) -> list[tuple[Path, OutputUnavailable]]:
        """Return the gates whose probe is due; each is under way until opened or still closed."""
        now = time.monotonic()
        due = [(folder, gate) for folder, gate in self._closed.items() if gate.probe_at <= now and not gate.is_probing]
        for _, gate in due:
            gate.is_probing = True
        return [(folder, gate.reason) for folder, gate in due]

    def reasons(self) -> list[str]:
        """Say what is wrong with each."""
        return [str(gate.reason) for gate in list(self._closed.values())]
