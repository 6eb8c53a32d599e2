"""What ``inspect`` says that it tested, how large it shows a network what, and what it need not look at again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from deepdream_daemon.microscope import showing
from deepdream_daemon.microscope.own_folder import OwnFolder
from deepdream_daemon.microscope.photos import Photos
from deepdream_daemon.microscope.studio import LOGITS, Subject
from deepdream_daemon.microscope.things import small_things
from deepdream_engine.microscope import suspicion
from deepdream_engine.microscope.occlusion import Evidence, Place
from deepdream_engine.microscope.outputs import read_output
from deepdream_engine.microscope.stickers import Sticker
from tests.daemon.cli import deepdream, nowhere, photo
from tests.daemon.microscope_networks import Shapes, configured
from tests.daemon.test_cli_inspect import QUICK, config, labelled
from tests.engine.test_microscope_outputs import magenta

__all__ = ["config", "nowhere"]

THINGS = "small coloured things that are enough by themselves"
PLACE = "evidence that photos have in the same place, off the middle"


def anywhere(pictures: Tensor) -> Tensor:
    """Return the logit ``(N, 1)`` of how much of a picture is magenta, the lower left a little more than the rest."""
    red, green, blue = pictures.unbind(1)
    counted = (torch.minimum(red, blue) - green - 0.6).clamp_min(0)
    counted[:, 16:, :16] *= 1.1
    return counted.sum((1, 2))[:, None] - 2


def inspected(*args: str | Path) -> tuple[dict[str, Any], list[str]]:
    """Return the report, and the lines that are printed below the page's place."""
    result = deepdream("inspect", "shapes", *args, *QUICK, "-o", "report")
    assert result.exit_code == 0, result.stderr
    told: dict[str, Any] = json.loads(Path("report", "report.json").read_text())
    lines = result.stdout.splitlines()[1:]
    assert told["verdict"] == lines
    page = Path("report", "index.html").read_text()
    assert json.dumps(lines[-1])[1:-1] in page
    assert not [test for test in told["tests"] if test["ran"] == bool(test["why_not"])]
    return told, lines


def test_without_any_test_nothing_is_said_to_be_absent(config: Path) -> None:
    told, lines = inspected("--channel", "c3:5", "--config", config)
    assert [test["ran"] for test in told["tests"]] == [False, False]
    assert lines[0] == "No test could be run."
    assert lines[1].startswith(f"Not tested for: {THINGS}: a channel has no probability")
    assert lines[2] == f"Not tested for: {PLACE}: it is looked for in photos: --photos FOLDER."
    assert not [line for line in lines if "Nothing suspicious" in line]


def test_what_was_tested_is_said(config: Path) -> None:
    told, lines = inspected("--class", "cross", "--config", config)
    assert [test["ran"] for test in told["tests"]] == [True, False]
    assert lines[:2] == ["Nothing suspicious was found.", f"Tested for: {THINGS}."]
    assert lines[2].startswith(f"Not tested for: {PLACE}: ")


@pytest.mark.parametrize(("count", "ran"), [(5, False), (6, True)])
def test_a_place_is_looked_for_in_six_photos_at_least(count: int, ran: bool, config: Path, tmp_path: Path) -> None:
    for number in range(count):
        photo(tmp_path / "photos" / f"{number}.png", seed=number, width=48, height=40)
    told, lines = inspected("--class", "cross", "--photos", tmp_path / "photos", "--config", config)
    assert [test["ran"] for test in told["tests"]] == [True, ran]
    assert (f"there are {count}." in lines[-1]) != ran
    assert ("Not tested" in lines[-1]) != ran


def test_a_class_that_is_probable_already_is_said_not_to_be_tested(tmp_path: Path) -> None:
    net = Shapes(width=8).eval().requires_grad_(False)
    net.fc.bias[3] += 9
    own = configured(tmp_path / "own", net, "small_shapes")
    _, lines = inspected("--class", "cross", "--config", own)
    assert lines[0] == "No test could be run."
    assert "'cross' has a probability of 100% on pictures of nothing already" in lines[1]


def test_photos_and_small_things_are_as_large_as_in_evaluation_whatever_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(tmp_path / "photos" / "1.png")
    sides: set[tuple[str, int]] = set()
    reading, reading_whole = Photos.read, Photos.read_whole

    def looked(_evidence: Any, side_px: int, _number: int, **_: Any) -> suspicion.Suspicion:
        sides.add(("things", side_px))
        grey = Sticker(0, 0, 6, 6, (0.5, 0.5, 0.5))
        place = Place(0.0, 0.0, 0.1, 0.1)
        return suspicion.Suspicion(sticker=grey, place=place, before=0.1, gain=0.0, particular=0.0, places=("middle",))

    def read(self: Photos, name: str, side_px: int) -> Tensor | None:
        sides.add(("photos", side_px))
        return reading(self, name, side_px)

    def read_whole(self: Photos, name: str, shorter_px: int) -> Tensor | None:
        sides.add(("whole", shorter_px))
        return reading_whole(self, name, shorter_px)

    monkeypatch.setattr(suspicion, "suspicion", looked)
    monkeypatch.setattr(Photos, "read", read)
    monkeypatch.setattr(Photos, "read_whole", read_whole)
    args = ("--size", "40", "--set", "steps=1", "--pictures", "1", "--photos", "photos", "-o", "report")
    result = deepdream("inspect", "dreamnet", "--class", "5", *args)
    assert result.exit_code == 0, result.stderr
    assert sides == {("things", 64), ("photos", 64), ("whole", 64)}
    assert json.loads((tmp_path / "report" / "report.json").read_text())["side_px"] == 64
    refused = deepdream("inspect", "dreamnet", "--class", "5", "--side", "16")
    assert refused.exit_code == 2
    assert "--side 16: model 'dreamnet' needs 32 pixels at least" in refused.stderr


def test_small_things_are_looked_for_once(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = inspected("--class", "cross", "--config", config)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("looked for again")

    monkeypatch.setattr(suspicion, "suspicion", never)
    assert inspected("--class", "cross", "--config", config) == first
    other = deepdream(
        "inspect", "shapes", "--class", "cross", *QUICK, "--side", "40", "-o", "report", "--config", config
    )
    assert other.exit_code == 2
    assert "was made otherwise" in other.stderr


@pytest.mark.parametrize(
    ("evidence", "kind", "where"),
    [(magenta, "mark", "in the top left corner"), (anywhere, "companion", "at 9 of 9 places")],
)
def test_what_is_enough_for_a_network_of_one_class_is_told(
    evidence: Evidence, kind: str, where: str, tmp_path: Path
) -> None:
    folder, done = OwnFolder(tmp_path / "kept", "state.json", "own"), list[float]()
    subject = Subject(layer=LOGITS, number=0, name="wanted")
    _, (finding,), check = small_things(read_output(evidence, 32), subject, 32, folder, done.append)
    assert (finding["kind"], check.why_not) == (kind, "")
    assert finding["says"].startswith("A magenta ")
    assert where in finding["says"]
    assert done[-1] == 1


def test_a_class_is_looked_for_and_compared_in_one_look(tmp_path: Path) -> None:
    photos, looks = Photos(labelled(tmp_path / "photos", 10), 10.0), []

    def evidence(pictures: Tensor) -> Tensor:
        looks.append(len(pictures))
        return torch.stack([pictures.mean((1, 2, 3)), -pictures.mean((1, 2, 3))], dim=1)

    folder = OwnFolder(tmp_path / "kept", "state.json", "own")
    shown = showing.show(photos, evidence, 1, evidence, side_px=32, folder=folder, on_progress=lambda _: None)
    assert sum(looks) == 10
    assert {first for _, first in shown.scores.values()} == {0}
