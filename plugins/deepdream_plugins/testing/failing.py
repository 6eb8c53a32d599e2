"""What a check says when a plugin's code fails: which record, in which line, and what to mend."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepdream_engine.errors import BadOption, BadPicture

_KIT = str(Path(__file__).parent)
_STANDARD = sysconfig.get_path("stdlib")
_LIBRARY = re.compile(r"[\\/](site|dist)-packages[\\/](torch|torchvision|kornia|numpy|PIL|pluggy|fsspec|click)[\\/]")


class Broken(AssertionError):
    """A plugin does not keep its contract; the message says what to mend."""


@contextmanager
def calling(of: str, hint: str = "") -> Iterator[None]:
    """Turn whatever a plugin's code raises into an ``AssertionError`` about ``of``, with file and line.

    What it says on purpose of options and pictures passes through.
    """
    try:
        yield
    except (AssertionError, BadOption, BadPicture):
        raise
    except (Exception, SystemExit) as error:
        raise Broken(f"{of} failed {place_of(error)}: {_told(error)}.{hint and f' {hint}'}") from error


def place_of(error: BaseException) -> str:
    """Return ``at FILE:LINE``, the innermost line of the traceback that is no library's and not the kit's."""
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if not _is_machinery(frame.filename):
            return f"at {frame.filename}:{frame.lineno}"
    return f"at {frames[-1].filename}:{frames[-1].lineno}" if frames else "when called"


def _is_machinery(file: str) -> bool:
    is_standard = file.startswith(_STANDARD) and "-packages" not in file
    return file.startswith("<") or is_standard or _LIBRARY.search(file) is not None or str(Path(file).parent) == _KIT


def _told(error: BaseException) -> str:
    first_line = (str(error).splitlines() or [""])[0].rstrip(".")
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
