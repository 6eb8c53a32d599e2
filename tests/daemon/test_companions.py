"""Companions: a guide and a mask beside a photo belong to its dream, and are no photos themselves."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.explaining.explain import Explanation, explain
from deepdream_daemon.intake import companions, sources
from deepdream_daemon.intake.beside import Beside
from deepdream_daemon.intake.companions import BadCompanion
from deepdream_daemon.intake.scan import walk
from deepdream_daemon.intake.selection import choose_companions
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_plugins.catalogue import load_catalogue
from deepdream_plugins.recipes import RecipeBook
from deepdream_plugins.selection import Selection
from tests.daemon.stub import Running, StubRenderer, drop, jobs_of, make_settings, outputs, recipe_book, wait_until

PLUGIN = """
from deepdream_plugins import ObjectiveSpec, Option, PictureFile, hookimpl

@hookimpl
def deepdream_objectives():
    yield ObjectiveSpec(
        name="like",
        help="like another picture",
        score=lambda activations, **options: activations.pixels.mean(dim=(1, 2, 3)),
        options=(Option(name="guide", type=PictureFile, default="", help="the other picture"),),
    )
"""


@pytest.fixture
def book(tmp_path: Path) -> RecipeBook:
    folder = tmp_path / "plugins"
    folder.mkdir(mode=0o755)
    (folder / "like.py").write_text(PLUGIN)
    (folder / "like.py").chmod(0o644)
    tables = {"guided": {"objective": "like"}, "classic": {"objective": "like"}}
    return RecipeBook(load_catalogue(Selection(folder=folder)), tables)


def asked(root: Path, photo: Path, book: RecipeBook) -> Explanation:
    """Return what another process explains."""
    journal = Journal.open(root / "state", read_only=True)
    try:
        return explain(photo, make_settings(root), book, journal)
    finally:
        journal.close()


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("photo.guide.jpg", ("photo", "guide")),
        ("photo.mask.png", ("photo", "mask")),
        ("a.b.mask.TIF", ("a.b", "mask")),
        ("photo.guide.mask.png", ("photo.guide", "mask")),
        ("photo\n.mask.png", ("photo\n", "mask")),
        ("photo.guide.heic", ("photo", "guide")),
        ("guide.jpg", None),
        ("photo.guide", None),
        ("photo.guide.toml", None),  # the side file of a photo that has no suffix
        ("photo.jpg.guide.png", ("photo.jpg", "guide")),
        ("photo.guided.jpg", None),
        ("photo-mask.png", None),
        ("photo.Mask.png", ("photo", "mask")),
        ("photo.GUIDE.JPG", ("photo", "guide")),
        ("photo.gUiDe.jPg", ("photo", "guide")),
        ("Photo.guide.jpg", ("Photo", "guide")),
    ],
)
def test_a_companion_is_known_by_its_name(name: str, whose: tuple[str, str] | None) -> None:
    assert companions.parse(name) == whose
    assert (companions.explained(name) is None) == (whose is None)


def test_companions_are_part_of_the_fingerprint_like_the_side_file(tmp_path: Path) -> None:
    photo = drop(tmp_path / "photo.jpg", "sky")
    seen = {sources.fingerprint(photo)}
    (tmp_path / "photo.jpg.toml").write_text("")
    seen.add(sources.fingerprint(photo))
    drop(tmp_path / "photo.mask.png", "m")
    seen.add(sources.fingerprint(photo))
    drop(tmp_path / "photo.guide.JPG", "g")
    last = sources.fingerprint(photo)
    seen.add(last)
    drop(tmp_path / "photo.guide.JPG", "changed")
    seen.add(sources.fingerprint(photo))
    drop(tmp_path / "other.mask.png", "of another photo")
    drop(tmp_path / "photo.notes.png", "no companion")
    seen.add(sources.fingerprint(photo))
    assert len(seen) == 5
    assert sources.has_side_file(last)
    assert sources.endings_of(last) == [".guide.jpg", ".mask.png"]
    names = frozenset(path.name for path in tmp_path.iterdir())
    assert sources.fingerprint(photo, names) == sources.fingerprint(photo)


def test_a_scan_takes_no_companion_and_sees_the_photos_whose_companions_came_or_went(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png", "c.jpg"):
        drop(tmp_path / name, name)
    drop(tmp_path / "b.mask.png", "m")

    def known(directory: Path) -> dict[str, str]:
        assert directory == tmp_path
        return before

    def found() -> list[str]:
        return [path.name for path in walk(tmp_path, known, (), look_at_all=False, on_error=errors.__setitem__)]

    errors: dict[Path, OSError] = {}
    before = {name: sources.fingerprint(tmp_path / name) for name in ("a.jpg", "b.png", "c.jpg")}
    assert found() == []
    drop(tmp_path / "c.guide.webp", "g")
    (tmp_path / "b.mask.png").unlink()
    drop(tmp_path / "orphan.mask.png", "of no photo")
    assert sorted(found()) == ["b.png", "c.jpg"]


def test_on_a_disk_that_knows_no_case_a_scan_finds_nothing_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds ``photo.guide.jpg`` under the name ``photo.guide.JPG``, too, and the other way about."""
    access, lstat = os.access, os.lstat

    def spelt(path: str | Path) -> Path:
        same = (other for other in Path(path).parent.iterdir() if other.name.lower() == Path(path).name.lower())
        return next(same, Path(path))

    monkeypatch.setattr(os, "access", lambda path, mode: access(spelt(path), mode))
    monkeypatch.setattr(os, "lstat", lambda path: lstat(spelt(path)))
    for name in ("a.jpg", "a.guide.JPG", "b.jpg", "b.mask.png"):
        drop(tmp_path / name, name)
    errors: dict[Path, OSError] = {}
    known = {name: sources.fingerprint(tmp_path / name) for name in ("a.jpg", "b.jpg")}
    assert list(walk(tmp_path, lambda _: known, (), look_at_all=False, on_error=errors.__setitem__)) == []


@pytest.mark.parametrize("name", ["photo.guide.JPG", "photo.Guide.png", "photo.GUIDE.WEBP", "photo.Guide.TIF"])
def test_a_guide_is_found_in_each_usual_spelling_and_follows_its_photo(
    tmp_path: Path, book: RecipeBook, name: str
) -> None:
    (tmp_path / "done").mkdir()
    folder = FolderSettings(
        input=tmp_path / "in", output=tmp_path / "out", recipe="guided", source="move", processed=tmp_path / "done"
    )
    settings = make_settings(tmp_path, folders=(folder,))
    drop(tmp_path / "in" / name, "the guide")
    drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings, book=book) as running:
        running.wait_for(done=1)
        wait_until(lambda: {path.name for path in outputs(tmp_path / "done")} == {"photo.jpg", name})
    assert outputs(tmp_path / "in") == []
    (dream,) = outputs(tmp_path / "out")
    assert b"PICTURE the guide" in dream.read_bytes()


def test_a_name_in_other_letters_is_no_photo_and_explained(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    odd = drop(tmp_path / "in" / "photo.gUiDe.jPg", "the guide")
    drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1)
        assert [path.name for path in outputs(tmp_path / "out")] == ["photo.classic.jpg"]
    journal = Journal.open(settings.state, read_only=True)
    said = explain(odd, settings, recipe_book(), journal)
    journal.close()
    assert said.state == "ignored"
    assert "call it 'photo.guide.jpg'" in said.reason


def test_on_a_disk_that_tells_letters_apart_a_guide_of_another_spelling_is_of_another_photo(
    tmp_path: Path, book: RecipeBook
) -> None:
    if (tmp_path / "x").touch() or (tmp_path / "X").exists():
        pytest.skip("this disk does not tell small letters from capitals")
    drop(tmp_path / "Photo.guide.jpg", "of Photo.jpg")
    photo = drop(tmp_path / "photo.jpg", "sky")
    assert sources.endings_of(sources.fingerprint(photo)) == []
    assert Beside().names(tmp_path) is None, "the disk is asked, which alone knows"
    drop(tmp_path / "Photo.jpg", "sea")
    assert Beside().names(tmp_path) == {"Photo.guide.jpg"}


def test_a_photo_and_then_its_guide_are_dreamt_once_together(tmp_path: Path, book: RecipeBook) -> None:
    settings = make_settings(tmp_path, settle_seconds=1.0)
    with Running(settings, book=book) as running:
        drop(tmp_path / "in" / "photo.jpg", "sky")
        wait_until(lambda: running.daemon.snapshot().settling == 1)
        drop(tmp_path / "in" / "photo.guide.jpg", "flowers")
        running.wait_for(done=1)
        time.sleep(0.8)
        assert running.counts()["failed"] == 0
    (dream,) = outputs(tmp_path / "out")
    assert b"DREAM sky guide=PICTURE flowers\n" in dream.read_bytes()
    assert b'"companions": {"guide": {"name": "photo.guide.jpg", "sha256": "' in dream.read_bytes()


def test_a_photo_that_came_before_its_guide_waits_for_it(
    tmp_path: Path, book: RecipeBook, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepdream_daemon.intake.quiet.PARTS", 1)
    settings = make_settings(tmp_path, rescan_seconds=0.1)
    (tmp_path / "in" / "guided").mkdir()
    photo = drop(tmp_path / "in" / "guided" / "photo.jpg", "sky")
    with Running(settings, book=book) as running:
        running.wait_for(waiting=1, failed=0)
        time.sleep(0.5)
        (job,) = jobs_of(tmp_path, photo)
        assert (job.recipe, job.state, job.attempts, job.due) == ("guided", "waiting", 0, None)
        assert job.error == "waits: needs photo.guide.jpg"
        assert "then taken by itself" in (job.advice or "")
        found = asked(tmp_path, photo, book)
        reason = "it waits: needs photo.guide.jpg, with the recipe 'guided', after the sub-folder that it is in"
        assert (found.state, found.reason) == ("waiting", reason)
        assert found.advice == job.advice
        drop(tmp_path / "in" / "guided" / "photo.guide.png", "flowers")
        running.wait_for(done=1, failed=0, waiting=0)
        history = [what for _, what in asked(tmp_path, photo, book).history]
    assert history == [
        "waits: needs photo.guide.jpg",
        "replaced: the picture, its side file, a companion or its recipe changed",
        "queued for guided",
        "done",
    ]
    assert outputs(tmp_path / "state" / "quarantine") == []
    logged = capsys.readouterr().out
    assert logged.count("needs photo.guide.jpg") == 1
    assert "[error" not in logged


def test_a_photo_that_waits_for_its_guide_may_be_deleted(tmp_path: Path, book: RecipeBook) -> None:
    settings = make_settings(tmp_path, rescan_seconds=0.1)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings, book=book) as running:
        running.wait_for(waiting=1)
        photo.unlink()
        running.wait_for(waiting=0, vanished=1)


def test_with_another_recipe_in_the_configuration_a_photo_waits_no_more(tmp_path: Path, book: RecipeBook) -> None:
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings, book=book) as running:
        running.wait_for(waiting=1)
    (before,) = jobs_of(tmp_path, photo)
    with Running(settings, book=book) as running:  # the same recipe
        time.sleep(0.8)
        assert running.counts()["waiting"] == 1
    assert jobs_of(tmp_path, photo) == [before]
    with Running(settings) as running:  # its recipe classic needs no guide
        running.wait_for(done=1, waiting=0)


def test_retry_of_a_photo_that_still_lacks_its_guide_lets_it_wait_again(tmp_path: Path, book: RecipeBook) -> None:
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings, book=book) as running:
        running.wait_for(waiting=1)
        (before,) = jobs_of(tmp_path, photo)
        journal = Journal.open(settings.state)
        assert journal.retry(photo) == 1
        journal.close()
        wait_until(lambda: [job.id for job in jobs_of(tmp_path, photo)] not in ([before.id], []))
        running.wait_for(waiting=1, failed=0)


def test_a_waiting_photo_stays_waiting_when_the_clock_is_mended(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "state")
    photo = tmp_path / "photo.jpg"
    job = NewJob(key="k", folder=tmp_path, sha256="", recipe="guided", seed=0, expects=True, error="waits: needs x")
    journal.record([Taken(path=photo, fingerprint="f", job=job)])
    journal.mend_clock()
    assert (journal.expecting(), journal.claim(1, [tmp_path])) == ([photo], [])
    journal.close()


def test_other_trouble_with_a_companion_fails_under_the_right_recipe(tmp_path: Path, book: RecipeBook) -> None:
    settings = make_settings(tmp_path)
    (tmp_path / "in" / "guided").mkdir()
    photo = drop(tmp_path / "in" / "guided" / "photo.jpg", "sky")
    drop(tmp_path / "in" / "guided" / "photo.guide.jpg", "flowers")
    drop(tmp_path / "in" / "guided" / "photo.guide.png", "waves")
    with Running(settings, book=book) as running:
        running.wait_for(failed=1)
    (job,) = jobs_of(tmp_path, photo)
    assert job.recipe == "guided"
    assert (job.error or "").startswith(f"{photo}: it has more than one guide")
    assert asked(tmp_path, photo, book).reason.startswith("it failed: it has more than one guide")


def test_a_new_guide_gives_a_new_dream_and_the_old_one_stays(tmp_path: Path, book: RecipeBook) -> None:
    settings = make_settings(tmp_path)
    drop(tmp_path / "in" / "photo.guide.jpg", "flowers")
    drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings, book=book) as running:
        running.wait_for(done=1)
        drop(tmp_path / "in" / "photo.guide.jpg", "waves")
        running.wait_for(done=2)
        (tmp_path / "in" / "photo.guide.jpg").touch()  # the same content again
        time.sleep(0.8)
        assert running.counts()["done"] == 2
    assert [path.name for path in outputs(tmp_path / "out")] == ["photo.classic-2.jpg", "photo.classic.jpg"]


def test_a_companion_that_the_recipe_does_not_use_changes_nothing(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1)
        drop(tmp_path / "in" / "photo.guide.jpg", "flowers")
        time.sleep(0.8)
        assert dict(running.counts()) | {"done": 1} == dict(running.counts())
    assert len(outputs(tmp_path / "out")) == 1


def test_a_mask_is_used_when_there_is_one_and_missed_by_nobody(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    drop(tmp_path / "in" / "plain.jpg", "sky")
    drop(tmp_path / "in" / "masked.jpg", "sea")
    drop(tmp_path / "in" / "masked.mask.png", "shape")
    with Running(settings) as running:
        running.wait_for(done=2)
    texts = sorted(path.read_bytes().split(b"\n")[0] for path in outputs(tmp_path / "out"))
    assert texts == [b"DREAM sea mask=PICTURE shape", b"DREAM sky"]


def test_a_guide_that_changes_while_its_photo_is_dreamt_discards_the_dream(tmp_path: Path, book: RecipeBook) -> None:
    renderer = StubRenderer()
    guide = tmp_path / "in" / "photo.guide.jpg"

    def change(text: bytes) -> None:
        if b"flowers" in text:
            drop(guide, "waves")

    renderer.before_dream = change
    settings = make_settings(tmp_path)
    drop(guide, "flowers")
    drop(tmp_path / "in" / "photo.jpg", "sky")
    with Running(settings, renderer, book) as running:
        running.wait_for(done=1)
        wait_until(lambda: running.counts()["queued"] == running.counts()["running"] == 0)
    (dream,) = outputs(tmp_path / "out")
    assert b"guide=PICTURE waves" in dream.read_bytes()


def test_explain_tells_what_a_companion_is_and_what_a_photo_lacks(tmp_path: Path, book: RecipeBook) -> None:
    settings = make_settings(tmp_path)
    photo = drop(tmp_path / "in" / "photo.jpg", "sky")
    guide = drop(tmp_path / "in" / "other.guide.jpg", "flowers")
    odd = drop(tmp_path / "in" / "other.guide.heic", "flowers")
    journal = Journal.open(settings.state)
    try:
        lacking = explain(photo, settings, book, journal)
        beside = explain(guide, settings, book, journal)
        unusable = explain(odd, settings, book, journal)
    finally:
        journal.close()
    assert lacking.state == "new"
    assert lacking.reason == "it will wait for another file: with the recipe 'classic' it needs photo.guide.jpg"
    assert "photo.guide.jpg" in (lacking.advice or "")
    assert beside.state == "ignored"
    assert beside.reason == "it is the guide of 'other.*' beside it, not a photo itself"
    assert beside.advice == "To have it dreamt for itself, rename it."
    assert "only .jpg, " in unusable.reason


@pytest.mark.parametrize("trouble", ["two", "link", "folder"])
def test_a_companion_that_cannot_be_used_is_named(tmp_path: Path, book: RecipeBook, trouble: str) -> None:
    photo = drop(tmp_path / "photo.jpg", "sky")
    guide = tmp_path / "photo.guide.jpg"
    match trouble:
        case "two":
            drop(guide, "flowers")
            drop(tmp_path / "photo.guide.png", "waves")
        case "link":
            guide.symlink_to(drop(tmp_path / "elsewhere", "flowers"))
        case "folder":
            guide.mkdir()
    with pytest.raises(BadCompanion) as caught:
        choose_companions(photo, book.resolve("guided"), 1000)
    assert "photo.guide.jpg" in str(caught.value)
    assert "then taken by itself" in caught.value.advice


def test_ten_thousand_fingerprints_are_quick(tmp_path: Path) -> None:
    photo = drop(tmp_path / "photo.jpg", "sky")
    names = frozenset(path.name for path in tmp_path.iterdir())
    begun = time.process_time()
    for _ in range(10_000):
        sources.fingerprint(photo, names)
    assert time.process_time() - begun < 2.0
    assert recipe_book().resolve("classic").companions() == {"mask": False}
