"""Films in watched folders: a photo whose recipe has a journey, and a clip, become one film each, like any picture."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from deepdream_daemon.configuration.assembly import assemble
from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.explaining.explain import explain
from deepdream_daemon.films import FilmFacts
from deepdream_daemon.films.extra import INSTALL
from deepdream_daemon.films.reading import open_clip
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline import mixing, standing_back
from deepdream_daemon.pipeline.film_shares import spool_name
from deepdream_engine.errors import BadOption
from tests.daemon.film_daemon import CHUNK, QUICK, journey, photo, running, small_chunks, take
from tests.daemon.filming import audio_packets, clip_with_sound, digest, write_film
from tests.daemon.stub import Running, jobs_of, outputs, recipe_book, wait_until

pytest.importorskip("av")
pytest.importorskip("cv2")


@pytest.fixture(autouse=True)
def _short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    small_chunks(monkeypatch.setattr)


def film_of(run: Running, root: Path) -> Path:
    run.wait_for(60, done=1)
    (film,) = outputs(root / "out")
    return film


def wait_for_frame(run: Running, number: int) -> None:
    """Wait until a film is at this frame, at least."""

    def is_there() -> bool:
        details = [job.detail for job in run.daemon.snapshot().active if job.detail]
        return any(int(detail.split()[1]) >= number for detail in details)

    wait_until(is_there, what=run.daemon.snapshot)


def spools(root: Path) -> list[Path]:
    return list((root / "state" / "films").iterdir())


def test_a_photo_with_a_journey_becomes_a_film_and_one_without_a_picture_beside_it(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        take(photo(tmp_path), tmp_path / "in", journey(6))
        take(photo(tmp_path, "still.png"), tmp_path / "in")
        run.wait_for(60, done=2)
        film, still = outputs(tmp_path / "out")
        assert (film.name, still.name) == ("photo.classic.mp4", "still.classic.png")
        with open_clip(film) as clip:
            assert (clip.facts.width, clip.facts.height, clip.facts.frames) == (64, 48, 6)
        wait_until(lambda: not spools(tmp_path))


def test_a_clip_keeps_its_times_and_its_sound_and_is_never_in_memory(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        take(clip_with_sound(tmp_path / "clip.mp4", seconds=0.4), tmp_path / "in")
        film = film_of(run, tmp_path)
    assert film.name == "clip.classic.mp4"
    source = tmp_path / "in" / "clip.mp4"
    with open_clip(source) as clip, open_clip(film) as made:
        for name in ("width", "height", "rate", "frames", "duration", "audio", "container"):
            assert getattr(made.facts, name) == getattr(clip.facts, name), name
    assert audio_packets(film) == audio_packets(source)


@pytest.mark.parametrize("container", ["gif", "webp", "apng"])
def test_an_animation_becomes_one_whatever_it_is_called(tmp_path: Path, container: str) -> None:
    write_film(tmp_path / "moving", tmp_path / "spool", 3, container=container)
    (tmp_path / "moving").rename(tmp_path / "moving.jpg")
    with running(tmp_path) as run:
        take(tmp_path / "moving.jpg", tmp_path / "in")
        film = film_of(run, tmp_path)
    with open_clip(film) as made:
        assert (made.facts.container, made.facts.frames) == (container, 3)


def test_a_photo_that_is_dropped_beside_a_long_film_does_not_wait_for_it(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        take(photo(tmp_path), tmp_path / "in", journey(2000))
        wait_for_frame(run, 3)
        take(photo(tmp_path, "still.png"), tmp_path / "in")
        run.wait_for(done=1, running=1)
        assert [path.name for path in outputs(tmp_path / "out")] == ["still.classic.png"]


def test_a_folder_that_takes_one_file_at_a_time_dreams_films_and_photos_in_turn(tmp_path: Path) -> None:
    folder = FolderSettings(input=tmp_path / "in", output=tmp_path / "out", max_at_once=1)
    (tmp_path / "in").mkdir()
    write_film(tmp_path / "a.mp4", tmp_path / "spool", 5)
    take(tmp_path / "a.mp4", tmp_path / "in")
    take(photo(tmp_path, "b.png", seed=2), tmp_path / "in", journey(6))
    take(photo(tmp_path, "c.png", seed=3), tmp_path / "in")
    take(photo(tmp_path, "d.png", seed=4), tmp_path / "in")
    most = 0
    with running(tmp_path, folders=(folder,)) as run:

        def is_done() -> bool:
            nonlocal most
            now = run.daemon.snapshot()
            most = max(most, len(now.active))
            return len(now.finished) == 4

        wait_until(is_done, 60, run.daemon.snapshot)
    assert most == 1
    names = [path.name for path in outputs(tmp_path / "out")]
    assert names == ["a.classic.mp4", "b.classic.mp4", "c.classic.png", "d.classic.png"]


def uninterrupted(root: Path, side: str) -> str:
    """The digest of the film of the same photo, in the same place, that nothing has interrupted; all is as before."""
    with running(root) as run:
        take(photo(root), root / "in", side)
        found = digest(film_of(run, root))
    for name in ("in", "out", "state"):
        shutil.rmtree(root / name)
    return found


def test_a_film_gives_way_to_what_cannot_be_dreamt_beside_it_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = journey(90)
    wanted = uninterrupted(tmp_path, side)
    monkeypatch.setattr(standing_back, "SLICE_SECONDS", 0.0)
    order: list[str] = []
    begin = mixing.Mixing._begin
    monkeypatch.setattr(mixing.Mixing, "_begin", lambda self, film: (order.append("slice"), begin(self, film))[1])
    with running(tmp_path, max_batch=1) as run:
        path = take(photo(tmp_path), tmp_path / "in", side)
        wait_for_frame(run, 3)
        take(photo(tmp_path, "still.png"), tmp_path / "in")
        wait_until(lambda: len(run.daemon.snapshot().finished) == 2, 60, run.daemon.snapshot)
        assert [done.path.name for done in run.daemon.snapshot().finished] == ["still.png", "photo.png"]
    assert len(order) > 1, "it was begun once more"
    (job,) = jobs_of(tmp_path, path)
    assert job.attempts == 0
    assert digest(tmp_path / "out" / "photo.classic.mp4") == wanted


def test_a_pause_ends_the_slice_and_the_film_goes_on_where_it_was(tmp_path: Path) -> None:
    side = journey(120)
    wanted = uninterrupted(tmp_path, side)
    with running(tmp_path) as run:
        path = take(photo(tmp_path), tmp_path / "in", side)
        wait_for_frame(run, CHUNK + 2)
        with closing(Journal.open(tmp_path / "state")) as journal:
            journal.pause()
        run.wait_for(queued=1, running=0)
        with closing(Journal.open(tmp_path / "state", read_only=True)) as journal:
            told = explain(path, run.settings, recipe_book(), journal)
        assert "frames of its film are dreamt already" in told.reason
        assert "the daemon was paused" in told.reason
        with closing(Journal.open(tmp_path / "state")) as journal:
            journal.resume()
        film = film_of(run, tmp_path)
    assert digest(film) == wanted


def test_a_daemon_that_is_stopped_within_a_film_goes_on_with_it(tmp_path: Path) -> None:
    side = journey(120)
    wanted = uninterrupted(tmp_path, side)
    with running(tmp_path) as run:
        take(photo(tmp_path), tmp_path / "in", side)
        wait_for_frame(run, CHUNK + 2)
    assert not outputs(tmp_path / "out")
    with running(tmp_path) as run:
        film = film_of(run, tmp_path)
    assert digest(film) == wanted


def test_a_clip_that_is_replaced_while_it_is_dreamt_gives_one_film_of_what_it_is_now(tmp_path: Path) -> None:
    source = write_film(tmp_path / "clip.mp4", tmp_path / "spool", 80)
    other = write_film(tmp_path / "other.mp4", tmp_path / "spool", 5)
    assert source is not None
    assert other is not None
    with running(tmp_path) as run:
        path = take(source, tmp_path / "in")
        wait_for_frame(run, CHUNK + 2)
        other.rename(path)
        film = film_of(run, tmp_path)
        with open_clip(film) as made:
            assert made.facts.frames == 5


def test_a_film_tells_its_fraction_its_frame_and_the_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepdream_daemon.pipeline.time_left._FIRST_SECONDS", 0.05)
    with running(tmp_path) as run:
        take(photo(tmp_path), tmp_path / "in", journey(1000))
        wait_for_frame(run, 5)
        wait_until(lambda: any("left" in job.detail for job in run.daemon.snapshot().active), what=run.daemon.snapshot)
        (job,) = run.daemon.snapshot().active
    assert 0 < job.fraction < 1
    assert job.detail.startswith("frame ")
    assert " of 1000, about " in job.detail


def bad_clip(folder: Path, kind: str) -> Path:
    good = write_film(folder / "good.mp4", folder / "spool", 8)
    assert good is not None
    if kind == "truncated.mp4":
        path = folder / kind
        path.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    elif kind == "empty.gif":
        path = folder / kind
        path.write_bytes(b"GIF89a" + b"\x40\x00\x40\x00\x00\x00\x00" + b";")
    else:
        path = folder / kind
        made = write_film(folder / "many.gif", folder / "spool", 40, facts=FilmFacts(width=16, height=16))
        assert made is not None
        data = bytearray(made.read_bytes())
        data[6:10] = b"\xff\xff\xff\xff"
        path.write_bytes(data)
    good.unlink()
    return path


@pytest.mark.parametrize(
    ("kind", "said"), [("truncated.mp4", "truncated"), ("empty.gif", "GIF"), ("bomb.gif", "megapixels")]
)
def test_a_bad_clip_is_quarantined_at_once_with_a_reason_and_its_neighbours_are_not_affected(
    tmp_path: Path, kind: str, said: str
) -> None:
    with running(tmp_path) as run:
        bad = take(bad_clip(tmp_path, kind), tmp_path / "in")
        take(photo(tmp_path, "still.png"), tmp_path / "in")
        run.wait_for(60, done=1, failed=1)
        wait_until(lambda: bool(run.daemon.snapshot().errors), what=run.daemon.snapshot)
        (trouble,) = run.daemon.snapshot().errors
        assert trouble.path == bad
        assert said in trouble.error
    assert [path.name for path in outputs(tmp_path / "out")] == ["still.classic.png"]
    (job,) = jobs_of(tmp_path, bad)
    assert job.attempts == 1


def test_without_the_extra_a_clip_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise BadOption(f"Films need PyAV. Install it: {INSTALL}")

    monkeypatch.setattr("deepdream_daemon.films.options.pyav", missing)
    with running(tmp_path) as run:
        take(clip_with_sound(tmp_path / "clip.mp4", seconds=0.2), tmp_path / "in")
        wait_until(lambda: bool(run.daemon.snapshot().errors), what=run.daemon.snapshot)
        (trouble,) = run.daemon.snapshot().errors
    assert INSTALL in trouble.error


def test_a_film_that_is_too_large_by_itself_is_refused_with_the_sum(tmp_path: Path) -> None:
    with running(tmp_path, films_gib=1e-6) as run:
        take(photo(tmp_path), tmp_path / "in", journey(40))
        wait_until(lambda: bool(run.daemon.snapshot().errors), what=run.daemon.snapshot)
        (trouble,) = run.daemon.snapshot().errors
    assert "unfinished film takes" in trouble.error
    assert "films_gib" in trouble.error + trouble.advice


def test_a_folder_that_copies_the_rest_dreams_clips(tmp_path: Path) -> None:
    folders = (FolderSettings(input=tmp_path / "in", output=tmp_path / "out", copy_through=True),)
    with running(tmp_path, folders=folders) as run:
        (tmp_path / "in" / "clip.txt").write_text("no clip")
        take(clip_with_sound(tmp_path / "clip.mp4", seconds=0.2), tmp_path / "in", QUICK)
        run.wait_for(60, done=2)
    names = [path.name for path in outputs(tmp_path / "out")]
    assert names == ["clip.classic.mp4", "clip.txt"]


@pytest.mark.parametrize(
    ("film", "said"),
    [
        ('container = "webm"\ncodec = "h264"', "webm cannot hold h264"),
        ("quality = 101", "quality"),
        ("rate = 25.0", ""),
    ],
)
def test_how_films_are_written_is_checked_when_the_configuration_is_loaded(
    tmp_path: Path, film: str, said: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    path = tmp_path / "config.toml"
    path.write_text(f"""
[daemon]
state = "state"
[[folders]]
input = "in"
output = "out"
recipe = "mine"
[recipes.mine]
base = "classic"
[recipes.mine.film]
{film}
""")
    if not said:
        assert assemble(path, to_run=True).book.resolve("mine").film
        return
    with pytest.raises(BadOption, match=said) as error:
        assemble(path, to_run=True)
    assert "recipes.mine.film" in str(error.value)


def test_a_film_for_which_older_ones_leave_no_room_waits_and_uses_no_attempt_up(tmp_path: Path) -> None:
    older = tmp_path / "state" / "films" / spool_name(1, "0" * 64)
    with running(tmp_path, films_gib=1e-3) as run:
        take(photo(tmp_path, "first.png"), tmp_path / "in")
        run.wait_for(done=1)
        older.mkdir(parents=True)
        (older / "chunk").write_bytes(bytes(1 << 21))
        path = take(photo(tmp_path), tmp_path / "in", journey(6))
        wait_until(lambda: bool(run.daemon.snapshot().errors), what=run.daemon.snapshot)
        (trouble,) = run.daemon.snapshot().errors
        assert "films_gib" in trouble.error
        assert not trouble.final
        shutil.rmtree(older)
        run.wait_for(60, done=2)
        (job,) = jobs_of(tmp_path, path)
        assert job.attempts == 0


def test_what_is_left_of_films_whose_job_has_ended_is_removed_and_what_others_make_stays(tmp_path: Path) -> None:
    films = tmp_path / "state" / "films"
    stale, other = films / spool_name(7, "0" * 64), films / ("0" * 24)
    for folder in (stale, stale.with_name(f"{stale.name}-kept"), other):
        folder.mkdir(parents=True)
        (folder / "chunk").write_bytes(b"frames")
    with running(tmp_path):
        wait_until(lambda: [path.name for path in films.iterdir()] == [other.name])
    assert (other / "chunk").exists()


def test_a_film_is_not_dreamt_in_vain_where_its_name_is_taken(tmp_path: Path) -> None:
    folders = (FolderSettings(input=tmp_path / "in", output=tmp_path / "out", collision="skip"),)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "photo.classic.mp4").write_bytes(b"somebody's")
    with running(tmp_path, folders=folders) as run:
        path = take(photo(tmp_path), tmp_path / "in", journey(6))
        wait_until(lambda: "already" in _verdict(tmp_path, path), what=run.daemon.snapshot)
    assert "photo.classic.mp4" in _verdict(tmp_path, path)
    assert [film.name for film in outputs(tmp_path / "out")] == ["photo.classic.mp4"]


def _verdict(root: Path, path: Path) -> str:
    with closing(Journal.open(root / "state", read_only=True)) as journal:
        found = journal.file(path)
    return "" if found is None else found.verdict
