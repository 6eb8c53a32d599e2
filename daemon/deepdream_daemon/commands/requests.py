"""``deepdream retry`` and ``deepdream forget``: what people ask the journal to do about files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepdream_daemon.commands.group import Exit
from deepdream_daemon.commands.shared import PATH, absolute, config_option, json_option, print_json
from deepdream_daemon.terminal.messages import readable

if TYPE_CHECKING:
    from deepdream_daemon.configuration.settings import Settings
    from deepdream_daemon.journal.journal import Journal

ROOT = Path("/")
START = "; start the daemon: deepdream run"


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...", type=PATH)
@click.option("--failed", is_flag=True, help="All that failed; with FILE a folder, all in it.")
@click.option("--all", "everything", is_flag=True, help="Also what waits for its next try, or lacks at a sink.")
@click.option("--dream", is_flag=True, help="Dream it again, even if only a sink lacks its dream.")
@config_option
@json_option
def retry(
    files: tuple[Path, ...], *, failed: bool, everything: bool, dream: bool, config: Path | None, as_json: bool
) -> None:
    """Dream FILE again, whether it failed or is done.

    If its dream is there and did not arrive at a sink, that is tried again instead. A running daemon does it at once,
    otherwise the next one that is started.
    """
    from deepdream_daemon.journal.journal import Journal
    from deepdream_daemon.running.lock import running_pid

    many = failed or everything
    if not files and not many:
        raise click.UsageError("Name FILE, or give --failed or --all.")
    paths = [absolute(file) for file in files] or [ROOT]
    settings = _settings(config)
    count = deliveries = 0
    if not Journal.is_missing(settings.state):
        journal = Journal.open(settings.state)
        try:
            for path in paths:
                if path.is_dir() and not many:
                    raise Exit(f"{readable(path)} is a folder. What failed in it: deepdream retry --failed FOLDER")
                brought = [] if dream else _undelivered(journal, path, everything=everything)
                again = journal.deliver_again(brought) if brought else 0
                deliveries += again
                if many and path.is_dir():
                    count += journal.retry_below(path, only_failed=not everything)
                elif not again:
                    count += journal.retry(path)
        finally:
            journal.close()
    if not count and not deliveries:
        raise Exit(_nothing(files, many=many))
    running = running_pid(settings.state) is not None
    if as_json:
        named: dict[str, object] = {"path": paths[0]} if len(files) == 1 else {"paths": paths if files else []}
        print_json({**named, "queued": count, "deliveries": deliveries, "running": running})
        return
    if len(files) == 1 and not many:
        what = "brought to its sinks again" if deliveries else "queued again"
        click.echo(f"{readable(paths[0])}: {what}{'' if running else START}")
        return
    told = {"queued again": count, "brought to sinks again": deliveries}
    click.echo(", ".join(f"{number} {what}" for what, number in told.items() if number) + ("" if running else START))


def _undelivered(journal: Journal, path: Path, *, everything: bool) -> list[int]:
    if not path.is_dir():
        return journal.to_deliver_again(path)
    return journal.to_deliver_again_below(path) if everything else []


def _nothing(files: Sequence[Path], *, many: bool) -> str:
    from deepdream_daemon.explaining.advice import shell_path

    if many:
        return f"nothing {'in it ' if files else ''}failed or waits: there is nothing to repeat. See: deepdream status"
    if len(files) > 1:
        return "none of these files has a finished job to repeat. Ask: deepdream explain FILE"
    return f"{readable(absolute(files[0]))}: no finished job to repeat. Ask: deepdream explain {shell_path(files[0])}"


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=PATH)
@click.option("-r", "--recursive", is_flag=True, help="FILE may be a folder: forget all in it.")
@config_option
@json_option
def forget(files: tuple[Path, ...], *, recursive: bool, config: Path | None, as_json: bool) -> None:
    """Have the journal forget FILE and what became of it.

    No file is touched, neither the picture nor its dream. A picture that is still in a watched folder is taken anew.
    Of an output folder, or one that pictures are moved to, it is forgotten which folder that was: when its disk was
    exchanged or it was made anew, the one that is there is used from now on. Of a watched folder it is so from the
    next start on.
    """
    from deepdream_daemon.journal.journal import Journal

    settings, paths = _settings(config), [absolute(file) for file in files]
    for path in paths:
        is_target = any(path in {folder.output, folder.processed} for folder in settings.folders)
        if path.is_dir() and not path.is_symlink() and not recursive and not is_target:
            raise Exit(f"{readable(path)} is a folder. To forget all that is in it: deepdream forget -r FOLDER")
    forgotten = dict.fromkeys(paths, 0)
    if not Journal.is_missing(settings.state):
        journal = Journal.open(settings.state)
        try:
            for path in paths:
                forgotten[path] = _forget(journal, path)
        finally:
            journal.close()
    if as_json:
        print_json([{"path": path, "forgotten": count} for path, count in forgotten.items()])
    else:
        for path, count in forgotten.items():
            click.echo(f"{readable(path)}: {_told(path, count, settings)}")
    if not any(forgotten.values()):
        raise Exit("there was nothing to forget.")


def _forget(journal: Journal, path: Path) -> int:
    found = journal.forget(path)
    if not found.under_way:
        return found.entries + journal.forget_place(path)
    one, *others = found.under_way
    more = f" and {len(others)} more" if others else ""
    raise Exit(
        f"{readable(one)}{more}: under way at the moment, so nothing was forgotten. Wait until it is done, or have no "
        "more begun: deepdream pause"
    )


def _told(path: Path, count: int, settings: Settings) -> str:
    from deepdream_daemon.intake.selection import folder_of

    if not count:
        return "the journal knows nothing of it"
    if os.path.lexists(path) and folder_of(settings.folders, path) is not None:
        return "forgotten; it is in a watched folder, so it is taken anew"
    return "forgotten"


def _settings(config: Path | None) -> Settings:
    from deepdream_daemon.configuration.config import default_settings, find_config, load_settings

    chosen = find_config(config)
    return load_settings(chosen, folders_must_exist=False) if chosen else default_settings()
