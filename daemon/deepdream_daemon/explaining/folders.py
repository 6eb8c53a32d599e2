"""What a folder is to the daemon, and what has become of the pictures in it."""

from __future__ import annotations

import os
from pathlib import Path

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.explaining.advice import shell_path
from deepdream_daemon.explaining.gone import unreadable
from deepdream_daemon.explaining.jobs import START, Explanation
from deepdream_daemon.intake.unreadable import readable_again
from deepdream_daemon.journal.journal import STATES, Journal
from deepdream_daemon.running.lock import running_pid

ASK = "About one file: deepdream explain FILE."


def watched_folder(path: Path, folder: FolderSettings, settings: Settings, journal: Journal) -> Explanation:
    """Explain a watched folder, or one in it whose pictures are taken."""
    if (closed := unreadable(path)) is not None:
        reason = f"it is a folder that cannot be looked into: {closed}"
        return Explanation(state="folder", reason=reason, advice=readable_again(path))
    counts = journal.counts_below(path)
    told = ", ".join(f"{counts[state]} {state}" for state in STATES if counts.get(state))
    what = "it is watched" if path == folder.input else f"it is in the watched folder {os.fspath(folder.input)!r}"
    goes_to = os.fspath(folder.output / path.relative_to(folder.input))
    advice = ASK
    if counts.get("failed"):
        advice += f" To try again what failed in it: deepdream retry --failed {shell_path(path)}"
    if running_pid(settings.state) is None:
        advice = f"{START} {advice}"
    reason = f"{what}: dreams of the pictures in it go to {goes_to!r}; {told or 'none of them was taken yet'}"
    return Explanation(state="folder", reason=reason, advice=advice)


def other_folder(path: Path, settings: Settings) -> Explanation:
    """Explain a folder whose pictures are not taken."""
    inside = [folder.input for folder in settings.folders if folder.input.is_relative_to(path)]
    filled = [folder.input for folder in settings.folders if path.is_relative_to(folder.output)]
    aside = next((each for each in settings.folders if each.processed and path.is_relative_to(each.processed)), None)
    advice = ASK
    if filled:
        reason = f"dreams of the pictures in {names(filled)} go to it; what is in it is not dreamt"
    elif aside is not None:
        reason = f"pictures of {os.fspath(aside.input)!r} are moved to it when their dreams are done"
    elif inside:
        reason = f"it is not watched itself, but these in it are: {names(inside)}"
    else:
        reason = f"it is not watched. {watched(settings)}"
        advice = (
            "To have it watched, name it in the configuration as the input of a [[folders]] table; "
            f"to dream its pictures once: deepdream dream {shell_path(path)}/*"
        )
    return Explanation(state="folder", reason=reason, advice=advice)


def watched(settings: Settings) -> str:
    """Say which folders are watched."""
    return f"Watched: {names([folder.input for folder in settings.folders]) or 'none'}"


def names(folders: list[Path]) -> str:
    """Return the names of folders in a sentence."""
    return ", ".join(repr(os.fspath(folder)) for folder in folders)
