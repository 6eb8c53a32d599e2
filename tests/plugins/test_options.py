"""Options arrive filled, typed and within bounds, or not at all."""

from __future__ import annotations

import math

import pytest

from deepdream_engine.errors import BadOption
from deepdream_plugins.options import fill
from deepdream_plugins.records import ClassName, Option, PictureFile, Tap

COUNT = Option(name="count", type=int, default=4, minimum=1, maximum=20, help="how many")
SHARE = Option(name="share", type=float, default=0.5, minimum=0, maximum=1, help="how much")
LOUD = Option(name="loud", type=bool, default=False, help="whether")
MODE = Option(name="mode", type=str, default="soft", choices=("soft", "hard"), help="which")
LAYER = Option(name="layer", type=Tap, help="where")
MUST = Option(name="must", type=int, minimum=0, help="a number to give")
SOME = Option(name="some", type=int, many=True, minimum=0, maximum=9, help="numbers")
PLACES = Option(name="places", type=Tap, many=True, help="where")
MAYBE = Option(name="maybe", type=float, many=True, default=(), help="numbers or none")
GUIDE = Option(name="guide", type=PictureFile, default="", help="what it is like")
LABEL = Option(name="label", type=ClassName, help="what it is")
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


@pytest.mark.parametrize(
    ("given", "filled"),
    [([3, 1, 3], (3, 1, 3)), ((2,), (2,)), (4, (4,))],
)
def test_a_list_becomes_a_tuple_and_a_value_a_list_of_one(given: object, filled: tuple[int, ...]) -> None:
    assert fill((SOME,), {"some": given}, where, of="x") == {"some": filled}


def test_lists_have_defaults_too() -> None:
    several = Option(name="several", type=float, many=True, default=(1, 2.5), help="numbers")
    one = Option(name="one", type=int, many=True, default=3, help="a number")
    assert fill((several, one, PLACES, MAYBE), {"maybe": []}, where, of="x") == {
        "several": (1.0, 2.5),
        "one": (3,),
        "places": None,
        "maybe": (),
    }


@pytest.mark.parametrize(
    ("option", "given", "said"),
    [
        (SOME, [1, 10], "c.toml:3: filter.some.1: 10 is not an integer from 0 to 9."),
        (SOME, [1, "2"], "filter.some.1: '2' is not an integer from 0 to 9. Write it without quotes."),
        (SOME, [[1]], "filter.some.0: [1] is not an integer from 0 to 9. Give one value, without brackets."),
        (SOME, "many", "filter.some: 'many' is not an integer from 0 to 9."),
        (SOME, [], "filter.some: the list is empty; it needs at least an integer from 0 to 9."),
        (SOME, [1] * 1001, "filter.some: the list has 1001 items; the most is 1000."),
        (PLACES, ["a", 3], 'filter.places.1: 3 is not a tap of the model (a string). Write it in quotes: "3".'),
        (GUIDE, 3, "filter.guide: 3 is not a picture (the path of a file, or empty for the one beside the photo)."),
        (LABEL, -1, "filter.label: -1 is not a class of the model (its name, or its number from 0)."),
        (LABEL, True, "filter.label: true is not a class of the model"),
        (LABEL, 2.0, "filter.label: 2.0 is not a class of the model"),
        (LABEL, 2**40, "is not a class of the model"),
    ],
)
def test_a_wrong_item_is_named_with_its_index(option: Option, given: object, said: str) -> None:
    with pytest.raises(BadOption) as caught:
        fill((option,), {option.name: given}, where, of="x")
    assert said in str(caught.value)


def test_pictures_and_classes_are_texts_or_numbers() -> None:
    assert fill((GUIDE, LABEL), {"label": 3}, where, of="x") == {"guide": "", "label": 3}
    assert fill((GUIDE, LABEL), {"guide": "a.png", "label": "cat"}, where, of="x") == {"guide": "a.png", "label": "cat"}


def test_a_list_that_must_be_given_is_asked_for() -> None:
    with pytest.raises(BadOption, match="needs the option 'some', an integer from 0 to 9, or a list of such: numbers"):
        fill((SOME,), {}, where, of="x")
