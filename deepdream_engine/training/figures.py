"""A training's figures: rows of a CSV file, or events for TensorBoard. A full disk costs no training."""

from __future__ import annotations

import csv
import io
import os
import socket
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from deepdream_engine.training.unfinished import EVENTS, METRICS
from deepdream_engine.training.whole import whole

_SECONDS = 5.0
"""The least between two writes."""

Row = Mapping[str, Any]


class Figures(Logger):
    """Writes figures into a folder. What cannot be written is written later, with what follows; ``troubled`` hears why.

    Lightning's own loggers end a training when the disk is full, and leave half a row behind.
    """

    def __init__(self, troubled: Callable[[str], None]) -> None:
        super().__init__()
        self._troubled = troubled
        self._waiting: list[Row] = []
        self._written_at = -_SECONDS

    @abstractmethod
    def _write(self, rows: Sequence[Row]) -> None:
        """Write rows of ``step``, ``epoch`` and figures, all or none of them. Raises ``OSError``."""

    @property
    def name(self) -> str:
        """Its name among others."""
        return "figures"

    @property
    def version(self) -> str:
        """There is but one."""
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """They are in the recipe."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Take a row."""
        self._waiting.append({**metrics, "step": step or 0})

    @rank_zero_only
    def save(self) -> None:
        """Write what waits, if it is time."""
        if time.monotonic() - self._written_at >= _SECONDS:
            self._try()

    @rank_zero_only
    def finalize(self, status: str) -> None:  # noqa: ARG002  (whatever it is, what is known is kept)
        """Write what waits."""
        self._try()

    def _try(self) -> None:
        if not self._waiting:
            return
        self._written_at = time.monotonic()
        try:
            self._write(self._waiting)
        except OSError as error:
            self._troubled(f"its figures cannot be written at the moment ({error.strerror or error}).")
        else:
            self._waiting = []


class Table(Figures):
    """One CSV file, however often a training is stopped, with each step once."""

    def __init__(self, folder: Path, troubled: Callable[[str], None]) -> None:
        super().__init__(troubled)
        self._path = folder / METRICS
        self._rows: list[Row] | None = None

    def _write(self, rows: Sequence[Row]) -> None:
        if self._rows is None:  # what goes on repeats what came after its checkpoint
            self._rows = _earlier(self._path, rows[0]["step"])
        told = [*self._rows, *rows]
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, sorted({key for row in told for key in row}))
        table.writeheader()
        table.writerows(told)
        with whole(self._path) as file:
            file.write(text.getvalue().encode())
        self._rows = told


class Events(Figures):
    """A file of TensorBoard's, to which events are added."""

    def __init__(self, folder: Path, troubled: Callable[[str], None]) -> None:
        super().__init__(troubled)
        name = f"events.out.tfevents.{time.time_ns() // 10**9:010}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / EVENTS / name
        self._size = 0

    def _write(self, rows: Sequence[Row]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        content = io.BytesIO()
        records, now = RecordWriter(content), time.time()
        if not self._size:
            records.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for row in rows:
            values = [Summary.Value(tag=key, simple_value=value) for key, value in row.items() if key != "step"]
            records.write(Event(wall_time=now, step=row["step"], summary=Summary(value=values)).SerializeToString())
        self._path.parent.mkdir(exist_ok=True)
        with self._path.open("ab", buffering=0) as file:
            file.truncate(self._size)  # of what did not fit, a part may be there
            if (done := file.write(content.getbuffer())) < len(content.getbuffer()):
                file.write(content.getbuffer()[done:])  # which says why not
        self._size += len(content.getbuffer())


def _earlier(path: Path, step: int) -> list[Row]:
    """Return the rows before ``step`` that an earlier process has written, if they can be read."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if int(row["step"]) < step]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return []
