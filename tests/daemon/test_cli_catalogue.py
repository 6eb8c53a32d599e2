"""Pages about records: what a name means, what its options may be, and lines of a configuration that work."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from deepdream_daemon.configuration.assembly import assemble
from tests.daemon.cli import deepdream, nowhere

__all__ = ["nowhere"]

COMMANDS = ("models", "objectives", "ascents", "transforms", "schedules", "filters", "sinks")

PLUGIN = """
from deepdream_plugins import FilterSpec, Option, hookimpl


def carve(pictures, context, *, depth, title):
    return pictures


@hookimpl
def deepdream_postfilters():
    options = (
        Option(name="depth", type=int, minimum=1, maximum=3, help="how deep"),
        Option(name="title", type=str, help="what to carve"),
    )
    yield FilterSpec(name="resize", help="Carve it", apply=carve, options=options)
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_record_has_a_page_of_80_columns_with_all_its_options(command: str) -> None:
    listed = json.loads(deepdream(command, "--json").stdout)
    assert listed
    for name in dict.fromkeys(each["name"] for each in listed):
        result = deepdream(command, name)
        assert result.exit_code == 0, result.stderr
        lines = result.stdout.splitlines()
        assert all(len(line) <= 80 for line in lines), name
        for record in [each for each in listed if each["name"] == name]:
            words = " ".join(result.stdout.split())
            assert " ".join(record["help"].split()) in words
            assert record["owner"] in lines[0]
            for option in record.get("options", []):
                assert any(line.split()[:1] == [option["name"]] for line in lines), (name, option["name"])


@pytest.mark.parametrize("command", COMMANDS)
def test_the_lines_of_every_page_load(tmp_path: Path, command: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for record in json.loads(deepdream(command, "--json").stdout):
        page = deepdream(command, record["name"]).stdout
        lines = page.split("In config.toml:\n", 1)[1].split("\n\nPre-filter", 1)[0].split("\n\nPost-filter", 1)[0]
        text = "\n".join(line.removeprefix("  ") for line in lines.splitlines())
        assert record["name"] in str(tomllib.loads(text))
        path = tmp_path / "config.toml"
        path.write_text(text)
        assembly = assemble(path, to_run=command == "sinks")
        if command != "sinks":
            assembly.book.resolve("mine")
        else:
            ((entry,),) = assembly.sinks.values()
            assert entry.sink is not None
            assert entry.sink.spec.name == record["name"]
        path.unlink()


def test_a_page_says_type_bounds_default_and_what_must_be_given() -> None:
    page = " ".join(deepdream("objectives", "channel").stdout.split())
    assert page.startswith("Objective channel, of the plugin objectives")
    assert "channel its number, from 0 [an integer, at least 0; required]" in page
    assert 'objective] name = "channel" channel = 0' in page
    page = " ".join(deepdream("filters", "sharpen").stdout.split())
    assert "[a number from 0 to 5; default: 0.6]" in page


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_a_name_is_its_page(flag: str) -> None:
    assert deepdream("ascents", "smooth", flag).stdout == deepdream("ascents", "smooth").stdout
    assert deepdream("ascents", flag, "smooth").stdout == deepdream("ascents", "smooth").stdout
    assert deepdream("ascents", flag).stdout.startswith("Usage: deepdream ascents")


def test_an_objective_that_cannot_stand_alone_is_shown_in_a_sum() -> None:
    page = deepdream("objectives", "pull_l1").stdout
    assert "add it to another objective" in page
    assert 'objective = "l2 + 0.5 * added"' in page


def test_a_model_says_its_weights_and_how_to_see_more() -> None:
    page = deepdream("models", "dreamnet").stdout
    assert "deepdream layers dreamnet" in page
    assert "deepdream classes dreamnet" in page
    assert "200 classes" in page
    assert "mixed4d" in page


def test_one_name_of_two_kinds_has_two_pages(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "carve.py").write_text(PLUGIN.replace('name="resize"', 'name="noise"'))
    (tmp_path / "config.toml").write_text('[plugins]\nfolder = "mine"\n')
    page = deepdream("filters", "noise").stdout
    assert "Pre-filter noise, of the plugin filters" in page
    assert "Post-filter noise, of the plugin carve" in page
    assert 'title = "..."' in page
    assert "depth = 1\n" in page
    assert [each["kind"] for each in json.loads(deepdream("filters", "noise", "--json").stdout)] == [
        "prefilter",
        "postfilter",
    ]


def test_a_page_is_shown_whatever_is_wrong_with_the_check_of_a_sink(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "odd.py").write_text(
        "from deepdream_plugins import Option, SinkSpec, hookimpl\n\n\n"
        "def check(*, url):\n    raise ZeroDivisionError(url)\n\n\n"
        "def deliver(delivery, *, url):\n    pass\n\n\n"
        "@hookimpl\ndef deepdream_sinks():\n"
        '    options = (Option(name="url", type=str, help="where to"),)\n'
        '    yield SinkSpec(name="odd", help="Odd", deliver=deliver, check=check, options=options)\n'
    )
    (tmp_path / "config.toml").write_text('[plugins]\nfolder = "mine"\n')
    result = deepdream("sinks", "odd")
    assert result.exit_code == 0, result.stderr
    assert 'url = "..."' in result.stdout


@pytest.mark.parametrize(
    ("command", "name", "said"),
    [
        ("objectives", "chanel", "unknown objective 'chanel'. Did you mean 'channel'?"),
        ("filters", "sharpn", "unknown filter 'sharpn'. Did you mean 'sharpen'?"),
        ("models", "dreamnte", "unknown model 'dreamnte'. Did you mean 'dreamnet'?"),
        ("sinks", "webhok", "unknown sink 'webhok'. Did you mean 'webhook'?"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(command: str, name: str, said: str) -> None:
    for result in (deepdream(command, name), deepdream(command, name, "--json"), deepdream(command, name, "--help")):
        assert result.exit_code == 2
        assert result.stdout == ""
        assert said in result.stderr
