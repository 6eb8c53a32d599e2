"""Folders as people have them: links, strange names, odd depths, damage; what is left out is named."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepdream_engine.errors import BadOption, BadPicture
from deepdream_engine.pictures import decode
from deepdream_engine.training.listing import list_pictures
from deepdream_engine.training.reading import read_small
from deepdream_engine.training.recipe import Stage
from deepdream_engine.training.splitting import split
from deepdream_engine.training.teaching import teach
from tests.corpus import oriented, scene
from tests.engine.teaching import Ear, content, pictures, task, zipped


def test_links_are_followed_but_in_no_circle(tmp_path: Path) -> None:
    pictures(tmp_path / "in", each=2)
    elsewhere = pictures(tmp_path / "elsewhere", each=3)
    (tmp_path / "in" / "owls").symlink_to(elsewhere / "plain")
    (tmp_path / "in" / "down" / "back").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "down" / "gone.png").symlink_to(tmp_path / "nothing")
    (tmp_path / "in" / "down" / "self").symlink_to("self")
    listing, _ = list_pictures(tmp_path / "in")
    assert (listing.classes, listing.counts()) == (("across", "down", "owls", "plain"), [2, 2, 3, 2])
    reasons = dict(listing.left_out)
    assert "leads back" in reasons["down/back"]
    assert "leads nowhere" in reasons["down/gone.png"]
    assert "down/self" in reasons


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_ordinary_file_is_never_opened(tmp_path: Path) -> None:
    folder = pictures(tmp_path, each=1)
    os.mkfifo(folder / "down" / "pipe.png")
    assert dict(list_pictures(folder)[0].left_out)["down/pipe.png"] == "not an ordinary file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    folder = pictures(tmp_path, each=1)
    (folder / "down").chmod(0)
    try:
        assert "cannot be read" in dict(list_pictures(folder)[0].left_out)["down"]
    finally:
        (folder / "down").chmod(0o700)


def test_among_buses_and_cars_train_is_a_class(tmp_path: Path) -> None:
    for name in ("bus", "car", "train", "test"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(content("down", len(name)))
    assert list_pictures(tmp_path)[0].classes == ("bus", "car", "test", "train")


def test_classes_one_folder_deeper_are_pointed_at(tmp_path: Path) -> None:
    pictures(tmp_path / "in" / "animals", each=2)
    listing, _ = list_pictures(tmp_path / "in")
    with pytest.raises(BadOption, match=r"one class, 'animals'.*'across' and 'down'.*deepdream train \S*/in/animals"):
        split(listing, None, 0.2)


def test_a_damaged_member_of_a_zip_file_is_left_out(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip")
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("down/3.png")
    data = bytearray(path.read_bytes())
    begin = info.header_offset
    data[begin : begin + 4] = b"oops"
    path.write_bytes(bytes(data))
    reasons = dict(list_pictures(path)[0].left_out)
    assert list(reasons) == ["down/3.png"]
    assert "damaged" in reasons["down/3.png"]


def test_names_that_are_no_text_become_classes_that_a_card_can_hold(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", each=4)
    try:
        (folder / "down").rename(os.fsdecode(os.fsencode(folder) + b"/d\xffwn \t\"'"))
    except OSError:
        pytest.skip("this file system takes text alone")
    card = teach(task(folder, tmp_path / "m", stages=(Stage(epochs=1, rate=0.01),)), Ear())
    assert card is not None
    assert card.classes == ("across", "d\ufffdwn \t\"'", "plain")
    assert json.loads((tmp_path / "m" / "card.json").read_text(encoding="utf-8"))["classes"][1] == card.classes[1]


def test_what_is_transparent_is_grey_whatever_colour_lies_beneath() -> None:
    picture = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (0, 0, 20, 40))
    for form, image in (("PNG", picture), ("WEBP", picture)):
        buffer = io.BytesIO()
        image.save(buffer, form, lossless=True, exact=True)
        small = read_small(buffer.getvalue(), 20)
        assert small[:, 10, 2].tolist() == [0, 0, 255]
        assert small[:, 10, 17].tolist() == [128, 128, 128]


def test_pictures_larger_than_any_is_are_refused_before_they_are_decoded() -> None:
    buffer = io.BytesIO()
    Image.new("1", (20_000, 15_000)).save(buffer, "PNG")
    with pytest.raises(BadPicture, match=r"300\.?0? megapixels"):
        read_small(buffer.getvalue(), 64)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_as_the_decoder_turns_them(orientation: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(scene(3)).save(buffer, "PNG", exif=oriented(orientation))
    data = buffer.getvalue()
    whole = decode(data).pixels
    small = read_small(data, min(whole.shape[:2]))
    assert small.shape == (3, *whole.shape[:2])
    assert np.abs(small.permute(1, 2, 0).numpy() - whole * 255).mean() < 2


def test_damaged_notes_in_a_photo_do_not_cost_the_photo() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\0garbage")
    assert read_small(buffer.getvalue(), 20).shape == (3, 20, 27)
