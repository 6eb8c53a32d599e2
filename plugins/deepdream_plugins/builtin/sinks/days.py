"""What the contact sheet remembers of a day: its dreams, and which sheets it wrote itself.

It is written before each sheet is, so that a sheet is known as the sink's own after a crash, too.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path

from deepdream_plugins.builtin.sinks.files import bytes_writer, publish_new, replace, sha256

_KEPT_DAYS = 30


@dataclass(frozen=True)
class Dream:
    """A dream on a sheet: when it was finished (unix time), its small version below the day's folder, its label and
    the line below that."""

    finished: float
    thumb: str
    label: str
    below: str


@dataclass
class Sheet:
    """A sheet that was written: ``shows`` tells what, ``digests`` are those of the file before and after the last
    write, of which a crash may have left either."""

    name: str
    shows: str
    digests: list[str]


@dataclass
class Day:
    """A day's dreams by their keys, and its sheets in order; ``file`` is where it is remembered, by ``token``."""

    file: Path
    token: str
    dreams: dict[str, Dream] = field(default_factory=dict)
    sheets: list[Sheet] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path, token: str) -> Day:
        """Return what is remembered, or an empty day."""
        try:
            found = json.loads(file.read_text(encoding="ascii"))
        except FileNotFoundError:
            return cls(file, token)
        dreams = {key: Dream(**dream) for key, dream in found["dreams"].items()}
        return cls(file, token, dreams, [Sheet(**sheet) for sheet in found["sheets"]])

    @property
    def thumbs(self) -> Path:
        """The folder of the small versions."""
        return self.file.with_suffix("")

    def in_order(self) -> list[tuple[str, Dream]]:
        """Return the keys and dreams by the time they were finished."""
        return sorted(self.dreams.items(), key=lambda item: (item[1].finished, item[0]))

    def save(self) -> None:
        """Write it down."""
        facts = {
            "dreams": {key: asdict(dream) for key, dream in self.dreams.items()},
            "sheets": [asdict(sheet) for sheet in self.sheets],
        }
        replace(self.file, bytes_writer(json.dumps(facts).encode("ascii")), self.token)

    def is_shown(self, page: int, shows: str) -> bool:
        """Whether sheet number ``page`` was written like this, whatever became of it since."""
        return page < len(self.sheets) and self.sheets[page].shows == shows

    def write_sheet(self, page: int, target: Path, data: bytes, shows: str) -> None:
        """Write a sheet in the place of its older self, or under a free name if that is somebody else's by now."""
        older = self.sheets[page] if page < len(self.sheets) else None
        own = target if older is None or Path(older.name).suffix != target.suffix else target.with_name(older.name)
        present, digest = sha256(own), hashlib.sha256(data).hexdigest()
        is_ours = older is not None and present in older.digests
        sheet = Sheet(own.name, shows, [present, digest] if is_ours else [digest])
        self.sheets[page : page + 1] = [sheet]
        self.save()
        if is_ours:
            replace(own, bytes_writer(data), self.token)
            return
        sheet.name = publish_new(target.parent, target.name, bytes_writer(data), self.token).name
        if sheet.name != own.name:
            self.save()


def forget_old(state: Path, today: date) -> None:
    """Remove what is remembered of days long past; their sheets stay as they are."""
    oldest = min(today, date.fromtimestamp(time.time())) - timedelta(days=_KEPT_DAYS)
    for file in state.glob("????-??-??.json"):
        if file.stem < oldest.isoformat():
            shutil.rmtree(file.with_suffix(""), ignore_errors=True)
            file.unlink()
