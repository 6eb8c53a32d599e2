"""What an error means for its job: try again later, try again a few times, or give up and say why."""

from __future__ import annotations

import errno
import os
import random
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.explaining.advice import retry_command, shell_path
from deepdream_daemon.intake.companions import BadCompanion
from deepdream_daemon.intake.sources import side_file
from deepdream_daemon.pipeline.given_up import GivenUp, WorkerUnfit
from deepdream_engine.errors import BadOption, BadPicture, DeepDreamError, ModelUnavailable, OutOfMemory
from deepdream_plugins.hosting.guarding import PluginDisabled, PluginFailure

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 300.0
PATIENCE = 9
"""Delays in a row after which the back-off has reached its longest; then ``limited`` errors use up
attempts.
"""

_PASSING = {errno.ENOSPC, errno.EDQUOT}
_LIMITED = {
    errno.EIO,
    errno.ESTALE,
    errno.EBUSY,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EAGAIN,
    errno.ETIMEDOUT,
}
_FORBIDDEN = {errno.EACCES, errno.EPERM}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``permanent``: give up now. ``costs_attempt``: after ``max_attempts`` of these, give up. Else wait,
    however long.
    """

    permanent: bool
    costs_attempt: bool
    advice: str


def judge(error: BaseException, source: Path, delays: int = 0) -> Verdict:
    """Say what ``error`` means for the job of the picture at ``source``, put off ``delays`` times in a row."""
    retry = f"Then run: {retry_command(source)}"
    if isinstance(error, PluginDisabled):
        advice = f"Mend the plugin, or use a recipe without it, and restart the daemon. {retry}"
        return Verdict(permanent=True, costs_attempt=True, advice=advice)
    if isinstance(error, PluginFailure):
        advice = f"It is tried again. If it fails for good, mend the plugin or use a recipe without it. {retry}"
        return Verdict(permanent=False, costs_attempt=True, advice=advice)
    if isinstance(error, BadPicture):
        return Verdict(permanent=True, costs_attempt=True, advice="Replace the file by a whole picture, or delete it.")
    if isinstance(error, BadCompanion | GivenUp):
        return Verdict(permanent=True, costs_attempt=True, advice=error.advice)
    if isinstance(error, BadOption):
        side = side_file(source)
        advice = f"Correct the recipe in the configuration and save that. {retry}"
        if str(error).startswith(os.fspath(side)):
            advice = f"Correct {shell_path(side)} and save it; the picture is then taken by itself."
        return Verdict(permanent=True, costs_attempt=True, advice=advice)
    if isinstance(error, ModelUnavailable):
        return Verdict(permanent=False, costs_attempt=False, advice="It is tried again until the weights are there.")
    if isinstance(error, sqlite3.OperationalError):  # the journal's: its disk is full or fails, or somebody locks it
        advice = "Look at the disk of the state folder, and free some space there; it goes on by itself."
        return Verdict(permanent=False, costs_attempt=False, advice=advice)
    number = error.errno if isinstance(error, OSError) else None
    if number in _PASSING:
        return Verdict(permanent=False, costs_attempt=False, advice="Free some disk space; it goes on by itself.")
    if isinstance(error, MemoryError | OutOfMemory | WorkerUnfit):
        memory = "It is tried again. If it fails for good, lower [engine] memory_gib or tile_px, or free some."
        advice = f"{error.advice if isinstance(error, WorkerUnfit) else memory} {retry}"
        return Verdict(permanent=False, costs_attempt=delays >= PATIENCE, advice=advice)
    if number in _LIMITED:
        advice = f"It is tried again. If it fails for good, look at the disk. {retry}"
        return Verdict(permanent=False, costs_attempt=delays >= PATIENCE, advice=advice)
    if number in _FORBIDDEN:
        advice = "Make the file readable for the daemon's user (chmod, chown); it is then taken by itself."
        return Verdict(permanent=True, costs_attempt=True, advice=advice)
    return Verdict(permanent=False, costs_attempt=True, advice=f"'deepdream --debug run' logs the details. {retry}")


def delay_seconds(delays: int, rng: random.Random | None = None) -> float:
    """Return how long to wait after ``delays`` earlier delays in a row: 1 s, 2 s, 4 s … 5 min, with jitter
    above.
    """
    jitter = (rng or random).uniform(1.0, 1.25)
    return min(FIRST_SECONDS * 2.0 ** min(delays, 30) * jitter, LONGEST_SECONDS)


def explain_error(error: BaseException) -> str:
    """Return one sentence for the user; errors of our own already are one."""
    text = str(error).strip()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename!r}" if error.filename else "")
    if isinstance(error, DeepDreamError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
