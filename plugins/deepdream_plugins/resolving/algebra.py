"""``eyes - 0.5 * stripes`` read as a weighted sum of terms. Python's parser reads it; nothing of it is ever run."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from deepdream_engine.errors import BadOption

MAX_CHARACTERS = 1000
_MAX_DEPTH = 40
_MAX_TERMS = 32
_ALLOWED = (
    "An objective is a sum of terms with numbers before them, such as "
    "\"eyes - 0.5 * stripes + 0.1 * l2(layer = 'mixed5a')\": use + - * / and parentheses."
)
_PLAIN = re.compile(r"[^\W\d]\w*")
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Pow: "**",
    ast.Mod: "%",
    ast.FloorDiv: "//",
    ast.MatMult: "@",
    ast.BitOr: "|",
    ast.BitAnd: "&",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
}

Constant = int | float | bool | str | list["Constant"]


@dataclass(frozen=True)
class Weighted:
    """One term of the sum: its factor, its name, and the options of a call such as ``l2(layer = 'mixed5a')``, or
    ``None`` for the name alone. ``column`` is where it first stands in the text, from 1."""

    factor: float
    name: str
    options: Mapping[str, Constant] | None = None
    column: int = 1


@dataclass(frozen=True)
class _Sum:
    """Terms by what they say, so that equal ones add up."""

    terms: Mapping[str, Weighted] = field(default_factory=dict)

    def scaled(self, factor: float) -> _Sum:
        return _Sum({key: replace(term, factor=term.factor * factor) for key, term in self.terms.items()})

    def plus(self, other: _Sum) -> _Sum:
        terms = dict(self.terms)
        for key, term in other.terms.items():
            known = terms.get(key)
            terms[key] = term if known is None else replace(known, factor=known.factor + term.factor)
        return _Sum(terms)


def is_plain_name(text: str) -> bool:
    """Whether ``text`` is a name and nothing else, so that it need not be read as an expression."""
    return _PLAIN.fullmatch(text) is not None


def parse(text: str, place: str) -> tuple[Weighted, ...]:
    """Return the terms of ``text`` with their factors, in the order of writing, those of factor 0 left out.

    Whatever is no such sum is a :class:`BadOption` that names ``place``, the column and what is allowed. Whether a
    name means anything is not asked here.
    """
    reader = _Reader(text, place)
    value = reader.read()
    if not isinstance(value, _Sum):
        raise reader.wrong(1, "there is no term in it, only numbers")
    terms = tuple(term for term in value.terms.values() if term.factor)
    if not terms:
        raise reader.wrong(1, "its weights are all zero, so nothing is left to maximise")
    if len(terms) > _MAX_TERMS:
        raise reader.wrong(1, f"it has {len(terms)} terms; the most is {_MAX_TERMS}")
    for term in terms:
        if not math.isfinite(term.factor):
            raise reader.wrong(term.column, f"the factor of {term.name!r} is too large for a number")
    return terms


class _Reader:
    """Folds the syntax tree of one text into a number or a sum."""

    def __init__(self, text: str, place: str) -> None:
        self._text = text
        self._place = place

    def wrong(self, column: int, what: str) -> BadOption:
        """Return the error that ``what`` is the matter at ``column``."""
        shown = self._text if len(self._text) <= 120 else f"{self._text[:117]}..."
        return BadOption(f"{self._place}: {shown!r}, column {column}: {what}. {_ALLOWED}")

    def read(self) -> _Sum | float:
        if not self._text.strip():
            raise self.wrong(1, "it is empty")
        if len(self._text) > MAX_CHARACTERS:
            raise self.wrong(1, f"it has {len(self._text)} characters; the most is {MAX_CHARACTERS}")
        for unfit, why in (
            ("\\", "a backslash has no meaning here; write paths with /"),
            ("\n", "write it on one line"),
        ):
            if unfit in self._text:
                raise self.wrong(self._text.index(unfit) + 1, why)
        shift = len(self._text) - len(self._text.lstrip())  # Python would take leading blanks for an indentation
        try:
            tree = ast.parse(self._text.strip(), mode="eval")
        except SyntaxError as error:
            raise self.wrong((error.offset or 1) + shift, f"it cannot be read ({error.msg})") from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise self.wrong(1, f"it cannot be read ({error or 'nested too deeply'})") from None
        return self._value(tree.body, 0)

    def _column(self, node: ast.expr) -> int:
        stripped = self._text.lstrip()
        before = stripped.encode()[: node.col_offset].decode(errors="replace")  # Python counts in bytes
        return len(self._text) - len(stripped) + len(before) + 1

    def _value(self, node: ast.expr, depth: int) -> _Sum | float:
        if depth > _MAX_DEPTH:
            raise self.wrong(self._column(node), "it is nested too deeply")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            return self._summed(node, depth)
        if isinstance(node, ast.BinOp):
            return self._scaled(node, depth)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            inner = self._value(node.operand, depth + 1)
            sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
            return inner.scaled(sign) if isinstance(inner, _Sum) else sign * inner
        if isinstance(node, ast.Name):
            return _Sum({node.id: Weighted(1.0, node.id, column=self._column(node))})
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Constant):
            return self._number(node)
        raise self.wrong(self._column(node), f"{self._source(node)!r} has no meaning here")

    def _summed(self, node: ast.expr, depth: int) -> _Sum | float:
        """Add up a chain ``a + b - c``, which the tree nests to the left, without descending along it."""
        operands: list[tuple[ast.expr, float]] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            operands.append((node.right, 1.0 if isinstance(node.op, ast.Add) else -1.0))
            node = node.left
        total = self._value(node, depth + 1)
        for operand, sign in reversed(operands):
            value = self._value(operand, depth + 1)
            if isinstance(total, _Sum) and isinstance(value, _Sum):
                total = total.plus(value.scaled(sign))
            elif not isinstance(total, _Sum) and not isinstance(value, _Sum):
                total += sign * value
            else:
                alone = operand if isinstance(total, _Sum) else node
                raise self.wrong(
                    self._column(alone), f"{self._source(alone)!r} is a number without a term: multiply it with one"
                )
        return total

    def _scaled(self, node: ast.BinOp, depth: int) -> _Sum | float:
        left, right = self._value(node.left, depth + 1), self._value(node.right, depth + 1)
        if isinstance(node.op, ast.Mult):
            if isinstance(left, _Sum) and isinstance(right, _Sum):
                raise self.wrong(self._column(node), "two terms cannot be multiplied, only a term and a number")
            if isinstance(left, _Sum):
                return left.scaled(float(right)) if not isinstance(right, _Sum) else left
            return right.scaled(left) if isinstance(right, _Sum) else left * right
        if isinstance(node.op, ast.Div):
            if isinstance(right, _Sum):
                raise self.wrong(self._column(node.right), "nothing can be divided by a term")
            if right == 0:
                raise self.wrong(self._column(node.right), "nothing can be divided by zero")
            return left.scaled(1 / right) if isinstance(left, _Sum) else left / right
        raise self.wrong(self._column(node), f"the operator {_OPERATORS.get(type(node.op), '?')} has no meaning here")

    def _number(self, node: ast.Constant) -> float:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise self.wrong(self._column(node), f"{self._source(node)!r} is neither a number nor a term")
        try:
            number = float(node.value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.wrong(self._column(node), "this number is too large")
        return number

    def _call(self, node: ast.Call) -> _Sum:
        column = self._column(node)
        if not isinstance(node.func, ast.Name):
            raise self.wrong(column, f"{self._source(node.func)!r} is not the name of an objective")
        name = node.func.id
        if node.args or any(keyword.arg is None for keyword in node.keywords):
            raise self.wrong(column, f"options of {name!r} are given by name, as in {name}(layer = 'mixed5a')")
        options = {str(keyword.arg): self._constant(keyword.value) for keyword in node.keywords}
        return _Sum({ast.dump(node): Weighted(1.0, name, options, column)})

    def _constant(self, node: ast.expr) -> Constant:
        sign = 1
        inner = node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            sign, inner = -1, node.operand
        if isinstance(inner, ast.Constant) and isinstance(inner.value, bool | int | float | str):
            if sign == 1:
                return inner.value
            if isinstance(inner.value, int | float) and not isinstance(inner.value, bool):
                return -inner.value
        if isinstance(node, ast.List | ast.Tuple):
            return [self._constant(item) for item in self._items(node)]
        raise self.wrong(
            self._column(node), f"{self._source(node)!r} is no value: give a number, a 'text', True, False or a list"
        )

    def _items(self, node: ast.List | ast.Tuple) -> Iterator[ast.expr]:
        for item in node.elts:
            if isinstance(item, ast.List | ast.Tuple):
                raise self.wrong(self._column(item), "a list within a list is no value")
            yield item

    def _source(self, node: ast.expr) -> str:
        return (ast.get_source_segment(self._text.strip(), node) or type(node).__name__)[:40]
