"""What is logged in the worker is logged by the daemon, in its format and at its level."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

import structlog

from deepdream_daemon.worker.lane import Lane, LaneClosed

_OWN = frozenset(vars(logging.makeLogRecord({})))


class _Forwarding(logging.Handler):
    def __init__(self, lane: Lane) -> None:
        super().__init__()
        self._lane = lane
        self._traces = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  (whatever a stranger's arguments raise)
            message = str(record.msg)
        said = {name: _simple(value) for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info:
            said["error"] = str(record.exc_info[1]) or type(record.exc_info[1]).__name__
            said["traceback"] = self._traces.formatException(record.exc_info)
        with contextlib.suppress(LaneClosed):  # the daemon is gone, and so is this process in a moment
            self._lane.send({"log": {"name": record.name, "level": record.levelno, "text": message, "said": said}})


def forward(lane: Lane, level: int) -> None:
    """Send everything that is logged in this process through ``lane``."""
    root = logging.getLogger()
    root.addHandler(_Forwarding(lane))
    root.setLevel(level)
    for name in ("PIL", "lightning_fabric", "torch", "urllib3"):  # heard from warnings on, as by the daemon
        logging.getLogger(name).setLevel(max(logging.WARNING, level))
    logging.captureWarnings(True)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def log(told: Mapping[str, Any], pid: int) -> None:
    """Log, in the daemon, what the worker ``pid`` has logged."""
    logger = logging.getLogger(told["name"])
    if not logger.isEnabledFor(told["level"]):
        return
    said = dict(told["said"])
    trace = said.pop("traceback", None)
    if trace is not None and logger.isEnabledFor(logging.DEBUG):
        said["traceback"] = trace
    logger.log(told["level"], "%s", told["text"], extra={**said, "worker": pid})


def _simple(value: object) -> object:
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
