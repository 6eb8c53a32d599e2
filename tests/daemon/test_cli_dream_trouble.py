"""``dream`` when something is in its way: files and folders that are closed, side files, Ctrl-C, SIGTERM."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from deepdream_engine.pictures import read_provenance
from tests.daemon.cli import QUICK, deepdream, done, nowhere, photo, started, wait_until

__all__ = ["nowhere"]


def test_a_photo_that_may_not_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    secret, good = photo(tmp_path / "secret.png"), photo(tmp_path / "good.png")
    secret.chmod(0)
    result = done("dream", secret, good, *QUICK)
    assert result.returncode == 1
    assert result.stdout == f"{tmp_path / 'good.classic.png'}\n"
    assert f"deepdream: '{secret}': Permission denied. Allow it: chmod u+r {secret}\n" in result.stderr


def test_a_closed_folder_is_named_rather_than_a_side_file_in_it(tmp_path: Path) -> None:
    hidden = photo(tmp_path / "closed" / "x.png")
    hidden.parent.chmod(0)
    try:
        result = done("dream", hidden, *QUICK)
    finally:
        hidden.parent.chmod(0o755)
    assert result.returncode == 1
    assert "x.png.toml" not in result.stderr
    assert result.stderr == f"deepdream: '{hidden}': Permission denied. Allow it: chmod u+x {hidden.parent}\n"


@pytest.mark.parametrize("place", ["closed", "closed/new"])
def test_a_folder_that_cannot_be_written_to_is_named_before_anything_is_dreamt(tmp_path: Path, place: str) -> None:
    source, closed = photo(tmp_path / "x.png"), tmp_path / "closed"
    closed.mkdir(mode=0o555)
    result = done("dream", source, "-o", tmp_path / place, *QUICK)
    assert (result.returncode, result.stdout) == (1, "")
    assert "dreamt" not in result.stderr
    assert f"the folder '{tmp_path / place}': Permission denied. Make it writable" in result.stderr
    assert "-o DIR" in result.stderr
    assert ".part" not in result.stderr
    assert list(closed.iterdir()) == []


def test_a_photo_beside_which_nothing_can_be_put_does_not_stop_the_others(tmp_path: Path) -> None:
    closed, good = photo(tmp_path / "closed" / "x.png"), photo(tmp_path / "good.png")
    closed.parent.chmod(0o555)
    result = done("dream", closed, good, *QUICK)
    assert result.returncode == 1
    assert result.stdout == f"{tmp_path / 'good.classic.png'}\n"
    assert f"the folder '{closed.parent}': Permission denied" in result.stderr


def test_set_is_judged_with_the_model_that_the_side_file_names(tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    photo(tmp_path / "b.png")
    config = tmp_path / "config.toml"
    config.write_text('[plugins]\nfolder = "plugins"\n')
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o755)
    (plugins / "tiny.py").write_text(
        "from deepdream_plugins import ModelSpec, hookimpl\n"
        "def load(weights):\n"
        "    from torch import nn\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3))\n"
        "@hookimpl\n"
        "def deepdream_models():\n"
        "    yield ModelSpec(name='tiny', help='tiny', load=load, default_tap='0', weights='none')\n"
    )
    (plugins / "tiny.py").chmod(0o644)
    (tmp_path / "b.png.toml").write_text('model = "tiny"\n')
    short = ("--set", "octaves=1", "--set", "steps=1", "--set", "objective.layer='0'")
    result = deepdream("dream", "a.png", "b.png", *short)
    assert result.exit_code == 1
    dream = tmp_path / "b.classic.png"
    assert result.stdout == f"{dream}\n", result.stderr
    assert "a.png: --set objective.layer: unknown tap '0' of model 'dreamnet'" in result.stderr
    made = read_provenance(dream.read_bytes())
    assert made is not None
    assert made["recipe"]["objective"]["layer"] == "0"  # type: ignore[index]
    assert deepdream("dream", "a.png", *short).exit_code == 2
    wrong = deepdream("dream", "a.png", "b.png", "--set", "octavs=1")
    assert (wrong.exit_code, wrong.stderr.count("deepdream: ")) == (2, 1), "said once"


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_what_is_done_stays_when_it_is_stopped(tmp_path: Path, number: int, code: int, word: str) -> None:
    small, large = photo(tmp_path / "a.png"), photo(tmp_path / "b.png", width=1600, height=1200)
    dream = tmp_path / "a.classic.png"
    changes = ("--set", "octaves=1", "--set", "steps=30", "--set", "objective.layer=conv2")
    with started("dream", small, large, *changes) as process:
        wait_until(dream.exists)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert out == f"{dream}\n"
    assert err.splitlines()[-1] == f"deepdream: {word}"
    assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.classic.png", "a.png", "b.png"]
    assert read_provenance(dream.read_bytes()) is not None
