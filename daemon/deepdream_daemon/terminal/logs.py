"""Logging for a process that runs on: readable lines or JSON, from our own loggers and from libraries alike.

Set up by the commands that run the daemon, never at import.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TextIO

import structlog
from structlog.dev import plain_traceback

from deepdream_daemon.configuration.settings import LogLevel
from deepdream_daemon.terminal.messages import readable

_QUIET = ("watchdog", "PIL", "lightning_fabric", "torch", "urllib3")
"""Libraries that are heard from warnings on, whatever the level."""

_TRACES = ("exception", "stack")


def set_up(
    style: Literal["plain", "json"], level: LogLevel, target: Path | None = None, *, tracebacks: bool = False
) -> None:
    """Send everything logged at ``level`` and above to stderr, or to the file ``target``.

    Without ``tracebacks``, an exception is one sentence under ``error``.
    """
    handler: logging.Handler
    if target is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(target, encoding="utf-8", errors="backslashreplace")
    colours = target is None and _is_terminal(sys.stderr)
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True) if style == "json" else _local_time,
        _without_unknown,
    ]
    if not tracebacks:
        shared.append(_in_one_sentence)
    lines = structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=24, exception_formatter=plain_traceback)
    render: list[structlog.typing.Processor] = (
        # In ASCII, which writes every byte of a file's name so that a program gets it back.
        [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(default=str, ensure_ascii=True)]
        if style == "json"
        else [_on_one_line, lines]
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _local_time(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Stamp with the time as the clock on the wall shows it, and its zone."""
    event["timestamp"] = datetime.now().astimezone().isoformat(timespec="milliseconds")
    return event


def _without_unknown(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop what is not known."""
    return {name: value for name, value in event.items() if value is not None}


def _in_one_sentence(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Say what an exception is, in place of where it came from."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event.setdefault("error", f"{type(error).__name__}: {error}")
    return event


def _on_one_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep a line one line, whatever bytes a file's name has; a traceback has its own."""
    return {
        name: readable(value) if isinstance(value, str | Path) and name not in _TRACES else value
        for name, value in event.items()
    }


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty()
