"""Which pictures are used for what: none is learnt from and measured by, none is chosen by and measured by."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest

from deepdream_engine import host_memory
from deepdream_engine.errors import BadOption, Cancelled
from deepdream_engine.training import teaching
from deepdream_engine.training.data import Pictures
from deepdream_engine.training.listing import has_labels, list_pictures
from deepdream_engine.training.recipe import Stage
from deepdream_engine.training.splitting import split
from deepdream_engine.training.teaching import teach
from tests.engine.teaching import KINDS, RECIPE, Ear, content, pictures, task, zipped

SHORT = (Stage(epochs=1, rate=0.01),)


def test_what_weights_are_chosen_by_is_not_what_they_are_measured_by(tmp_path: Path) -> None:
    pictures(tmp_path / "in" / "train", each=10)
    pictures(tmp_path / "in" / "val", each=3, first=50)
    ear = Ear()
    card = teach(task(tmp_path / "in", tmp_path / "m", stages=SHORT, patience=1), ear)
    assert card is not None
    assert card.counts == ((9, 1, 3),) * 3
    assert {each.name for each in ear.parts.watched} <= {f"{kind}/{seed}.png" for kind in KINDS for seed in range(10)}
    listing, apart = list_pictures(tmp_path / "in")
    parts = split(listing, apart, 0.4, is_chosen=True)
    names = [{each.name for each in part} for part in (parts.training, parts.watched)]
    assert ([len(part) for part in names], names[0] & names[1]) == ([24, 6], set())
    assert apart is not None
    assert parts.held_out == apart.samples
    few = split(list_pictures(pictures(tmp_path / "few", each=5))[0], apart, 0.2, is_chosen=True)
    assert (len(few.training), few.watched) == (15, ())


@pytest.mark.parametrize("ahead", [5_000, 0])
def test_a_picture_that_is_measured_by_is_not_learnt_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    monkeypatch.setattr(teaching, "_LOOK_AT_ALL", ahead)
    folder = pictures(tmp_path / "in" / "train", each=6)
    pictures(tmp_path / "in" / "val", each=3, first=5)
    (folder / "plain" / "again.png").write_bytes(content("plain", 3))
    ear = Ear()
    assert teach(task(tmp_path / "in", tmp_path / "m", stages=SHORT), ear)
    reasons = dict(ear.listing.left_out)
    assert set(reasons) == {"plain/again.png", *(f"{kind}/5.png" for kind in KINDS)}
    assert reasons["plain/again.png"] == "the same picture as 'plain/3.png'"
    assert reasons["down/5.png"] == f"the same picture as {str(tmp_path / 'in' / 'val' / 'down' / '5.png')!r}"
    assert (len(ear.parts.training), len(ear.parts.held_out)) == (15, 9)


def test_of_many_pictures_a_class_with_none_that_can_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teaching, "_LOOK_AT_ALL", 0)
    folder = pictures(tmp_path / "in", each=6)
    for path in (folder / "down").iterdir():
        path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadOption, match=r"'down' has 0.*truncated"):
        teach(task(folder, tmp_path / "m"), Ear())


class Looking(Ear):
    """Hears what is looked at, and stops when ``stop_in`` is."""

    def __init__(self, stop_in: str = "") -> None:
        super().__init__()
        self.stop_in = stop_in
        self.looked: dict[str, list[tuple[int, int]]] = {}

    def looking(self, what: str, done: int, of: int) -> None:
        self.looked.setdefault(what, []).append((done, of))
        if what == self.stop_in:
            raise Cancelled("stopped")


@pytest.mark.parametrize(("ahead", "read"), [(5_000, "reading"), (0, "trying")])
def test_each_look_at_the_files_is_told_and_may_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int, read: str
) -> None:
    monkeypatch.setattr(teaching, "_LOOK_AT_ALL", ahead)
    folder = pictures(tmp_path / "in", each=4)
    (folder / "plain" / "again.png").write_bytes(content("plain", 3))
    ear = Looking()
    assert teach(task(folder, tmp_path / "m", stages=SHORT), ear)
    assert ear.looked["finding"] == [*((done, 0) for done in range(1, 14)), *((done, 13) for done in range(1, 14))]
    assert ear.looked[read] == [(done, 13) for done in range(1, 14)]
    done, of = zip(*ear.looked["comparing"], strict=True)
    assert (list(done), set(of)) == (list(range(1, len(done) + 1)), {len(done)})
    for what in ear.looked:
        with pytest.raises(Cancelled):
            teach(task(folder, tmp_path / what), Looking(what))
        assert not (tmp_path / what / "training").exists()


@pytest.mark.parametrize("stray", ["photos/desktop.ini", "notes.txt", "photos/cats/deeper/notes.txt", "other/a/b.txt"])
def test_what_else_lies_in_a_zip_file_does_not_change_its_classes(tmp_path: Path, stray: str) -> None:
    path = zipped(tmp_path / "photos.zip", top="photos/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(stray, "no picture")
    listing, _ = list_pictures(path)
    assert (listing.classes, listing.counts()) == (KINDS, [6, 6, 6])
    assert [name for name, _ in listing.left_out] == [stray]
    assert has_labels(path)


def test_a_zip_file_with_its_classes_too_deep_is_told_which_folder_to_name(tmp_path: Path) -> None:
    path = zipped(tmp_path / "photos.zip", top="photos/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("photos/cover.png", content("plain", 99))
    with pytest.raises(
        BadOption,
        match=r"one class, 'photos'.*'across' and 'down'.*unpack the ZIP file, and name its folder 'photos'\.",
    ):
        split(list_pictures(path)[0], None, 0.2)


def test_processes_that_keep_pictures_share_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory, "_CONTAINER", tmp_path)
    picture = 3 * 24 * 24
    for name, text in (
        ("memory.max", str(1_000 + 16 * picture * 4)),
        ("memory.current", "5000"),
        ("memory.stat", "anon 900\ninactive_file 4000\nactive_file 7\n"),
    ):
        (tmp_path / name).write_text(text)
    assert host_memory.free_bytes() == 16 * picture * 4
    assert host_memory.total_bytes() == 1_000 + 16 * picture * 4
    listing, _ = list_pictures(pictures(tmp_path / "in", each=8))

    def kept(pictures: Pictures) -> int:
        return sum(pictures.picture(place) is pictures.picture(place) for place in range(len(pictures)))

    whole = Pictures(listing, listing.samples, RECIPE, 24, processes=2)
    assert kept(whole.part(listing, listing.samples, readers=4)) == 1  # of 16, and the last byte is not used
    assert kept(whole) == 7
    assert kept(whole.part(listing, listing.samples)) == 7
    assert kept(pickle.loads(pickle.dumps(whole))) == 0
    (tmp_path / "memory.max").write_text("max")
    assert host_memory.total_bytes() >= host_memory.free_bytes() > 1_000_000
