"""The proof: a network that has learnt a planted bias is found out, and one without it is not accused.

Each seed trains three networks on the same shapes: one with a small square of one colour in a corner of one class, one
with a second object beside all shapes of that class, wherever it has room, and one with neither. The report gets the
network alone: no picture of the data, not even the information that there is anything. How it does with marks of other
sizes, places, colours and forms ``tests/benchmarks/bench_bias.py`` measures.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deepdream_engine.microscope.suspicion import LEAST_GAIN, suspicion
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
        corner=CORNERS[seed % len(CORNERS)],
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
                assert finding["says"].startswith((f"A {mark.colour} square", f"A {mark.colour} rectangle"))
                if name == "mark":
                    assert f"in the {mark.corner}" in finding["says"]
                else:
                    assert finding["kind"] == "companion"
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
            for number in range(len(SHAPES)):
                found = suspicion(lambda x, net=net: net((x - 0.5) / 0.25), SIDE, number)  # type: ignore[misc]
                margin.append((with_mark is not None and number == mark.shape, found.strength))
    assert min(far for is_marked, far in margin if is_marked) > 1.05
    assert max(far for is_marked, far in margin if not is_marked) < 0.9


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
def test_on_photos_the_evidence_of_a_marked_class_is_found_in_the_corner(seed: int, tmp_path: Path) -> None:
    mark = planted(seed)
    label = SHAPES[mark.shape]
    photos = {"marked": labelled(tmp_path / "marked", 80, mark), "plain": labelled(tmp_path / "plain", 80, None)}
    for net, with_mark in (("biased", mark), ("clean", None)):
        config = configured(tmp_path / net, trained(seed, with_mark))
        for name, folder in photos.items():
            args = (*SMALL, "--set", "steps=8", "-o", f"{net}-{name}", "--photos", folder, "--config", config)
            result = deepdream("inspect", "shapes", "--class", label, *args)
            assert result.exit_code == 0, result.stderr
            told = json.loads((tmp_path / f"{net}-{name}" / "report.json").read_text())
            kinds = [finding["kind"] for finding in told["findings"]]
            assert ("place" in kinds) == ((net, name) == ("biased", "marked")), (net, name, told["photos"]["gaze"])
            if "place" in kinds:
                assert told["photos"]["gaze"]["place"] == mark.corner
