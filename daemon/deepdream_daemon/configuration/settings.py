"""The daemon's settings as frozen values: what ``config.toml`` may say, every key declared with default, bounds and
meaning. Those of single tables are declared beside this module, and known by it.

Nothing here reads a file; :func:`deepdream_daemon.configuration.config.load_settings` does.
Paths are absolute, links resolved.
"""

# ruff: noqa: RUF009  (key() is dataclasses.field())
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deepdream_daemon.configuration.engine_settings import (
    EngineSettings,
    MonitoringSettings,
    PictureSettings,
    PluginSettings,
)
from deepdream_daemon.configuration.folder_settings import Disposal, FolderSettings
from deepdream_daemon.configuration.key import Key, key, keys_of

__all__ = [
    "IGNORE",
    "LONGEST_SHUTDOWN_SECONDS",
    "TABLES",
    "Disposal",
    "EngineSettings",
    "FolderSettings",
    "LogFormat",
    "LogLevel",
    "MonitoringSettings",
    "PictureSettings",
    "PluginSettings",
    "Settings",
    "keys_in",
]

LogFormat = Literal["auto", "plain", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

IGNORE = (
    ".*",
    "*.part",
    "*.partial",
    "*.tmp",
    "*.crdownload",
    "*.filepart",
    ".syncthing.*",
    "~syncthing~*",
    "._*",
    "@eaDir",
    "Thumbs.db",
    "desktop.ini",
)
"""Names of files and folders that are never pictures: what browsers, copiers and desktops leave behind."""

LONGEST_SHUTDOWN_SECONDS = 12.0
"""Service managers and desktops kill what has not ended some 15 seconds after they asked."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that one configuration says. ``path`` is ``None`` when the defaults hold."""

    path: Path | None
    state: Path = key(
        "path",
        "state",
        table="daemon",
        help="journal, lock and quarantine; on a local disk, outside the watched folders",
    )
    folders: tuple[FolderSettings, ...] = ()
    settle_seconds: float = key(
        "number",
        2.0,
        table="daemon",
        minimum=0,
        maximum=3600,
        help="a file is taken once it has been quiet for so long",
    )
    rescan_seconds: float = key(
        "number",
        30.0,
        table="daemon",
        minimum=0.1,
        maximum=86400,
        help="how often the folders are read again, in case a notification was lost",
    )
    max_attempts: int = key(
        "integer", 3, table="daemon", minimum=1, maximum=100, help="then a bad file is quarantined, with the reason"
    )
    shutdown_seconds: float = key(
        "number",
        10.0,
        table="daemon",
        minimum=0,
        maximum=LONGEST_SHUTDOWN_SECONDS,
        why=" Whoever asks for the end soon enforces it; dreams that are not done by then are queued again.",
        help="how long dreams may finish when the end is asked for; the others are queued again",
    )
    ignore: tuple[str, ...] = key("strings", IGNORE, table="daemon", help="names that are never pictures")
    max_queued: int | None = key(
        "integer",
        None,
        table="daemon",
        auto=True,
        minimum=1,
        maximum=100_000_000,
        help="so many pictures are queued, at most; more wait in their folders until there is room",
    )
    min_free_gib: float = key(
        "number",
        0.25,
        table="daemon",
        minimum=0,
        maximum=1_000_000,
        help="nothing is published where less disk space is free than this; it goes on by itself",
    )
    films_gib: float = key(
        "number",
        16.0,
        table="daemon",
        minimum=0.01,
        maximum=1_000_000,
        help="so large an unfinished film may become in the state folder; a larger one is refused",
    )
    keep_days: float | None = key(
        "number",
        90.0,
        table="daemon",
        auto=True,
        minimum=0.01,
        maximum=36500,
        help='what ended longer ago is forgotten once its file is gone, too; "auto" forgets nothing',
    )
    reload: bool = key("boolean", True, table="daemon", help="take this file up again when it has changed")
    engine: EngineSettings = field(default_factory=EngineSettings)
    pictures: PictureSettings = field(default_factory=PictureSettings)
    plugins: PluginSettings = field(default_factory=PluginSettings)
    monitoring: MonitoringSettings = field(default_factory=MonitoringSettings)
    log_format: LogFormat = key(
        "text",
        "auto",
        table="logging",
        name="format",
        choices=("auto", "plain", "json"),
        help='"auto" is a live table on a terminal, plain lines elsewhere',
    )
    log_level: LogLevel = key(
        "text",
        "info",
        table="logging",
        name="level",
        choices=("debug", "info", "warning", "error"),
        help="the least important lines that are written",
    )
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


TABLES: Mapping[str, str] = {
    "folders": "The folders that are watched: [[folders]], once for each.",
    "daemon": "The daemon itself.",
    "engine": "Where dreams are computed.",
    "pictures": "Which pictures are taken.",
    "plugins": "Plugins run with your rights: nothing third-party is loaded unless it is named here.",
    "monitoring": "Health and metrics, for machines that look after machines.",
    "logging": "What is written about it.",
}
"""The tables whose keys are declared here, and what each is about; those of ``[models.NAME]`` and ``[recipes.NAME]``
belong to the plugins."""

_CLASSES: Mapping[str, type[Any]] = {
    "folders": FolderSettings,
    "engine": EngineSettings,
    "pictures": PictureSettings,
    "plugins": PluginSettings,
    "monitoring": MonitoringSettings,
}


def keys_in(table: str) -> tuple[Key, ...]:
    """Return the keys of one of :data:`TABLES`; none of another."""
    if table in _CLASSES:
        return tuple(keys_of(_CLASSES[table]))
    return tuple(each for each in keys_of(Settings) if each.table == table)
