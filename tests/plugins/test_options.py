"""Options arrive filled, typed and within bounds, or not at all."""

from __future__ import annotations

import math

import pytest

from deepdream_engine.errors import BadOption
from deepdream_plugins.options import fill
from deepdream_plugins.records import Option, Tap

COUNT = Option(name="count", type=int, default=4, minimum=1, maximum=20, help="how many")
SHARE = Option(name="share", type=float, default=0.5, minimum=0, maximum=1, help="how much")
LOUD = Option(name="loud", type=bool, default=False, help="whether")
MODE = Option(name="mode", type=str, default="soft", choices=("soft", "hard"), help="which")
LAYER = Option(name="layer", type=Tap, help="where")
MUST = Option(name="must", type=int, minimum=0, help="a number to give")
ALL = (COUNT, SHARE, LOUD, MODE, LAYER)


def where(*keys: object) -> str:
    return "c.toml:3: " + ".".join(map(str, ("filter", *keys)))


def test_what_is_absent_gets_its_default() -> None:
    assert fill(ALL, {}, where, of="x") == {
        "count": 4,
        "share": 0.5,
        "loud": False,
        "mode": "soft",
        "layer": None,
    }


def test_an_integer_serves_as_a_float_and_becomes_one() -> None:
    share = fill(ALL, {"share": 1}, where, of="x")["share"]
    assert share == 1.0
    assert type(share) is float


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"count": 21}, "21 is not an integer from 1 to 20."),
        ({"count": True}, "true is not an integer"),
        ({"count": 4.0}, "4.0 is not an integer"),
        ({"count": "4"}, "'4' is not an integer from 1 to 20. Write it without quotes."),
        ({"share": math.nan}, "nan is not a number from 0 to 1"),
        ({"share": math.inf}, "inf is not a number"),
        ({"share": 10**400}, "is not a number"),
        ({"share": -0.1}, "-0.1 is not a number from 0 to 1"),
        ({"share": False}, "false is not a number"),
        ({"loud": 1}, "1 is not true or false"),
        ({"loud": "true"}, "'true' is not true or false. Write it without quotes."),
        ({"layer": 4}, 'Write it in quotes: "4".'),
        ({"mode": "sofd"}, "'sofd' is not one of soft, hard. Did you mean 'soft'?"),
        ({"mode": ["soft"]}, "['soft'] is not one of soft, hard."),
        ({"layer": 3}, "3 is not a tap of the model"),
        ({"cuont": 3}, "unknown option of filter 'x' 'cuont'. Did you mean 'count'? Valid: count, "),
    ],
)
def test_an_error_says_where_what_and_what_else(given: dict[str, object], said: str) -> None:
    with pytest.raises(BadOption) as caught:
        fill(ALL, given, where, of="filter 'x'")
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"c.toml:3: filter.{next(iter(given))}: ")


def test_an_option_without_default_must_be_given() -> None:
    with pytest.raises(BadOption, match="needs the option 'must', an integer, at least 0: a number to give"):
        fill((MUST,), {}, where, of="x")
    assert fill((MUST,), {"must": 0}, where, of="x") == {"must": 0}
