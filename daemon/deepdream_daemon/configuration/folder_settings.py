"""What ``config.toml`` may say of a watched folder, in a ``[[folders]]`` table: every key declared with default, bounds
and meaning.
"""

# ruff: noqa: RUF009  (key() is dataclasses.field())
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from deepdream_daemon.configuration.key import key

Collision = Literal["number", "skip"]
Disposal = Literal["keep", "move", "trash", "delete"]

HOURS = r"([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)"
"""Hours of the day, from and to; past midnight if the end is before the beginning."""


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
    preview: bool = key(
        "boolean", False, help="publish what a picture is after the first octave at once; its dream takes that place"
    )
    copy_through: bool = key(
        "boolean",
        False,
        help="copy what is no picture into the output, so that it is complete; at any hour, one after the other, "
        "however long it takes",
    )
