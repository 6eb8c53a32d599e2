"""Whether the watched folders, their outputs and the places for their pictures are there.

One that is not is most likely misspelt. But one that a daemon has worked with before is away: its disk is not plugged
in, its server does not answer. That one is waited for, and keeps no other folder from its work.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Collection
from pathlib import Path

from deepdream_daemon.configuration.settings import Settings
from deepdream_engine.errors import BadOption


def check_there(settings: Settings, where: Callable[..., str], known: Collection[Path] = ()) -> None:
    """Raise :class:`BadOption` for a folder that is not there and not ``known`` to have been."""
    for index, folder in enumerate(settings.folders):
        for name in ("input", "output", "processed"):
            path: Path | None = getattr(folder, name)
            if path is not None and (fault := _fault(path, is_known=path in known)) is not None:
                raise BadOption(f"{where('folders', index, name)}: the folder {str(path)!r} {fault}")


def _fault(path: Path, *, is_known: bool) -> str | None:
    """Say why ``path`` will not do as a folder, and what to do about it; ``None`` if it will."""
    create = f"Create it (mkdir -p '{path}'), or let 'deepdream init' make new ones."
    try:
        return None if stat.S_ISDIR(path.stat().st_mode) else f"is not a folder. {create}"
    except (FileNotFoundError, NotADirectoryError):
        return None if is_known else f"does not exist. {create}"
    except PermissionError:
        return "cannot be looked at: you may not enter a folder above it. Allow it (chmod +x), or name another one."
    except OSError:
        return None  # a server or a disk that does not answer
