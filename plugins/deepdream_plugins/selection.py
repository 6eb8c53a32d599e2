"""Which plugins a host has: plain data, so that a worker process can build the same host from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The built-in plugins, the installed ones that ``enable`` names, the files of ``folder``, and the networks of
    ``models``, tables as in ``[models.NAME]``, whose paths are relative to ``base_dir``.

    ``trained`` are the cards of networks that the user has taught. ``watched`` are the folders that pictures are
    dropped into, which ``folder`` must not touch and in which no file of a network may lie. ``sha256`` pins plugins to
    their code, by name. Without ``third_party`` only the built-in ones are there, and what the user has taught,
    whatever the rest says. What takes longer than ``load_seconds`` to load is given up, and so is a filter that takes
    longer than ``filter_seconds``.
    """

    enable: tuple[str, ...] = ()
    folder: Path | None = None
    watched: tuple[Path, ...] = ()
    sha256: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    base_dir: Path = field(default_factory=Path)
    trained: tuple[Path, ...] = ()
    third_party: bool = True
    load_seconds: float = 30.0
    filter_seconds: float = 120.0

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data, which :meth:`from_dict` reads back."""
        return {
            "enable": list(self.enable),
            "folder": None if self.folder is None else str(self.folder),
            "watched": [str(path) for path in self.watched],
            "sha256": dict(self.sha256),
            "models": {name: dict(table) for name, table in self.models.items()},
            "base_dir": str(self.base_dir),
            "trained": [str(path) for path in self.trained],
            "third_party": self.third_party,
            "load_seconds": self.load_seconds,
            "filter_seconds": self.filter_seconds,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Selection:
        """Read back what :meth:`to_dict` returned."""
        folder = data["folder"]
        return cls(
            **{
                **data,
                "enable": tuple(data["enable"]),
                "folder": None if folder is None else Path(folder),
                "watched": tuple(map(Path, data["watched"])),
                "base_dir": Path(data["base_dir"]),
                "trained": tuple(map(Path, data["trained"])),
            }
        )
