"""``dream`` and ``redream``: photos on the command line, the real engine, one published file for each."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deepdream_engine.device import Device
from deepdream_engine.pictures import decode, read_provenance
from tests.daemon.cli import QUICK, deepdream, done, nowhere, photo

__all__ = ["nowhere"]


def pixels(path: Path) -> np.ndarray:
    return np.rint(decode(path.read_bytes()).pixels * 255)


def test_a_photo_gets_its_dream_beside_it(tmp_path: Path) -> None:
    source = photo(tmp_path / "pics" / "photo.jpg")
    before = source.read_bytes()
    result = deepdream("dream", "pics/photo.jpg", *QUICK)
    dream = tmp_path / "pics" / "photo.classic.jpg"
    assert (result.exit_code, result.stdout) == (0, f"{dream}\n"), result.stderr
    assert "photo.jpg: dreamt after" in result.stderr
    assert pixels(dream).shape == pixels(source).shape
    assert np.abs(pixels(dream) - pixels(source)).max() > 2
    assert source.read_bytes() == before


def test_the_dream_says_how_it_was_made(tmp_path: Path) -> None:
    source = photo(tmp_path / "photo.png")
    deepdream("dream", source, *QUICK, "--set", "seed=5")
    made = read_provenance((tmp_path / "photo.classic.png").read_bytes())
    assert made is not None
    assert made["seed"] == 5
    assert made["source"]["name"] == "photo.png"  # type: ignore[index]
    assert made["recipe"]["octaves"] == 1  # type: ignore[index]


@pytest.mark.skipif(bool(Device("cpu").lacks("bf16")), reason="needs a processor with bfloat16")
def test_a_reduced_precision_is_not_announced(tmp_path: Path) -> None:
    source = photo(tmp_path / "photo.png")
    result = done("dream", source, *QUICK, "--set", "precision=bf16")  # its libraries are set up once for each process
    assert (result.returncode, result.stdout) == (0, f"{tmp_path / 'photo.classic.png'}\n")
    assert [line.split(" after ")[0] for line in result.stderr.splitlines()] == ["photo.png: dreamt"]


def test_several_photos_go_to_a_new_folder_and_nothing_is_replaced(tmp_path: Path) -> None:
    photo(tmp_path / "a" / "x.png", 1)
    photo(tmp_path / "b" / "x.png", 2, 64, 64)
    result = deepdream("dream", "a/x.png", "b/x.png", "-o", "new/dreams", *QUICK)
    assert result.exit_code == 0, result.stderr
    names = [Path(line).name for line in result.stdout.splitlines()]
    assert names == ["x.classic.png", "x.classic-2.png"]
    shapes = [pixels(tmp_path / "new/dreams" / name).shape for name in names]
    assert shapes == [(72, 96, 3), (64, 64, 3)]


def test_a_bad_photo_does_not_stop_the_others(tmp_path: Path) -> None:
    photo(tmp_path / "good.png")
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo.jpg")
    result = deepdream("dream", "gone.jpg", "text.jpg", "folder", "fifo.jpg", "good.png", *QUICK)
    assert result.exit_code == 1
    assert [Path(line).name for line in result.stdout.splitlines()] == ["good.classic.png"]
    errors = [line for line in result.stderr.splitlines() if line.startswith("deepdream: ")]
    assert len(errors) == 4
    for error, part in zip(errors, ["gone.jpg", "text.jpg", "folder", "fifo.jpg"], strict=True):
        assert part in error
    assert "No such file or directory" in errors[0]
    assert "not a picture" in errors[1]
    assert "deepdream init" in errors[2]


def test_a_side_file_and_set_change_the_recipe(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png")
    (tmp_path / "photo.png.toml").write_text('base = "edges"\njitter = 3\noctaves = 9\n')
    result = deepdream("dream", "photo.png", *QUICK)
    dream = Path(result.stdout.strip())
    assert dream.name == "photo.edges.png"
    made = read_provenance(dream.read_bytes())
    assert made is not None
    recipe = made["recipe"]
    assert (recipe["name"], recipe["jitter"], recipe["octaves"]) == ("edges", 3, 1)  # type: ignore[index]
    named = Path(deepdream("dream", "photo.png", "--recipe", "textures", *QUICK).stdout.strip())
    assert named.name == "photo.textures.png"


def test_a_mask_beside_the_photo_is_used_and_one_that_is_no_good_is_named(tmp_path: Path) -> None:
    source = photo(tmp_path / "photo.png")
    Image.new("L", (96, 72), 255).save(tmp_path / "photo.mask.png")
    dream = Path(deepdream("dream", "photo.png", *QUICK).stdout.strip())
    made = read_provenance(dream.read_bytes())
    assert made is not None
    assert made["companions"]["mask"]["name"] == "photo.mask.png"  # type: ignore[index]
    (tmp_path / "photo.mask.png").write_text("hello")
    result = deepdream("dream", "photo.png", *QUICK)
    assert result.exit_code == 1
    assert f"{tmp_path / 'photo.mask.png'}: this mask is no good: not a picture" in result.stderr
    assert source.exists()


def test_a_mistake_in_a_side_file_is_named_with_its_line(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png")
    (tmp_path / "photo.png.toml").write_text("\noctavs = 9\n")
    result = deepdream("dream", "photo.png", *QUICK)
    assert result.exit_code == 1
    assert "photo.png.toml:2: octavs: unknown recipe option 'octavs'. Did you mean 'octaves'?" in result.stderr


def test_odd_names_come_through_byte_for_byte(tmp_path: Path) -> None:
    name = os.fsdecode(b"-\xff \n\x1b[31m.png")
    photo(tmp_path / "plain.png").rename(tmp_path / name)
    result = deepdream("dream", *QUICK, "--", name)
    assert result.exit_code == 0, result.stderr
    assert result.stdout_bytes == os.fsencode(tmp_path / os.fsdecode(b"-\xff \n\x1b[31m.classic.png")) + b"\n"
    assert "\x1b" not in result.stderr


def test_redream_makes_it_again_equal_to_the_pixel(tmp_path: Path) -> None:
    photo(tmp_path / "photo.jpg")
    deepdream("dream", "photo.jpg", *QUICK)
    result = deepdream("redream", "photo.classic.jpg")
    again = tmp_path / "photo.classic.redream.jpg"
    assert (result.exit_code, result.stdout) == (0, f"{again}\n"), result.stderr
    assert "photo.classic.jpg: equal to the pixel" in result.stderr
    assert (pixels(again) == pixels(tmp_path / "photo.classic.jpg")).all()


def test_redream_says_by_how_much_it_differs(tmp_path: Path) -> None:
    source = photo(tmp_path / "photo.png")
    deepdream("dream", "photo.png", *QUICK)
    dream = tmp_path / "photo.classic.png"
    with Image.open(dream) as picture:
        changed = np.asarray(picture.convert("RGB")).copy()
        info = PngInfo()
        info.add_itxt("deepdream", picture.info["deepdream"])
    changed[3, 4, 0] = changed[3, 4, 0] + 9 if changed[3, 4, 0] < 200 else changed[3, 4, 0] - 9
    Image.fromarray(changed).save(tmp_path / "moved.png", pnginfo=info)
    result = deepdream("redream", "moved.png", "--input", source, "-o", "again")
    assert result.exit_code == 0, result.stderr
    assert "up to 9 of 255 levels apart" in result.stderr
    assert Path(result.stdout.strip()).parent == tmp_path / "again"


def test_redream_refuses_another_source(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png")
    other = photo(tmp_path / "other.png", seed=2)
    deepdream("dream", "photo.png", *QUICK)
    named = deepdream("redream", "photo.classic.png", "--input", other)
    assert named.exit_code == 2
    assert "'photo.classic.png': its SHA-256 is" in named.stderr
    other.replace(tmp_path / "photo.png")
    found = deepdream("redream", "photo.classic.png")
    assert found.exit_code == 2
    assert "photo.png' (another content)" in found.stderr
    assert "--input PHOTO" in found.stderr


def test_redream_needs_a_dream_of_ours(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png")
    result = deepdream("redream", "photo.png")
    assert result.exit_code == 1
    assert "does not say how it was made" in result.stderr


def test_the_output_has_the_mode_that_the_umask_says(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png")
    before = os.umask(0o027)
    try:
        deepdream("dream", "photo.png", *QUICK)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "photo.classic.png").stat().st_mode) == 0o640


def test_a_configuration_lends_its_recipes(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png")
    (tmp_path / "config.toml").write_text(
        '[recipes.mine]\nbase = "edges"\noctaves = 1\nsteps = 1\n[recipes.mine.output]\nformat = "jpeg"\n'
    )
    result = deepdream("dream", "photo.png", "--recipe", "mine")
    assert Path(result.stdout.strip()).name == "photo.mine.jpg", result.stderr
    assert json.loads(deepdream("recipes", "mine", "--json").stdout)["output"]["format"] == "jpeg"


def test_a_dream_is_not_put_where_it_would_be_dreamt_again(tmp_path: Path) -> None:
    deepdream("init", tmp_path)
    photo(tmp_path / "in" / "photo.png")
    refused = deepdream("dream", "in/photo.png", *QUICK)
    assert refused.exit_code == 1
    assert "the watched folder" in refused.stderr
    assert deepdream("dream", "in/photo.png", "-o", "in/sub", *QUICK).exit_code == 2
    assert f"-o '{tmp_path / 'out'}'" in refused.stderr
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["photo.png"]
    assert deepdream("dream", "in/photo.png", "-o", "out", *QUICK).exit_code == 0
