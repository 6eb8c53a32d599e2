"""An option's schema takes exactly the values that the option takes."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from deepdream_engine.errors import BadOption
from deepdream_plugins.describing.option_schema import is_needed, listed, offers, option_schema, table_schema
from deepdream_plugins.options import coerce, fill
from deepdream_plugins.records import ClassName, Option, PictureFile, Tap
from deepdream_plugins.toml_source import dotted

OPTIONS = [
    Option(name="count", type=int, minimum=1, maximum=5, default=2, help="how many"),
    Option(name="level", type=float, minimum=-0.5, help="how much"),
    Option(name="free", type=float, help="any number"),
    Option(name="most", type=int, maximum=3, help="at most three"),
    Option(name="flag", type=bool, default=False, help="whether"),
    Option(name="text", type=str, default="", help="what"),
    Option(name="mode", type=str, choices=("soft", "hard"), default="soft", help="how"),
    Option(name="modes", type=str, choices=("soft", "hard"), many=True, help="how, in turn"),
    Option(name="layer", type=Tap, help="where"),
    Option(name="layers", type=Tap, many=True, help="where"),
    Option(name="guide", type=PictureFile, default="", help="which picture"),
    Option(name="label", type=ClassName, help="which class"),
    Option(name="numbers", type=int, minimum=0, many=True, help="which"),
    Option(name="maybe", type=float, many=True, default=(), help="perhaps some"),
    Option(name="blurs", type=float, many=True, minimum=0.05, maximum=10, default=(1.0, 2.0), help="how soft"),
]
VALUES = [
    *(0, 1, 3, 5, 6, -1, 2**31, 0.5, -0.75, 11.5, True, False, "", "soft", "sof", "3", "mixed4c"),
    *([], [1], [0, 5], [0.5, 2], [11], [-1], ["soft"], ["soft", "odd"], [True], [[1]], {}, {"name": "soft"}),
]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_the_schema_takes_what_the_option_takes(option: Option) -> None:
    schema = option_schema(option)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    taken = 0
    for value in VALUES:
        try:
            coerce(option, value, lambda *keys: f"here{dotted(*keys)}")
        except BadOption:
            assert not validator.is_valid(value), value
        else:
            assert validator.is_valid(value), value
            taken += 1
    assert 0 < taken < len(VALUES)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_what_must_be_given_is_what_cannot_be_left_out(option: Option) -> None:
    try:
        fill([option], {}, dotted, of="this")
    except BadOption:
        assert is_needed(option)
    else:
        assert not is_needed(option)


def test_help_and_default_are_told() -> None:
    schema = option_schema(OPTIONS[0])
    assert (schema["description"], schema["default"]) == ("how many", 2)
    assert option_schema(OPTIONS[-1])["default"] == [1.0, 2.0]
    assert "default" not in option_schema(OPTIONS[1])


def test_a_table_refuses_other_keys() -> None:
    validator = Draft202012Validator(table_schema(OPTIONS[:2]))
    assert validator.is_valid({"count": 3})
    assert not validator.is_valid({"cuont": 3})


def test_offers_refuse_nothing_and_tell_what_differs_between_records() -> None:
    one = Option(name="size", type=int, help="of the blur")
    other = Option(name="size", type=str, choices=("small", "large"), help="of the frame")
    offer = offers({"blur": (one,), "frame": (other,), "grey": ()}, {"blur": "Blur", "frame": "Frame", "grey": "Grey"})
    validator = Draft202012Validator(offer)
    for value in ("other", {"name": "other", "size": 3.5, "more": []}, {"name": "frame", "size": "small"}):
        assert validator.is_valid(value)
    assert offer["properties"]["size"]["description"] == "blur: of the blur\n\nframe: of the frame"
    assert offer["properties"]["size"]["anyOf"][0]["enum"] == ["small", "large"]
    assert offer["anyOf"][0]["enum"] == ["blur", "frame", "grey"]
    assert offer["anyOf"][0]["x-taplo"]["docs"]["enumValues"] == ["Blur", "Frame", "Grey"]


def test_a_list_without_any_record_takes_the_empty_list_alone() -> None:
    validator = Draft202012Validator(listed("sinks", {}))
    assert validator.is_valid([])
    assert not validator.is_valid(["any"])
    assert not validator.is_valid("any")
