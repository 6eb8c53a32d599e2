"""Errors about a TOML file name the line, whichever of TOML's many ways wrote the key."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdream_engine.errors import BadOption
from deepdream_plugins.toml_source import TomlSource

TEXT = dedent(
    '''\
    # a comment with [brackets] = and "quotes"
    top = 1

    [recipes.deep]
    octaves = 6  # six
    objective.layer = "mixed4c"
    text = """
    fake = 1
    [fake]
    """
    raw = \'\'\'
    it's = "fake"\'\'\'
    filters = [
      "sharpen",  # ] not the end
      { name = "blend", amount = 0.2 },
      [1, 2,
       3],
    ]
    when = 1979-05-27 07:32:00
    after = true
    "quoted.key" = { 'inner' = "}" , deep = { er = 1 } }

    [[folders]]
    input = "in"
    [folders.engine]
    tile = 3
    [[folders]]
    input = "other"
    [[folders.more]]
    x = 1
    [[folders.more]]
    x = 2
    '''
)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (("top",), "2: top"),
        (("recipes", "deep"), "4: recipes.deep"),
        (("recipes", "deep", "octaves"), "5: recipes.deep.octaves"),
        (("recipes", "deep", "objective"), "6: recipes.deep.objective"),
        (("recipes", "deep", "objective", "layer"), "6: recipes.deep.objective.layer"),
        (("recipes", "deep", "text"), "7: recipes.deep.text"),
        (("recipes", "deep", "raw"), "11: recipes.deep.raw"),
        (("recipes", "deep", "filters"), "13: recipes.deep.filters"),
        (("recipes", "deep", "filters", 0), "14: recipes.deep.filters[0]"),
        (("recipes", "deep", "filters", 1, "amount"), "15: recipes.deep.filters[1].amount"),
        (("recipes", "deep", "filters", 2, 2), "17: recipes.deep.filters[2][2]"),
        (("recipes", "deep", "after"), "20: recipes.deep.after"),
        (("recipes", "deep", "quoted.key", "deep", "er"), '21: recipes.deep."quoted.key".deep.er'),
        (("folders", 0, "input"), "24: folders[0].input"),
        (("folders", 0, "engine", "tile"), "26: folders[0].engine.tile"),
        (("folders", 1, "input"), "28: folders[1].input"),
        (("folders", 1, "more", 1, "x"), "32: folders[1].more[1].x"),
    ],
)
def test_every_key_has_its_line(keys: tuple[str | int, ...], expected: str) -> None:
    assert TomlSource.parse(TEXT, "config.toml").where(*keys) == f"config.toml:{expected}"


def test_an_absent_key_has_the_line_of_its_closest_parent() -> None:
    source = TomlSource.parse(TEXT, "config.toml")
    assert source.where("recipes", "deep", "no", "such") == "config.toml:4: recipes.deep.no.such"
    assert source.where("nothing") == "config.toml: nothing"
    assert source.where() == "config.toml"


def test_windows_line_ends_count_once() -> None:
    source = TomlSource.parse(TEXT.replace("\n", "\r\n"), "c")
    assert source.where("folders", 1, "more", 1, "x").startswith("c:32:")


@pytest.mark.parametrize(
    ("text", "place"),
    [("a = 1\nb = = 2\n", "c.toml:2:5: "), ("a = [1,\n", "c.toml:"), ("a = 1\na = 2\n", "c.toml:2:")],
)
def test_a_syntax_error_names_line_and_column(text: str, place: str) -> None:
    with pytest.raises(BadOption, match="TOML syntax") as caught:
        TomlSource.parse(text, "c.toml")
    assert str(caught.value).startswith(place)


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("a = deep", "Text goes in quotes"),
        ("a = [1,", "a list ends with ]"),
        ("a", "A line is key = value"),
        ("= 3", "A line is key = value"),
        ("a = 1 b = 2", "a line of its own"),
        ("a = 1\na = 2", "keep one"),
        ("[a]\n[a]", "keep one"),
        ("a = { b = 1, b = 2 }", "keep one"),
        ("a = [1 2]", "commas between"),
        ("a = { b = 1", "with }"),
        ("a = { = 1 }", "written { key = value"),
        ("a = 'x", "Close the text"),
        ('a = "x\nb = 1', "Close the text"),
        (r'a = "C:\Users\me"', "double the backslash"),
        ("[a", "Close the bracket"),
        (r'a = "\uD800"', "Correct this line"),
    ],
)
def test_a_syntax_error_says_what_to_do(text: str, cure: str) -> None:
    with pytest.raises(BadOption) as caught:
        TomlSource.parse(text, "c.toml")
    assert cure in str(caught.value)


def test_absurd_nesting_is_an_error_like_any_other() -> None:
    with pytest.raises(BadOption):
        TomlSource.parse("a = " + "[" * 50_000 + "]" * 50_000, "c.toml")


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"No such file or directory\. It must be a file that you may read\."):
        TomlSource.read(tmp_path / "none.toml")
    with pytest.raises(BadOption, match="directory"):
        TomlSource.read(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'a = 1\nb = "\xe4"\n')
    with pytest.raises(BadOption, match=r"latin\.toml:2: not UTF-8"):
        TomlSource.read(latin)
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * 1_000_001)
    with pytest.raises(BadOption, match="larger"):
        TomlSource.read(large)


def test_a_byte_order_mark_is_forgiven(tmp_path: Path) -> None:
    path = tmp_path / "notepad.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert TomlSource.read(path).data == {"a": 1}


_KEYS = st.text("abc", min_size=1, max_size=3)
_SCALARS = st.one_of(
    st.integers(-99, 99).map(str),
    st.sampled_from(['"""x\ny"""', '""""q""""', "'''z\n'''", '"\\""', "'#'", "1.5e3", "2020-01-01 10:00:00", "[]"]),
)


@given(st.lists(st.tuples(_KEYS, _SCALARS), unique_by=lambda pair: pair[0], max_size=8))
def test_any_mixture_of_values_leaves_the_lines_right(pairs: list[tuple[str, str]]) -> None:
    lines: dict[str, int] = {}
    text = ""
    for key, value in pairs:
        lines[key] = text.count("\n") + 1
        text += f"{key} = {value}  # {key}\n"
    source = TomlSource.parse(text, "c")
    assert {key: source.where(key) for key in lines} == {key: f"c:{n}: {key}" for key, n in lines.items()}


def test_keys_are_found_in_tables_that_span_lines() -> None:
    source = TomlSource.parse("[r]\na = {\n  b = 1,  # one\n  c = { d = 2,\n    e = 3 },\n}\nf = 4\n", "x.toml")
    assert source.where("r", "a", "c", "e") == "x.toml:5: r.a.c.e"
    assert source.where("r", "f") == "x.toml:7: r.f"
