"""The quarantine: for every failed job one JSON file that says what happened and what to do. The picture
stays put.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import structlog

from deepdream_daemon.failpoints import hit
from deepdream_daemon.publishing.names import fitted

log = structlog.get_logger("deepdream")

FOLDER = "quarantine"


def write(state: Path, job: int, source: Path, facts: Mapping[str, object]) -> Path:
    """Write (or replace) the record of a failed job and return where it is."""
    path = _path(state, job, source)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temp = path.with_name(f".{job}-{threading.get_ident()}.tmp")
    text = json.dumps({"job": job, "path": str(source), **facts}, indent=2)  # escapes what is not Unicode
    with open(temp, "w", encoding="ascii") as file:  # noqa: PTH123  (paths may hold bytes that are no text)
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    temp.replace(path)
    hit("quarantine.written")
    return path


def exists(state: Path, job: int, source: Path) -> bool:
    """Tell whether a job has its record."""
    return os.path.lexists(_path(state, job, source))


def remove(state: Path, job: int, source: Path) -> None:
    """Remove the record of a job, if there is one. What cannot be removed is left to the tidying: a job has ended well,
    and nobody shall wait for that."""
    try:
        _path(state, job, source).unlink(missing_ok=True)
    except NotADirectoryError:
        return  # where something else is in the quarantine's place, there is none
    except OSError as error:
        log.warning("a record of the quarantine could not be removed", job=job, error=str(error))


def _path(state: Path, job: int, source: Path) -> Path:
    return state / FOLDER / fitted(f"{job}-{source.name}", ".json")
