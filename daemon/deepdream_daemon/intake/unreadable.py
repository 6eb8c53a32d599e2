"""Folders below the watched ones that the daemon may not look into: what is in them is neither new nor deleted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import structlog

from deepdream_daemon.explaining.advice import shell_path
from deepdream_daemon.pipeline.backoff import explain_error

log = structlog.get_logger("deepdream")

SHOWN = 3


def readable_again(folder: Path) -> str:
    """Return what to do about a folder that cannot be looked into."""
    return (
        "Let the daemon's user read and enter the folder; the pictures in it are then taken by themselves: "
        f"chmod u+rx {shell_path(folder)}"
    )


class Unreadable:
    """Remembers which folders the latest scans could not read; may be asked from any thread."""

    def __init__(self) -> None:
        self._reasons: dict[Path, str] = {}

    def scanned(self, root: Path, failed: Mapping[Path, OSError]) -> None:
        """Note what a scan of ``root`` could not look into; each folder is logged when that is new."""
        reasons = {folder: reason for folder, reason in self._reasons.items() if not folder.is_relative_to(root)}
        for folder, error in failed.items():
            reasons[folder] = error.strerror or explain_error(error)
            if folder not in self._reasons:
                log.warning(
                    "a folder cannot be looked into",
                    folder=str(folder),
                    error=reasons[folder],
                    advice=readable_again(folder),
                )
        self._reasons = reasons

    def troubles(self) -> list[str]:
        """Say which folders cannot be looked into, the first few by name."""
        reasons = self._reasons
        named = [
            f"the folder {os.fspath(folder)!r} cannot be looked into: {reason}"
            for folder, reason in sorted(reasons.items())[:SHOWN]
        ]
        return named + ([f"nor can {len(reasons) - SHOWN} other folders"] if len(reasons) > SHOWN else [])
