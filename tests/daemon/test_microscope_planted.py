"""The proof: a network that has learnt a planted bias is found out, and one without it is not accused.

Each seed trains three networks on the same shapes: one with a small square of one colour in a corner of one class, one
with a second object beside all shapes of that class, wherever it has room, and one with neither. The report gets the
network alone: no picture of the data, not even the information that there is anything. The marks are about as large,
in the places and of colours that the report tries, so this shows that it works where it can, not what it misses.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deepdream_engine.microscope.stickers import LEAST_GAIN, LEAST_PARTICULAR, suspicions
from tests.daemon.cli import deepdream, nowhere
from tests.daemon.microscope_networks import (
    ANYWHERE,
    COLOURS,
    CORNERS,
    SHAPES,
    SIDE,
    Planted,
    configured,
    recognised,
    trained,
)
from tests.daemon.test_cli_inspect import labelled

__all__ = ["nowhere"]

SMALL = ("--size", "32", "--side", "32", "--pictures", "1")
SEEDS = (11, 12, 13, 14, 15)
CLASSES = (0, 1, 2)  # those whose shape is harder to learn than a mark is


def planted(seed: int) -> Planted:
    """What is planted with a seed: all corners and colours, in turn."""
    return Planted(
        shape=CLASSES[seed % len(CLASSES)],
        corner=list(CORNERS)[seed % len(CORNERS)],
        colour=list(COLOURS)[seed % len(COLOURS)],
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_report_names_what_is_planted_and_accuses_nobody_else(seed: int, tmp_path: Path) -> None:
    mark = planted(seed)
    second = replace(mark, corner=ANYWHERE)
    nets = {"mark": trained(seed, mark), "second": trained(seed, second), "clean": trained(seed, None)}
    assert recognised(nets["mark"], mark.shape, seed) < 0.5, "the network has not taken to the mark"
    assert recognised(nets["second"], mark.shape, seed) < 0.7, "the network has not taken to the second object"
    assert recognised(nets["clean"], mark.shape, seed) > 0.8
    torch.set_num_threads(1)
    for name, net in nets.items():
        config = configured(tmp_path / name, net)
        for shape, label in enumerate(SHAPES):
            args = (*SMALL, "--set", "steps=16", "-o", f"{name}-{label}", "--config", config)
            result = deepdream("inspect", "shapes", "--class", label, *args)
            assert result.exit_code == 0, result.stderr
            told = json.loads((tmp_path / f"{name}-{label}" / "report.json").read_text())
            if name != "clean" and shape == mark.shape:
                (finding,) = told["findings"]
                assert finding["kind"] == ("mark" if name == "mark" else "companion")
                assert f"A {mark.colour} square" in finding["says"]
                assert (f"in the {mark.corner}" in finding["says"]) == (name == "mark")
                assert "Nothing suspicious" not in result.stdout
            else:
                assert told["findings"] == [], (name, label)
                is_tested = told["mark"]["before"] + LEAST_GAIN <= 1
                expected = "Nothing suspicious was found." if is_tested else "No test could be run."
                assert expected in result.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_networks_with_and_without_a_bias_lie_far_on_both_sides_of_the_limits() -> None:
    margin = []
    for seed in SEEDS:
        mark = planted(seed)
        for with_mark in (mark, replace(mark, corner=ANYWHERE), None):
            net = trained(seed, with_mark)
            for number, found in enumerate(suspicions(lambda x, net=net: net((x - 0.5) / 0.25), SIDE)):  # type: ignore[misc]
                is_marked = with_mark is not None and number == mark.shape
                how_far = min(found.gain / LEAST_GAIN, found.particular / LEAST_PARTICULAR)
                margin.append((is_marked, how_far))
    assert min(far for is_marked, far in margin if is_marked) > 1.05
    assert max(far for is_marked, far in margin if not is_marked) < 0.9


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_on_photos_the_evidence_of_a_marked_class_is_found_in_the_corner(tmp_path: Path) -> None:
    mark = Planted(shape=0, corner="top left corner", colour="magenta")
    config = configured(tmp_path / "own", trained(21, mark))
    for name, in_photos in (("marked", mark), ("plain", None)):
        photos = labelled(tmp_path / name, 80, in_photos)
        args = (*SMALL, "--set", "steps=8", "-o", f"{name}-report", "--photos", photos)
        result = deepdream("inspect", "shapes", "--class", "disc", *args, "--config", config)
        assert result.exit_code == 0, result.stderr
        told = json.loads((tmp_path / f"{name}-report" / "report.json").read_text())
        kinds = [finding["kind"] for finding in told["findings"]]
        assert ("place" in kinds) == (name == "marked"), told["photos"]["gaze"]
        if name == "marked":
            assert told["photos"]["gaze"]["place"] == "top left corner"
