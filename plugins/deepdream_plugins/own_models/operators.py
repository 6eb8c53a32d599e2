"""What programs in files may call: PyTorch's arithmetic, and nothing that opens files or runs code of others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

_TARGET = re.compile(
    r"torch\.ops\.(aten|prims|higher_order)\.(?P<operator>\w+)(\.\w+)?|math\.\w+|torch\.sym_\w+"
    r"|_operator\.(eq|ne|le|ge|lt|gt|neg|pos|and_|or_|not_|xor|invert|add|sub|mul|floordiv|truediv|mod|pow|lshift|rshift"
    r"|getitem|is_|is_not)"
)
_FORBIDDEN = frozenset({"from_file", "save", "rpc_async", "rpc_sync", "rpc_remote"})
"""Operators of PyTorch's own that read or write files, or talk to other machines."""
_NAMESPACES = frozenset({"aten", "prim", "torchvision"})
_WORD = re.compile(r"\w+")
_OPS = re.compile(r"(?<![\w.])ops\b(\.(\w+)\.)?")
_SIZE = re.compile(r"[A-Za-z0-9_ ()+\-*/,=<>']*")
_NAME = re.compile(r"[A-Za-z_]\w*")
_SIZE_WORDS = re.compile(
    r"[suz]\d+|Symbol|Integer|Rational|Float|Add|Mul|Pow|Max|Min|Mod|Abs|Eq|Ne|Lt|Le|Gt|Ge|And|Or|Not|Piecewise"
    r"|floor|ceiling|oo|int_oo|FloorDiv|CleanDiv|CeilDiv|PythonMod|ModularIndexing|Where|IntTrueDiv|FloatTrueDiv"
    r"|FloorToInt|CeilToInt|RoundToInt|TruncToInt|ToFloat|Identity|PowByNatural|FloatPow"
    r"|positive|integer|nonnegative|real|evaluate|True|False|None"
)


def script_dangers(code: str) -> Iterator[str]:
    """Yield what of the code of a TorchScript program, or of its pickled data, is more than arithmetic.

    Only words are looked at, wherever they stand, comments and strings included: TorchScript's own parser decides what
    is what, and a name cannot be put together at run time.
    """
    words = _WORD.findall(code)
    for name in sorted(_FORBIDDEN.intersection(words)):
        yield f"the word {name!r}, which names an operator that reaches out of the program"
    if any(pair == ("torch", "classes") for pair in pairwise(words)):
        yield "an object of a custom class"
    for found in _OPS.finditer(code):
        if found[2] not in _NAMESPACES:
            yield f"operators that are not PyTorch's arithmetic: {code[found.start() :][:60].splitlines()[0]!r}"


def exported_dangers(value: Any) -> Iterator[str]:
    """Yield what of the description of a program of ``torch.export``, a JSON value, would be looked up or evaluated,
    and is not arithmetic."""
    if isinstance(value, list):
        for item in value:
            yield from exported_dangers(item)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key == "expr_str" and isinstance(item, str) and not _is_size(item):
            yield f"the expression {item[:80]!r}"
        elif key == "target" and isinstance(item, str) and not _is_arithmetic(item):
            yield f"the function {item[:80]!r}"
        elif key == "use_pickle" and item:
            yield "pickled tensors"
        elif key == "path_name" and isinstance(item, str) and item.startswith("custom_obj"):
            yield "an object of a custom class"
        else:
            yield from exported_dangers(item)


def _is_arithmetic(target: str) -> bool:
    found = _TARGET.fullmatch(target)
    return found is not None and found["operator"] not in _FORBIDDEN


def _is_size(expression: str) -> bool:
    """Whether an expression computes a size and nothing else: sympy evaluates it as Python."""
    return bool(_SIZE.fullmatch(expression)) and all(map(_SIZE_WORDS.fullmatch, _NAME.findall(expression)))
