"""An expression becomes a weighted sum of terms; whatever else is written is refused with its place and column."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdream_engine.errors import BadOption
from deepdream_plugins.resolving.algebra import MAX_CHARACTERS, parse

PLACE = "c.toml:3: recipes.x.objective"


def factors(text: str) -> dict[str, float]:
    return {term.name: term.factor for term in parse(text, PLACE)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", {"a": 1}),
        ("-a", {"a": -1}),
        ("+a", {"a": 1}),
        ("a - 0.5 * b", {"a": 1, "b": -0.5}),
        ("a - b - c", {"a": 1, "b": -1, "c": -1}),
        ("a - (b - c)", {"a": 1, "b": -1, "c": 1}),
        ("2 * (a + b / 4) * 3", {"a": 6, "b": 1.5}),
        ("-(a - 2 * -b)", {"a": -1, "b": -2}),
        ("(1 + 2) * a / (4 - 1)", {"a": 1}),
        ("a + b + a", {"a": 2, "b": 1}),
        ("a + b - a", {"b": 1}),
        ("0 * a + b", {"b": 1}),
        ("1e-3 * a", {"a": 0.001}),
        ("  a +\tb ", {"a": 1, "b": 1}),
        ("größe - 2*b", {"größe": 1, "b": -2}),
    ],
)
def test_constants_are_folded_and_equal_terms_added(text: str, expected: dict[str, float]) -> None:
    assert factors(text) == pytest.approx(expected)


def test_a_call_gives_options_of_every_kind() -> None:
    text = "2 * l2(layer = 'a b', channels = [1, -2], x = 0.5, on = True, at = (3,)) - l2()"
    first, second = parse(text, PLACE)
    assert (first.factor, first.name, first.column) == (2, "l2", 5)
    assert first.options == {"layer": "a b", "channels": [1, -2], "x": 0.5, "on": True, "at": [3]}
    assert (second.factor, second.options) == (-1, {})


def test_equal_calls_are_one_term_and_different_ones_are_two() -> None:
    assert [term.factor for term in parse("l2(layer='a') + l2( layer = 'a' )", PLACE)] == [2]
    assert [term.factor for term in parse("l2(layer='a') + l2(layer='b')", PLACE)] == [1, 1]


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("", 1, "it is empty"),
        ("   ", 1, "it is empty"),
        ("eyes - * b", 8, "it cannot be read"),
        ("(a", 1, "it cannot be read"),
        ("a b", None, "it cannot be read"),
        ("3", 1, "there is no term in it, only numbers"),
        ("a + 3", 5, "'3' is a number without a term: multiply it with one"),
        ("3 + a", 1, "'3' is a number without a term"),
        ("a * b", 1, "two terms cannot be multiplied"),
        ("1 / a", 5, "nothing can be divided by a term"),
        ("a / (2 - 2)", 6, "nothing can be divided by zero"),
        ("a ** 2", 1, "the operator ** has no meaning here"),
        ("a % 2", 1, "the operator % has no meaning here"),
        ("a - a", 1, "its weights are all zero"),
        ("0 * a", 1, "its weights are all zero"),
        ("a if b else c", 1, "'a if b else c' has no meaning here"),
        ("a or b", 1, "has no meaning here"),
        ("a < b", 1, "has no meaning here"),
        ("[a]", 1, "has no meaning here"),
        ("(a, b)", 1, "has no meaning here"),
        ("a[0]", 1, "has no meaning here"),
        ("a.b", 1, "has no meaning here"),
        ("lambda: a", 1, "has no meaning here"),
        ("(a := b)", 2, "has no meaning here"),
        ("f'{a}'", 1, "has no meaning here"),
        ("~a", 1, "has no meaning here"),
        ("True * a", 1, "'True' is neither a number nor a term"),
        ("'a' - b", 1, "is neither a number nor a term"),
        ("2j * a", 1, "'2j' is neither"),
        ("1e999 * a", 1, "this number is too large"),
        ("1" + "0" * 400 + " * a", 1, "this number is too large"),
        ("1e300 * 1e300 * a", 17, "the factor of 'a' is too large"),
        ("a.b(c=1)", 1, "'a.b' is not the name of an objective"),
        ("l2('mixed4c')", 1, "options of 'l2' are given by name"),
        ("l2(*a)", 1, "options of 'l2' are given by name"),
        ("l2(**a)", 1, "options of 'l2' are given by name"),
        ("l2(layer = a)", 12, "'a' is no value"),
        ("l2(layer = open('x'))", 12, "is no value"),
        ("l2(x = [[1]])", 9, "a list within a list"),
        ("l2(x = -'a')", 8, "is no value"),
        ("ä - * b", 5, "it cannot be read"),
        ("ä - c ** b", 5, "the operator ** has no meaning here"),
        ("l2(layer = 'a\\b')", 14, "a backslash has no meaning here"),
        ("a\n+ b", 2, "write it on one line"),
        ("a + " * 300 + "a", 1, f"it has 1201 characters; the most is {MAX_CHARACTERS}"),
        (" + ".join(f"a{i}" for i in range(33)), 1, "it has 33 terms; the most is 32"),
        ("(" * 60 + "-" * 60 + "a" + ")" * 60, None, "nested too deeply"),
        ("(" * 300 + "a" + ")" * 300, None, "it cannot be read"),
        ("a\0", None, "it cannot be read"),
    ],
)  # fmt: skip
def test_what_is_no_sum_is_refused_with_its_column(text: str, column: int | None, said: str) -> None:
    with pytest.raises(BadOption) as caught:
        parse(text, PLACE)
    message = str(caught.value)
    assert message.startswith(f"{PLACE}: ")
    assert said in message
    assert f", column {'' if column is None else f'{column}: '}" in message
    assert "sum of terms with numbers before them" in message


@pytest.mark.parametrize("text", ["-" * 900 + "a", "2*" * 400 + "a", "a" + "/2" * 400])
def test_a_hostile_depth_is_an_error_and_no_crash(text: str) -> None:
    with pytest.raises(BadOption, match=r"nested too deeply|cannot be read"):
        parse(text, PLACE)


def test_a_long_sum_is_not_deep() -> None:
    assert factors("+".join(["a"] * 490)) == {"a": 490}


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        terms = parse(text, PLACE)
    except BadOption:
        return
    assert terms
    assert all(math.isfinite(term.factor) and term.factor for term in terms)


_NUMBERS = st.floats(-1e6, 1e6).filter(bool)


@given(st.dictionaries(st.from_regex(r"[a-d][0-9]{0,2}", fullmatch=True), _NUMBERS, min_size=1, max_size=6))
def test_every_factor_is_exact(weights: dict[str, float]) -> None:
    text = " + ".join(f"{factor!r} * {name}" for name, factor in weights.items())
    assert factors(text) == weights
