"""A folder that a long piece of work fills: nobody else's files are touched, and what is finished stays finished."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from deepdream_engine.errors import BadOption, DeepDreamError

_WEIGHTS = "weights_sha256"


class OwnFolder:
    """``folder`` with ``record``, a JSON file that says whose it is: the work's ``identity``.

    A folder that holds other things is refused, and so is one of other work.
    """

    def __init__(self, folder: Path, record: str, identity: str) -> None:
        self.path = folder
        self._record = folder / record
        self._temp = f".{os.getpid()}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held = [name for name in sorted(os.listdir(folder)) if not name.endswith(".part")]  # noqa: PTH208
            self.data = self._read() if self._record.exists() else {}
        except OSError as error:
            raise DeepDreamError(
                f"{str(folder)!r} cannot be used: {error.strerror or error}. Name another folder: -o FOLDER."
            ) from error
        if held and not self.data:
            raise BadOption(f"{str(folder)!r} holds other things ({held[0]!r} …). Name an empty folder: -o FOLDER.")
        if self.data and self.data.get("identity") != identity:
            raise BadOption(
                f"{str(folder)!r} was made otherwise: by another network, another size, other settings or another "
                f"version. Name another folder with -o FOLDER, or remove this one."
            )
        self.data["identity"] = identity
        self.save()

    def keep_to(self, weights_sha256: str) -> None:
        """Refuse a network with other weights than that which the work was begun with; raises ``BadOption``.

        The identity does not tell: a model of the same name and table may be another one by now, as one is whose
        builder reads a checkpoint that training has gone on with.
        """
        kept = self.data.setdefault(_WEIGHTS, weights_sha256)
        if kept != weights_sha256:
            raise BadOption(
                f"{str(self.path)!r} was made with other weights (SHA-256 {kept[:12]}…) than the model has now "
                f"({weights_sha256[:12]}…). Name another folder with -o FOLDER, or remove this one."
            )
        self.save()

    def save(self) -> None:
        """Write the record."""
        self.write(self._record.name, json.dumps(self.data, indent=1).encode())

    def write(self, name: str, data: bytes) -> Path:
        """Write a file, so that it is there whole or not at all; return where."""
        path = self.path / name
        temp = path.with_name(f".{path.name}{self._temp}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temp.write_bytes(data)
            temp.replace(path)
        except OSError as error:
            temp.unlink(missing_ok=True)
            raise DeepDreamError(
                f"{str(path)!r} cannot be written: {error.strerror or error}. What is finished is kept; the same "
                f"command goes on with it."
            ) from error
        return path

    def _read(self) -> dict[str, Any]:
        try:
            data = json.loads(self._record.read_bytes())
        except ValueError as error:
            raise BadOption(
                f"{str(self._record)!r} is damaged ({error}). Name another folder: -o FOLDER, or remove this one."
            ) from error
        return data if isinstance(data, dict) else {}
