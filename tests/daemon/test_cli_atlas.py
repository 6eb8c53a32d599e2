"""``atlas``: every channel's picture, in a folder that can be gone on with and a page that needs nothing else."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepdream_daemon.configuration.assembly import assemble
from deepdream_daemon.layers import list_layers
from deepdream_daemon.microscope import excitement
from deepdream_daemon.microscope.channels import plan
from deepdream_daemon.microscope.studio import Studio
from deepdream_engine.pictures import read_provenance
from tests.daemon.cli import COMMAND, ENVIRONMENT, deepdream, nowhere, photo, wait_until
from tests.daemon.microscope_networks import Shapes, configured, with_a_dead_channel

__all__ = ["nowhere"]

QUICK = ("--size", "32", "--set", "steps=2")


def facts_of(page: Path) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="facts">(.*?)</script>', page.read_text(), re.DOTALL)
    facts: dict[str, Any] = json.loads(text)
    return facts


def pictures(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted((folder / "pictures").rglob("*.jpg"))}


def test_an_atlas_has_pictures_sheets_and_a_page(tmp_path: Path) -> None:
    result = deepdream("atlas", "dreamnet", "--layers", "conv2,logits", "--channels", "3", *QUICK)
    folder = tmp_path / "dreamnet.atlas"
    assert (result.exit_code, result.stdout) == (0, f"{folder / 'index.html'}\n"), result.stderr
    assert "conv2: 3 channels drawn after" in result.stderr
    facts = facts_of(folder / "index.html")
    assert [(layer["name"], layer["total"], len(layer["channels"])) for layer in facts["layers"]] == [
        ("conv2", 64, 3),
        ("logits", 200, 3),
    ]
    for layer in facts["layers"]:
        for channel in layer["channels"]:
            with Image.open(folder / channel["file"]) as picture:
                assert picture.size == (32, 32)
        with Image.open(folder / "sheets" / f"{layer['name']}.png") as sheet:
            assert np.asarray(sheet.convert("L")).std() > 5
    elephant = next(channel for channel in facts["layers"][1]["channels"] if channel["number"] == 57)
    assert elephant["name"] == "African elephant"
    page = (folder / "index.html").read_text()
    assert not re.findall(r"https?://|src=\"(?!\{)[^d]", page), "it is to need nothing from elsewhere"


def test_a_picture_tells_how_it_was_made(tmp_path: Path) -> None:
    deepdream("atlas", "dreamnet", "--layers", "conv2", "--channels", "1", *QUICK)
    ((name, data),) = pictures(tmp_path / "dreamnet.atlas").items()
    told = read_provenance(data)
    assert told is not None
    assert told["recipe"]["objective"]["channel"] == int(Path(name).stem)  # type: ignore[index]
    assert told["recipe"]["objective"]["layer"] == "conv2"  # type: ignore[index]


def test_more_channels_are_added_and_what_is_there_is_kept(tmp_path: Path) -> None:
    deepdream("atlas", "dreamnet", "--layers", "conv2", "--channels", "3", *QUICK)
    folder = tmp_path / "dreamnet.atlas"
    before = {name: (folder / name).stat().st_mtime_ns for name in pictures(folder)}
    result = deepdream("atlas", "dreamnet", "--layers", "conv2", "--channels", "5", *QUICK)
    assert "2 channels drawn, 3 were there" in result.stderr
    after = pictures(folder)
    assert len(after) == 5
    assert {name: (folder / name).stat().st_mtime_ns for name in before} == before


def test_an_atlas_that_was_interrupted_has_a_page_and_goes_on_with_the_same_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("atlas", "dreamnet", "--layers", "conv2", "--channels", "6", *QUICK)
    deepdream(*args, "-o", "whole")
    encoded, calls = Studio.encoded, []

    def interrupted(*args: Any) -> bytes:
        calls.append(args)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return encoded(*args)

    with monkeypatch.context() as patched:
        patched.setattr(Studio, "encoded", interrupted)
        result = deepdream(*args, "-o", "stopped")
    assert result.exit_code == 130
    assert "the same command goes on with it" in result.stderr
    assert len(facts_of(tmp_path / "stopped" / "index.html")["layers"][0]["channels"]) == 3
    assert "3 channels drawn, 3 were there" in deepdream(*args, "-o", "stopped").stderr
    assert pictures(tmp_path / "stopped") == pictures(tmp_path / "whole")


@pytest.mark.slow
def test_an_atlas_that_was_killed_goes_on_with_the_same_pictures(tmp_path: Path) -> None:
    args = ("atlas", "dreamnet", "--layers", "conv2", "--channels", "12", "--size", "32", "--set", "steps=40")
    deepdream(*args, "-o", "whole")
    with subprocess.Popen(
        [*COMMAND, *args, "-o", "killed"], env=ENVIRONMENT, cwd=tmp_path, stderr=-3, stdout=-3
    ) as run:
        wait_until(lambda: (tmp_path / "killed" / "pictures").is_dir() and len(pictures(tmp_path / "killed")) >= 3)
        os.kill(run.pid, signal.SIGKILL)
    assert len(pictures(tmp_path / "killed")) < 12
    assert deepdream(*args, "-o", "killed").exit_code == 0
    assert pictures(tmp_path / "killed") == pictures(tmp_path / "whole")
    assert facts_of(tmp_path / "killed" / "index.html") == facts_of(tmp_path / "whole" / "index.html")


def test_channels_are_ordered_by_how_much_a_photo_excites_them(tmp_path: Path) -> None:
    photo(tmp_path / "<b>.png")
    result = deepdream(
        "atlas", "dreamnet", "--layers", "conv2", "--channels", "6", "--photo", "<b>.png", *QUICK, "--json"
    )
    told = json.loads(result.stdout)
    page = Path(told["page"])
    assert "<b>" not in page.read_text(), "a name may not become markup"
    (shown,) = facts_of(page)["photos"]
    assert shown["name"] == "<b>.png"
    assert shown["thumb"].startswith("data:image/jpeg;base64,")
    assert len(shown["excites"]["conv2"]) == 6
    assert len(set(shown["excites"]["conv2"])) > 3
    # A channel's own picture excites it fully.
    own = page.parent / told["layers"][0]["channels"][2]["file"]
    again = json.loads(
        deepdream("atlas", "dreamnet", "--layers", "conv2", "--channels", "6", "--photo", own, *QUICK, "--json").stdout
    )
    assert again["photos"][0]["excites"]["conv2"][2] == pytest.approx(1, abs=0.01)


def test_the_recipe_on_the_page_dreams(tmp_path: Path) -> None:
    """The page's script makes them from these parts."""
    photo(tmp_path / "photo.png")
    objective = '{ name = "channel", layer = "mixed3b", channel = 12 }'
    (tmp_path / "config.toml").write_text(
        f'[recipes.dreamnet-mixed3b-12]\nbase = "classic"\nmodel = "dreamnet"\nobjective = {objective}\n'
    )
    short = ("--set", "octaves=1", "--set", "steps=1")
    config = ("--config", "config.toml")
    assert deepdream("dream", "photo.png", "-r", "dreamnet-mixed3b-12", *short, *config).exit_code == 0
    result = deepdream("dream", "photo.png", "--set", "model=dreamnet", "--set", f"objective={objective}", *short)
    assert result.exit_code == 0, result.stderr


def test_a_channel_that_nothing_excites_is_named_and_not_tried_again(tmp_path: Path) -> None:
    config = configured(tmp_path / "own", with_a_dead_channel(), "with_a_dead_channel")
    args = ("atlas", "shapes", "--layers", "c1", "--channels", "all", *QUICK, "--config", config)
    result = deepdream(*args)
    assert result.exit_code == 0, result.stderr
    (layer,) = facts_of(tmp_path / "shapes.atlas" / "index.html")["layers"]
    assert layer["silent"] == [0]
    assert [channel["number"] for channel in layer["channels"]] == [1, 2, 3]
    assert "drawn" not in deepdream(*args).stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("nonet",), "unknown model 'nonet'"),
        (("dreamnet", "--layers", "mixed9"), "unknown layer 'mixed9'"),
        (("dreamnet", "--channels", "0"), "neither a number from 1 nor 'all'"),
        (("dreamnet", "--set", "stepps=3"), "unknown recipe option 'stepps'"),
        (("dreamnet", "--set", "model.weights=no.pt"), "no.pt"),
    ],
)
def test_mistakes_are_named_before_anything_is_drawn(args: tuple[str, ...], says: str, tmp_path: Path) -> None:
    result = deepdream("atlas", *args)
    assert result.exit_code == 2
    assert says in result.stderr
    assert not (tmp_path / "dreamnet.atlas" / "pictures").exists()


def test_a_folder_of_other_things_and_one_of_another_atlas_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    args = ("atlas", "dreamnet", "--layers", "conv2", "--channels", "1")
    result = deepdream(*args, *QUICK, "-o", "mine")
    assert (result.exit_code, [path.name for path in (tmp_path / "mine").iterdir()]) == (2, ["thesis.txt"])
    assert "holds other things ('thesis.txt' …)" in result.stderr
    deepdream(*args, *QUICK, "-o", "atlas")
    before = pictures(tmp_path / "atlas")
    other = deepdream(*args, "--size", "40", "--set", "steps=2", "-o", "atlas")
    assert other.exit_code == 2
    assert "was made otherwise" in other.stderr
    assert pictures(tmp_path / "atlas") == before


@pytest.mark.parametrize(
    ("name", "code", "says"), [("no.png", 1, "--photo"), ("nowhere.png", 2, "--photo"), (".", 2, "--photo")]
)
def test_a_photo_that_cannot_be_read_is_told_before_anything_is_drawn(
    name: str, code: int, says: str, tmp_path: Path
) -> None:
    (tmp_path / "no.png").write_bytes(b"no picture")
    args = ("atlas", "dreamnet", "--layers", "conv2", "--channels", "2", *QUICK)
    result = deepdream(*args, "--photo", name)
    assert result.exit_code == code
    assert says in result.stderr
    assert name in result.stderr
    assert not (tmp_path / "dreamnet.atlas").exists()


def test_a_page_has_what_all_runs_have_drawn(tmp_path: Path) -> None:
    photo(tmp_path / "one.png")
    photo(tmp_path / "other.png", seed=2)
    page = tmp_path / "shapes.atlas" / "index.html"
    atlas = ("atlas", "shapes", *QUICK, "--config", configured(tmp_path / "own", Shapes()))
    assert deepdream(*atlas, "--layers", "c2", "--channels", "6", "--photo", "one.png").exit_code == 0
    first = facts_of(page)
    assert deepdream(*atlas, "--layers", "logits", "--channels", "2").exit_code == 0
    second = facts_of(page)
    assert second["layers"][0] == first["layers"][0], "another layer takes none away"
    assert [layer["name"] for layer in second["layers"]] == ["c2.2", "logits"]
    (one,) = second["photos"]
    assert one["excites"]["c2.2"] == first["photos"][0]["excites"]["c2.2"]
    assert len(one["excites"]["logits"]) == 2, "the photo is compared with what came after it"
    assert None not in one["excites"]["logits"]
    result = deepdream(*atlas, "--layers", "c2", "--channels", "1", "--photo", "other.png", "--photo", "one.png")
    assert result.exit_code == 0
    third = facts_of(page)
    assert third["layers"] == second["layers"], "fewer channels take none away"
    assert [photo["name"] for photo in third["photos"]] == ["other.png", "one.png"], "a photo is there once"
    assert third["photos"][1] == one
    with Image.open(page.parent / "sheets" / "c2.2.png") as sheet:
        drawn = sheet.size
    assert deepdream(*atlas, "--layers", "c2", "--channels", "8").exit_code == 0
    with Image.open(page.parent / "sheets" / "c2.2.png") as sheet:
        assert sheet.size > drawn, "a sheet shows what has been added"


def test_pictures_and_sheets_are_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo(tmp_path / "photo.png")
    config = configured(tmp_path / "own", Shapes())
    args = ("atlas", "shapes", "--layers", "c2", "--channels", "3", *QUICK, "--photo", "photo.png", "--config", config)
    first = deepdream(*args)
    assert "photos: compared with the channels' own pictures" in first.stderr
    folder = tmp_path / "shapes.atlas"
    before = facts_of(folder / "index.html")
    sheet = (folder / "sheets" / "c2.2.png").stat().st_mtime_ns

    def measured(*_: object) -> None:
        raise AssertionError("a channel's own picture was looked at again")

    monkeypatch.setattr(excitement, "_own", measured)
    assert deepdream(*args).exit_code == 0
    assert facts_of(folder / "index.html") == before
    assert (folder / "sheets" / "c2.2.png").stat().st_mtime_ns == sheet


def test_a_photo_is_as_large_as_the_pictures_it_is_compared_with(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png", width=90, height=70)
    (read,) = excitement.read_photos([tmp_path / "photo.png"] * 2, 48, 200.0)
    assert read.pixels.shape == (3, 48, 48)


def test_a_layer_costs_the_more_the_deeper_it_is() -> None:
    """Else the time left would be told too short until the last layers."""
    layers = list_layers(assemble(None).catalogue.models["dreamnet"].spec, 224)
    costs = [layer.cost for layer in plan(layers, 200, (), 1)]
    assert costs == sorted(costs)
    assert costs[-1] > 2 * costs[0]
