"""The daemon's settings as frozen values: what ``config.toml`` may say, with every default.

Nothing here reads a file; :func:`deepdream_daemon.configuration.config.load_settings` does.
Paths are absolute, links resolved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

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


@dataclass(frozen=True, kw_only=True)
class FolderSettings:
    """A watched folder: pictures appear in ``input``, their dreams in ``output``, made by ``recipe``, and are brought
    to ``sinks``, each a name or a table with a name, which the catalogue knows more of."""

    input: Path
    output: Path
    recipe: str = "classic"
    sinks: tuple[str | Mapping[str, Any], ...] = field(default=(), hash=False)


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Where and how much at once; ``None`` leaves the choice to torch (``num_threads``) or the engine."""

    device: str = "auto"
    num_threads: int | None = None
    max_batch: int = 32
    memory_gib: float | None = None
    tile_px: int | None = None
    compile: bool = False


@dataclass(frozen=True, kw_only=True)
class PluginSettings:
    """Third-party plugins by name, and the folder of loose ``.py`` files; none of either by default.

    ``sha256`` pins plugins to their code, by name. One that takes longer than ``load_seconds`` to load, or whose filter
    takes longer than ``filter_seconds`` for one picture, is given up.
    """

    enable: tuple[str, ...] = ()
    folder: Path | None = None
    sha256: Mapping[str, str] = field(default_factory=dict, hash=False)
    load_seconds: float = 30.0
    filter_seconds: float = 600.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that one configuration says. ``path`` is ``None`` when the defaults hold."""

    path: Path | None
    state: Path
    folders: tuple[FolderSettings, ...] = ()
    settle_seconds: float = 2.0
    rescan_seconds: float = 30.0
    ignore: tuple[str, ...] = IGNORE
    max_megapixels: float = 200.0
    max_attempts: int = 3
    shutdown_seconds: float = 10.0
    engine: EngineSettings = field(default_factory=EngineSettings)
    plugins: PluginSettings = field(default_factory=PluginSettings)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    log_format: LogFormat = "auto"
    log_level: LogLevel = "info"
