"""Networks in files: programs saved by ``torch.export`` or TorchScript, told apart by what is in them.

Such a file is a program: its operations run on this machine, on every picture. What is known to do anything else is
refused before it is loaded: pickled objects, custom classes, operators that open files or are not PyTorch's own, and in
a program of ``torch.export`` expressions that are more than sizes. That keeps out what a network has no need of. It is
no sandbox, so programs should come from somebody who is trusted.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption
from deepdream_plugins.own_models.operators import exported_dangers, script_dangers

if TYPE_CHECKING:
    from torch import nn

_EXPORTED, _SCRIPT = "torch.export", "TorchScript"


def load_file(path: Path, place: str) -> nn.Module:
    """Return the network in the file at ``path``; what is wrong is a ``BadOption`` at ``place``."""
    load: Callable[[Path], nn.Module]
    if _kind(path, place) == _EXPORTED:
        _refuse_code(path, place)
        from deepdream_plugins.own_models.exported import load_exported as load
    else:
        _refuse_script(path, place)
        from deepdream_plugins.own_models.scripted import load_script as load
    try:
        return load(path)
    except BadOption as error:
        raise BadOption(f"{place}: {str(path)!r}: {error}") from error
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise BadOption(
            f"{place}: {str(path)!r} cannot be loaded ({reason}). Save it anew with this version of PyTorch."
        ) from error


def _kind(path: Path, place: str) -> str:
    names: list[PurePosixPath] = []
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [PurePosixPath(name) for name in archive.namelist()]
    inside = {"/".join(name.parts[1:]) for name in names}
    if "archive_format" in inside and any(each.startswith("models/") for each in inside):
        return _EXPORTED
    if "constants.pkl" in inside and any(each.startswith("code/") for each in inside):
        return _SCRIPT
    if any(name.name == "serialized_exported_program.json" for name in names):
        raise BadOption(f"{place}: {str(path)!r} was saved by an old torch.export. Save it anew with PyTorch 2.11.")
    weights = path.suffix == ".safetensors" or "data.pkl" in inside
    hint = " It looks like weights; give them as weights, beside the builder of their network." if weights else ""
    raise BadOption(
        f"{place}: {str(path)!r} is no network: neither a program of torch.export.save nor of torch.jit.save.{hint}"
    )


def _refuse_code(path: Path, place: str) -> None:
    """Refuse a program of ``torch.export`` in which loading or running could do more than compute."""
    with zipfile.ZipFile(path) as archive:
        # Not by name, of which there may be two, and PyTorch takes "A.JSON" for "a.json".
        for entry in archive.infolist():
            name = PurePosixPath(entry.filename.lower())
            if name.match("data/*/*.pt"):
                _check_pickle(archive.read(entry), entry.filename, path, place)
            elif name.match("*.json"):
                for what in exported_dangers(json.loads(archive.read(entry))):
                    raise BadOption(
                        f"{place}: {str(path)!r} is refused: it holds {what}. A network needs PyTorch's own operators "
                        f"only; export it without custom classes and operators."
                    )


def _refuse_script(path: Path, place: str) -> None:
    """Refuse a TorchScript program that could do more than compute; already loading it runs some of it."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if PurePosixPath(entry.filename.lower()).suffix in (".py", ".pkl"):
                for what in script_dangers(archive.read(entry).decode("latin-1")):
                    raise BadOption(
                        f"{place}: {str(path)!r} is refused: {entry.filename!r} in it holds {what}. A network needs "
                        f"PyTorch's own operators only; save it without others."
                    )


def _check_pickle(data: bytes, entry: str, path: Path, place: str) -> None:
    import torch

    try:
        if data:
            torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        raise BadOption(
            f"{place}: {str(path)!r} is refused: {entry!r} in it holds pickled objects other than tensors, which would "
            f"run their own code. Export the network with plain tensors as its example."
        ) from error
