"""The daemon's settings as frozen values: what ``config.toml`` may say, every key declared with default, bounds and
meaning.

Nothing here reads a file; :func:`deepdream_daemon.configuration.config.load_settings` does.
Paths are absolute, links resolved.
"""

# ruff: noqa: RUF009  (key() is dataclasses.field())
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from deepdream_daemon.configuration.key import Key, key, keys_of

Collision = Literal["number", "skip"]
Disposal = Literal["keep", "move", "trash", "delete"]
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

HOURS = r"([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)"
"""Hours of the day, from and to; past midnight if the end is before the beginning."""

LONGEST_SHUTDOWN_SECONDS = 12.0
"""Service managers and desktops kill what has not ended some 15 seconds after they asked."""


@dataclass(frozen=True, kw_only=True)
class FolderSettings:
    """A watched folder."""

    input: Path = key("path", help="the folder that is watched for pictures")
    output: Path = key("path", help="the folder that the dreams appear in")
    recipe: str = key("text", "classic", help="how its pictures are dreamt: one of 'deepdream recipes'")
    sinks: tuple[str | Mapping[str, Any], ...] = key(
        "names", (), help="where its dreams are brought to, beside the output: of 'deepdream sinks'"
    )
    priority: int = key(
        "integer", 0, minimum=-100, maximum=100, help="pictures of folders with a higher one are dreamt first"
    )
    hours: tuple[str, ...] = key(
        "strings",
        (),
        pattern=HOURS,
        choices=("22:00-06:00", "12:00-13:30"),
        help='when its pictures are dreamt, such as ["22:00-06:00"], by the machine\'s clock; always if empty',
    )
    max_at_once: int | None = key(
        "integer", None, auto=True, minimum=1, maximum=1024, help="so many of its pictures are under way, at most"
    )
    ignore: tuple[str, ...] = key("strings", (), help="names that are never pictures here, beside [daemon] ignore")
    polling: bool = key(
        "boolean", False, help="only look every [daemon] rescan_seconds; network file systems are always polled"
    )
    name: str = key(
        "text",
        "{stem}.{recipe}",
        help="what a dream is called, without its suffix; of {stem}, {recipe}, {seed}, {date}, {time} and {sha256}",
    )
    collision: Collision = key(
        "text",
        "number",
        choices=get_args(Collision),
        help='when a file has that name already: "number" makes it name-2, "skip" publishes nothing; for copies too',
    )
    mode: str = key(
        "text",
        "umask",
        choices=("umask", "640", "664"),
        pattern=r"umask|0?[0-7]{3}",
        help='the permissions of its dreams; "umask" leaves them to the umask of the daemon',
    )
    source: Disposal = key(
        "text",
        "keep",
        choices=get_args(Disposal),
        help="what becomes of a picture once its dream is safely there; one that the trash does not take stays",
    )
    processed: Path | None = key("path", None, help='the folder that source = "move" moves pictures to')
    deduplicate: bool = key(
        "boolean", False, help="dream a picture once, however many copies of it there are in the folder"
    )
    copy_through: bool = key(
        "boolean",
        False,
        help="copy what is no picture into the output, so that it is complete; at any hour, one after the other, "
        "however long it takes",
    )


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Where and how much at once; ``None`` leaves the choice to torch (``num_threads``) or the engine."""

    device: str = key(
        "text",
        "auto",
        choices=("auto", "cpu", "mps", "cuda", "cuda:0"),
        pattern=r"auto|cpu|mps|cuda(:\d+)?",
        help='where dreams are computed; "auto" takes a GPU when there is one',
    )
    num_threads: int | None = key(
        "integer", None, auto=True, minimum=1, maximum=1024, help="CPU threads of the computation"
    )
    max_batch: int = key("integer", 32, minimum=1, maximum=1024, help="pictures that are dreamt at once, at most")
    memory_gib: float | None = key(
        "number",
        None,
        auto=True,
        minimum=0.25,
        maximum=4096,
        help='of the device\'s memory, for the computation; "auto" takes a share of what is free',
    )
    tile_px: int | None = key(
        "integer",
        None,
        auto=True,
        minimum=128,
        maximum=16384,
        help='the side of the tiles that pictures are dreamt in; "auto" is the largest that fits the memory',
    )
    compile: bool = key("boolean", False, help="record the computation as CUDA graphs: quicker once it has started")
    stall_seconds: float = key(
        "number",
        600.0,
        minimum=10,
        maximum=86400,
        help="a computation that makes no progress for so long is ended, and begun again with fewer pictures",
    )


@dataclass(frozen=True, kw_only=True)
class PictureSettings:
    """Which pictures are taken, and what each may cost."""

    max_megapixels: float = key(
        "number", 200.0, minimum=0.01, maximum=10000, help="larger pictures are refused before they are decoded"
    )
    decode_seconds: float = key(
        "number", 60.0, minimum=1, maximum=3600, help="a picture that takes longer to decode is refused"
    )
    decode_gib: float | None = key(
        "number",
        None,
        auto=True,
        minimum=0.25,
        maximum=1024,
        help='a picture that takes more memory to decode is refused; "auto" goes by its size',
    )
    job_seconds: float = key(
        "number",
        86400.0,
        minimum=1,
        maximum=604800,
        help="a picture that takes more seconds of work, all its tries together, is given up; "
        "waiting and copies do not count; of a film, for one frame",
    )


@dataclass(frozen=True, kw_only=True)
class MonitoringSettings:
    """Health and metrics over HTTP, on the loopback address alone."""

    port: int = key(
        "integer",
        0,
        minimum=0,
        maximum=65535,
        help="serve /healthz, /readyz and /metrics at http://127.0.0.1:PORT; 0 serves nothing",
    )


@dataclass(frozen=True, kw_only=True)
class PluginSettings:
    """Third-party plugins by name, and the folder of loose ``.py`` files; none of either by default."""

    enable: tuple[str, ...] = key("strings", (), help="installed packages to enable, by name")
    folder: Path | None = key("path", None, help="load every .py file of this folder, too")
    sha256: Mapping[str, str] = key(
        "digests",
        {},
        pattern="[0-9a-fA-F]{64}",
        advice=" 'deepdream plugins' shows that of each plugin.",
        help="the code that a plugin must have, by its name; one with other code is not loaded",
    )
    load_seconds: float = key(
        "number", 30.0, minimum=0.1, maximum=3600, help="a plugin that takes longer to load is given up"
    )
    filter_seconds: float = key(
        "number", 120.0, minimum=1, maximum=86400, help="a plugin's filter that takes longer for a picture is given up"
    )


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
