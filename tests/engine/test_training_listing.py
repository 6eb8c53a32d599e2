"""Which pictures there are to learn from, in every shape that they come in."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from deepdream_engine.errors import BadOption
from deepdream_engine.training.class_names import ClassNames
from deepdream_engine.training.listing import list_pictures
from deepdream_engine.training.matching import labelled
from deepdream_engine.training.splitting import split
from tests.engine.teaching import KINDS, content, pictures, zipped


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    pictures(tmp_path / "in", each=5)
    (tmp_path / "in" / "down" / "deeper").mkdir()
    (tmp_path / "in" / "down" / "deeper" / "x.png").write_bytes(content("down", 99))
    listing, apart = list_pictures(tmp_path / "in")
    assert (listing.classes, listing.counts(), apart) == (KINDS, [5, 6, 5], None)
    assert all(listing.read(each) for each in listing.samples)


@pytest.mark.parametrize("top", ["", "train/"])
def test_a_zip_file_is_read_as_a_folder_is(tmp_path: Path, top: str) -> None:
    listing, _ = list_pictures(zipped(tmp_path / "x.zip", top=top))
    assert (listing.classes, listing.counts()) == (KINDS, [6, 6, 6])
    again = pickle.loads(pickle.dumps(listing))
    assert again.read(again.samples[0]) == listing.read(listing.samples[0])


def test_held_out_pictures_may_lie_apart(tmp_path: Path) -> None:
    zipped(tmp_path / "train.zip", each=6, top="train/")
    pictures(tmp_path / "val", each=2, first=50)
    listing, apart = list_pictures(tmp_path)
    assert apart is not None
    parts = split(listing, apart, 0.2)
    assert (len(parts.training), len(parts.watched), len(parts.held_out)) == (18, 6, 6)
    (tmp_path / "val" / "plain").rename(tmp_path / "val" / "strange")
    with pytest.raises(BadOption, match=r"not among those to learn: strange"):
        list_pictures(tmp_path)


def test_a_list_of_classes_gives_order_and_names(tmp_path: Path) -> None:
    pictures(tmp_path / "train", each=4)
    (tmp_path / "classes.txt").write_text("plain\tflat, even\nunused\tnothing\ndown\tdown\nacross\tacross\n")
    listing, _ = list_pictures(tmp_path)
    assert listing.classes == ("flat, even, plain", "down, down", "across, across")


def test_what_is_no_picture_is_left_out_with_its_reason(tmp_path: Path) -> None:
    folder = pictures(tmp_path, each=4)
    (folder / "down" / "notes.jpg").write_text("no picture")
    (folder / "down" / "empty.png").touch()
    (folder / "down" / ".hidden.png").write_bytes(b"x")
    (folder / "stray.png").write_bytes(content("down", 1))
    listing, _ = list_pictures(folder)
    reasons = dict(listing.left_out)
    assert set(reasons) == {"down/notes.jpg", "down/empty.png", "stray.png"}
    assert "text file" in reasons["down/notes.jpg"]
    assert "empty" in reasons["down/empty.png"]
    assert "no sub-folder" in reasons["stray.png"]


def test_one_class_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "1.png").write_bytes(content("down", 1))
    listing, _ = list_pictures(tmp_path)
    with pytest.raises(BadOption, match=r"has one class, 'cats'.*at least two"):
        split(listing, None, 0.2)


def test_three_photos_are_too_few_and_it_says_of_what(tmp_path: Path) -> None:
    for name, kind, seed in (("a", "down", 1), ("a", "down", 2), ("b", "plain", 1)):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / f"{seed}.png").write_bytes(content(kind, seed))
    listing, _ = list_pictures(tmp_path)
    with pytest.raises(BadOption, match=r"'a' has 2, 'b' has 1\. Each class needs 4"):
        split(listing, None, 0.2)


def test_photos_without_sub_folders_are_of_no_class(tmp_path: Path) -> None:
    for seed in range(3):
        (tmp_path / f"{seed}.png").write_bytes(content("down", seed))
    listing, _ = list_pictures(tmp_path)
    with pytest.raises(BadOption, match=r"no sub-folder with pictures.*--recipe unlabelled.*Left out were 3 files"):
        split(listing, None, 0.2)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadOption, match=r"no folder and no ZIP file"):
        list_pictures(tmp_path / "file")
    with pytest.raises(BadOption, match=r"does not exist"):
        list_pictures(tmp_path / "gone")


def test_parts_share_nothing_and_stay_when_pictures_are_added(tmp_path: Path) -> None:
    before = split(list_pictures(pictures(tmp_path, each=20))[0], None, 0.2)
    names = [{each.name for each in part} for part in (before.training, before.watched, before.held_out)]
    assert [len(part) for part in names] == [42, 6, 12]
    assert not names[0] & names[1] | names[0] & names[2] | names[1] & names[2]
    after = split(list_pictures(pictures(tmp_path, each=2, first=20))[0], None, 0.2)
    moved = {each.name for each in after.training} & names[2]
    assert len(moved) <= 2 * len(KINDS)


def test_labelled_pictures_find_the_classes_of_a_model(tmp_path: Path) -> None:
    classes = ["tench, Tinca tinca, n01", "goldfish, n02", "crane, bird, n03", "crane, machine, n04"]
    names = ClassNames(classes)
    assert [names.number(text) for text in ("Tench", "tinca_tinca", "n02", "3", "bird")] == [0, 0, 1, 3, 2]
    with pytest.raises(BadOption, match=r"several classes.*2: crane, bird, n03"):
        names.number("crane")
    with pytest.raises(BadOption, match=r"none of the 4 classes. Did you mean 'goldfish'"):
        names.number("goldfisch")
    for name in ("tench", "n02"):
        (tmp_path / "sub" / name).mkdir(parents=True)
        (tmp_path / "sub" / name / "1.png").write_bytes(content("down", 1))
    assert {each.label for each in labelled(tmp_path / "sub", classes, "m").samples} == {0, 1}
    (tmp_path / "flat").mkdir()
    for name in ("003_n04_crane.png", "0_tench.png", "nothing.png", "77_x.png"):
        (tmp_path / "flat" / name).write_bytes(content("down", 1))
    flat = labelled(tmp_path / "flat", classes, "m")
    assert ({each.label for each in flat.samples}, len(flat.left_out)) == ({0, 3}, 2)
    (tmp_path / "sub" / "zebra").mkdir()
    (tmp_path / "sub" / "zebra" / "1.png").write_bytes(content("down", 1))
    with pytest.raises(BadOption, match=r"the sub-folder 'zebra' names none.*deepdream classes m"):
        labelled(tmp_path / "sub", classes, "m")
