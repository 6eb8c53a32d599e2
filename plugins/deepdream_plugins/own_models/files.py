"""Networks in files: programs saved by ``torch.export`` or TorchScript, told apart by what is in them.

Such a file is a program: its operations run on this machine, on every picture. What could run anything else is refused
before it is read: pickled objects, and expressions and functions that are not PyTorch's arithmetic.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from torch import nn

_EXPORTED, _SCRIPT = "torch.export", "TorchScript"
_ARITHMETIC = re.compile(r"torch\.ops\.(aten|prims|higher_order)\.\w+(\.\w+)?|_operator\.\w+|math\.\w+|torch\.sym_\w+")
_WORD = re.compile(r"[A-Za-z_]\w*")
_SIZE = re.compile(r"[A-Za-z0-9_ ()+\-*/,=<>']*")
_SIZE_WORDS = re.compile(
    r"[suz]\d+|Symbol|Integer|Rational|Float|Add|Mul|Pow|Max|Min|Mod|Abs|Eq|Ne|Lt|Le|Gt|Ge|And|Or|Not|Piecewise"
    r"|floor|ceiling|oo|int_oo|FloorDiv|CleanDiv|CeilDiv|PythonMod|ModularIndexing|Where|IntTrueDiv|FloatTrueDiv"
    r"|FloorToInt|CeilToInt|RoundToInt|TruncToInt|ToFloat|Identity|PowByNatural|FloatPow"
    r"|positive|integer|nonnegative|real|evaluate|True|False|None"
)


def load_file(path: Path, place: str) -> nn.Module:
    """Return the network in the file at ``path``; what is wrong is a ``BadOption`` at ``place``."""
    load: Callable[[Path], nn.Module]
    if _kind(path, place) == _EXPORTED:
        _refuse_code(path, place)
        from deepdream_plugins.own_models.exported import load_exported as load
    else:
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
        for entry in archive.namelist():
            inside = PurePosixPath(*PurePosixPath(entry).parts[1:])
            if inside.match("data/*/*.pt"):
                _check_pickle(archive.read(entry), entry, path, place)
            elif inside.match("*.json"):
                for what in _dangers(json.loads(archive.read(entry))):
                    raise BadOption(
                        f"{place}: {str(path)!r} is refused: it holds {what}. A network needs PyTorch's own operators "
                        f"only; export it without custom classes and operators."
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


def _dangers(value: Any) -> Iterator[str]:
    """Yield what of a program's description would be looked up or evaluated, and is not arithmetic."""
    if isinstance(value, list):
        for item in value:
            yield from _dangers(item)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key == "expr_str" and isinstance(item, str) and not _is_size(item):
            yield f"the expression {item[:80]!r}"
        elif key == "target" and isinstance(item, str) and not _ARITHMETIC.fullmatch(item):
            yield f"the function {item[:80]!r}"
        elif key == "use_pickle" and item:
            yield "pickled tensors"
        elif key == "path_name" and isinstance(item, str) and item.startswith("custom_obj"):
            yield "an object of a custom class"
        else:
            yield from _dangers(item)


def _is_size(expression: str) -> bool:
    """Whether an expression computes a size and nothing else: sympy evaluates it as Python."""
    return bool(_SIZE.fullmatch(expression)) and all(map(_SIZE_WORDS.fullmatch, _WORD.findall(expression)))
