"""``deepdream bench``: a table and a chart for people, JSON for programs, one message for what cannot be measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from deepdream_daemon.commands.bench import _chart
from tests.daemon.cli import deepdream, nowhere

__all__ = ["nowhere"]  # a fixture that holds for every test here

LIGHT = """
[recipes.light]
base = "edges"
octaves = 1
steps = 1
margin = 0
postfilters = []
objective = { name = "l2", layer = "conv1" }

[recipes.guided]
base = "light"
objective = { name = "guide", layer = "conv1" }

[recipes.smooth]
base = "light"
objective = "-1 * tv"
"""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Measure small pictures, by recipes that take no time."""
    monkeypatch.setattr("deepdream_engine.benchmark.short.SIZE", (96, 128))
    monkeypatch.setattr("deepdream_engine.benchmark.short.FOLDER_PIXELS", 64 * 48)
    monkeypatch.setattr("deepdream_daemon.commands.bench.PHOTO_PX", (72, 96))
    (tmp_path / "config.toml").write_text(LIGHT)


def test_it_prints_what_was_measured_and_a_bar_for_each() -> None:
    result = deepdream("bench", "--recipe", "light", "--seconds", "1")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("deepdream ")
    assert "threads" in lines[0]
    assert "dreamnet to conv1" in lines[1]
    assert any(line.startswith("plain script, fp32") for line in lines)
    assert any("of equal sizes' rate" in line for line in lines)
    bars = [line for line in lines if "#" in line]
    assert len(bars) >= 4
    assert max(line.count("#") for line in bars) == 44
    assert "A 'light' dream of 96 × 72 pixels takes" in result.stdout


def test_programs_get_all_of_it() -> None:
    data = json.loads(deepdream("bench", "--recipe", "light", "--seconds", "1", "--json").stdout)
    assert data["recipe"] == "light"
    assert data["machine"]["threads"] >= 1
    assert data["single"]["runs"]["naive"]["speedup"]["median"] == 1
    assert data["single"]["runs"]["fp32"]["speedup"]["median"] > 0
    assert data["mixed"]["share"]["median"] > 0
    assert data["dream"]["size"] == [72, 96]
    assert data["dream"]["measured"] > 0


def test_a_recipe_that_needs_a_guide_gets_one() -> None:
    result = deepdream("bench", "--recipe", "guided", "--seconds", "1", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["single"]["tap"] == "conv1"


def test_a_recipe_without_a_network_is_refused() -> None:
    result = deepdream("bench", "--recipe", "smooth")
    assert result.exit_code == 2
    assert result.stderr == (
        "deepdream: recipe 'smooth' uses no network, so there is nothing to measure. Choose another.\n"
    )


def test_an_unknown_recipe_is_named_with_its_nearest() -> None:
    result = deepdream("bench", "--recipe", "clasic")
    assert result.exit_code == 2
    assert "Did you mean 'classic'?" in result.stderr


def test_bars_end_in_eighths_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "47")  # of which the bars get 32
    _chart([("slow", 1.0), ("quick", 8.0), ("odd", 4.1), ("none", 0.0)])
    slow, quick, odd, none = (re.sub(r"\x1b\[\d*m", "", line) for line in capsys.readouterr().out.splitlines())
    assert slow == f"slow   {'█' * 4} 1.00"
    assert quick == f"quick  {'█' * 32} 8.00"
    assert odd == f"odd    {'█' * 16}▍ 4.10"
    assert none == "none   ▏ 0.00"
