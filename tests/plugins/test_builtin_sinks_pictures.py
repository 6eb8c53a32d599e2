"""The sinks that make pictures of dreams: what is on them, and whose files they leave alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from deepdream_engine.errors import BadOption, BadPicture, NotDelivered
from deepdream_plugins.builtin.sinks import animation, files, lettering
from deepdream_plugins.builtin.sinks.deliveries import one_at_a_time, shown
from deepdream_plugins.builtin.sinks.lettering import Letters
from deepdream_plugins.builtin.sinks.pictures import small
from tests.delivering import NOON, Desk, again, check, deliver, picture


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def sheets(desk: Desk) -> list[str]:
    return sorted(path.name for path in (desk.root / "out" / "contact-sheets").iterdir())


def cell(sheet: Path, column: int, row: int = 0, cell_px: int = 64) -> np.ndarray:
    """The middle of a cell, where its picture is."""
    gap, line = 6, 15
    left = gap + column * (cell_px + gap) + cell_px // 4
    top = round(line * 1.4) + 2 * gap + row * (cell_px + 2 * line + 2 * gap) + cell_px // 4
    with Image.open(sheet) as opened:
        half = cell_px // 2
        return np.asarray(opened.convert("RGB").crop((left, top, left + half, top + half)), dtype=float)


def like(cell_pixels: np.ndarray, dream: str) -> float:
    with Image.open(dream) as opened:
        whole = np.asarray(opened.convert("RGB"), dtype=float)  # (48, 64, 3), 8 px above and below in the cell
    return float(np.abs(cell_pixels - whole[8:40, 16:48]).mean())


def test_a_contact_sheet_shows_each_dream_of_the_day_in_the_order_of_time(desk: Desk, utc: None) -> None:
    late, early = desk.dream("late.jpg", seed=1), desk.dream("early.jpg", seed=2, finished=NOON - 60)
    for delivery in (late, early):
        deliver("contact_sheet", delivery, cell_px=64, quality=100)
    assert sheets(desk) == ["2026-03-01.jpg"]
    sheet = desk.root / "out" / "contact-sheets" / "2026-03-01.jpg"
    assert like(cell(sheet, 0), early.output) < 6
    assert like(cell(sheet, 1), late.output) < 6
    assert like(cell(sheet, 0), late.output) > 20


def test_a_dream_delivered_twice_is_on_the_sheet_once(desk: Desk, utc: None) -> None:
    deliver("contact_sheet", desk.dream(), cell_px=64)
    sheet = desk.root / "out" / "contact-sheets" / "2026-03-01.jpg"
    once = sheet.read_bytes()
    deliver("contact_sheet", again(desk.dream()), cell_px=64)
    assert sheet.read_bytes() == once
    assert sheets(desk) == ["2026-03-01.jpg"]


def test_the_day_of_a_sheet_is_that_of_the_clock_on_the_wall(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XXX-14")  # 14 hours east, where it is past midnight
    time.tzset()
    try:
        deliver("contact_sheet", desk.dream(), cell_px=64)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert sheets(desk) == ["2026-03-02.jpg"]


def test_a_long_day_has_several_sheets_and_only_those_that_change_are_written(desk: Desk, utc: None) -> None:
    for number in range(1, 5):
        delivery = desk.dream(f"{number}.jpg", seed=number, finished=NOON + number)
        deliver("contact_sheet", delivery, cell_px=64, per_sheet=3, format="webp")
    assert sheets(desk) == ["2026-03-01-page-2.webp", "2026-03-01.webp"]
    folder = desk.root / "out" / "contact-sheets"
    (folder / "2026-03-01.webp").unlink()  # the user has printed it
    deliver("contact_sheet", desk.dream("5.jpg", seed=5, finished=NOON + 9), cell_px=64, per_sheet=3, format="webp")
    assert sheets(desk) == ["2026-03-01-page-2.webp"]
    deliver("contact_sheet", desk.dream("0.jpg", seed=9, finished=NOON), cell_px=64, per_sheet=3, format="webp")
    assert sheets(desk) == ["2026-03-01-page-2.webp", "2026-03-01.webp"]


@pytest.mark.parametrize("before", [False, True])
def test_a_file_of_somebody_else_is_never_replaced_by_a_sheet(desk: Desk, utc: None, before: bool) -> None:
    if not before:
        deliver("contact_sheet", desk.dream("a.jpg", seed=1), cell_px=64)
    theirs = desk.root / "out" / "contact-sheets" / "2026-03-01.jpg"
    theirs.parent.mkdir(parents=True, exist_ok=True)
    theirs.write_bytes(b"somebody has put this here, or retouched ours")
    for number in (2, 3):
        deliver("contact_sheet", desk.dream(f"{number}.jpg", seed=number), cell_px=64)
    assert theirs.read_bytes() == b"somebody has put this here, or retouched ours"
    assert sheets(desk) == ["2026-03-01-2.jpg", "2026-03-01.jpg"]


def test_two_folders_with_one_output_have_a_sheet_each(desk: Desk, utc: None) -> None:
    other = replace(desk.dream("b.jpg", seed=2), state=os.fspath(desk.root / "other"))
    both = [desk.dream("a.jpg", seed=1), other]
    for delivery in both * 2:
        deliver("contact_sheet", delivery, cell_px=64)
    assert sheets(desk) == ["2026-03-01-2.jpg", "2026-03-01.jpg"]


KILLED = """
import os, signal, sys
from deepdream_plugins.builtin.sinks import animation, files, lettering
real = getattr(files.os, sys.argv[1]) if sys.argv[1] != "replace" else files.Path.replace
calls = 0
def dying(*given, **named):
    global calls
    calls += 1
    if calls == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*given, **named)
setattr(files.Path if sys.argv[1] == "replace" else files.os, sys.argv[1], dying)
from pathlib import Path
from tests.delivering import Desk, deliver
deliver("contact_sheet", Desk(Path(sys.argv[3])).dream("b.jpg", seed=2), cell_px=64)
"""


@pytest.mark.parametrize(("call", "count"), [("fsync", 3), ("fsync", 7), ("replace", 3), ("replace", 4)])
def test_a_sheet_is_whole_and_still_ours_after_a_kill(desk: Desk, utc: None, call: str, count: int) -> None:
    deliver("contact_sheet", desk.dream("a.jpg", seed=1), cell_px=64)
    arguments = [sys.executable, "-c", KILLED, call, str(count), os.fspath(desk.root)]
    assert (
        subprocess.run(arguments, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}).returncode
        == -9
    )
    with Image.open(desk.root / "out" / "contact-sheets" / "2026-03-01.jpg") as sheet:
        sheet.load()
    deliver("contact_sheet", again(desk.dream("b.jpg", seed=2)), cell_px=64)
    assert sheets(desk) == ["2026-03-01.jpg"]
    assert (
        like(cell(desk.root / "out" / "contact-sheets" / "2026-03-01.jpg", 1), desk.dream("b.jpg", seed=2).output) < 12
    )


def test_days_long_past_are_forgotten_but_their_sheets_stay(desk: Desk, utc: None) -> None:
    deliver("contact_sheet", desk.dream("old.jpg", seed=1, finished=NOON - 40 * 86400), cell_px=64)
    deliver("contact_sheet", desk.dream("new.jpg", seed=2), cell_px=64)
    assert len(sheets(desk)) == 2
    assert sorted(path.name for path in (desk.root / "state").iterdir()) == ["2026-03-01", "2026-03-01.json"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names elsewhere are text")
def test_names_of_any_bytes_are_drawn_and_animated(desk: Desk, utc: None) -> None:
    name = os.fsdecode(b"ph\xffto\n" + b"x" * 200 + b".jpg")
    delivery = desk.dream(name)
    deliver("contact_sheet", delivery, cell_px=64)
    deliver("animation", delivery, dissolve_seconds=0.1)
    assert sheets(desk) == ["2026-03-01.jpg"]
    made = os.fsencode(name[:-4]) + b".before-after.webp"
    assert made in os.listdir(os.fsencode(desk.root / "out"))  # noqa: PTH208  (names as bytes)
    assert shown(name).startswith("ph\\xffto\\nxxx")


@pytest.mark.parametrize("sink", ["contact_sheet", "animation", "copy"])
def test_a_dream_that_was_taken_away_is_no_reason_to_try_again(desk: Desk, sink: str) -> None:
    delivery = desk.dream()
    Path(delivery.output).unlink()
    options = {"url": os.fspath(desk.root)} if sink == "copy" else {}
    with pytest.raises(BadPicture, match="no longer there"):
        deliver(sink, delivery, **options)
    shutil.rmtree(desk.root / "out")
    with pytest.raises(NotDelivered, match="is away"):
        deliver(sink, delivery, **options)


def test_a_delivery_beside_one_that_hangs_fails_instead_of_mixing_their_files(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepdream_plugins.builtin.sinks.deliveries._WAIT_SECONDS", 0.05)
    held, leave = threading.Event(), threading.Event()

    def hang() -> None:
        with one_at_a_time(desk.dream()):
            held.set()
            leave.wait(10)

    thread = threading.Thread(target=hang)
    thread.start()
    held.wait(10)
    with pytest.raises(NotDelivered, match="still hangs"):
        deliver("contact_sheet", desk.dream())
    leave.set()
    thread.join()
    deliver("contact_sheet", desk.dream())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_sheet": 500, "columns": 1, "cell_px": 512}, "per_sheet 500 makes a sheet of .* jpeg holds 65500"),
        ({"per_sheet": 300, "columns": 2, "format": "webp"}, "webp holds 16383"),
        ({"font": "/no/such/font.ttf"}, "font '/no/such/font.ttf' cannot be read"),
    ],
)
def test_sheets_that_cannot_be_made_are_refused_with_the_configuration(
    options: dict[str, int | str], message: str
) -> None:
    with pytest.raises(BadOption, match=message):
        check("contact_sheet", **options)
    check("contact_sheet")


# Animations.


def frames(path: Path) -> list[tuple[np.ndarray, int]]:
    found = []
    with Image.open(path) as opened:
        assert opened.info.get("loop", 0) == 0
        for index in range(opened.n_frames):
            opened.seek(index)
            opened.load()
            found.append((np.asarray(opened.convert("RGB"), dtype=float), opened.info["duration"]))
    return found


@pytest.mark.parametrize("format", ["webp", "gif"])
def test_an_animation_goes_from_the_source_to_the_dream_and_back(desk: Desk, format: str) -> None:
    delivery = desk.dream()
    deliver("animation", delivery, format=format, hold_seconds=1.5, dissolve_seconds=0.4, quality=100)
    made = frames(desk.root / "out" / f"photo.classic.before-after.{format}")
    source, dream = (
        np.asarray(Image.open(path).convert("RGB"), dtype=float) for path in (delivery.source, delivery.output)
    )
    away = [float(np.abs(frame - source).mean()) for frame, _ in made]
    closer = [float(np.abs(frame - dream).mean()) for frame, _ in made]
    middle = len(made) // 2
    near = {"webp": 4, "gif": 12}[format]  # a palette of 256 colours, dithered
    assert away[0] < near
    assert closer[middle] < near
    assert away[middle] > 3 * near
    assert away[1:middle] == sorted(away[1:middle])  # it moves one way
    assert closer[middle + 1 :] == sorted(closer[middle + 1 :])
    assert made[0][1] == made[middle][1] == 1500
    assert sum(duration for _, duration in made) == pytest.approx(3800, abs=100)


def test_no_frame_of_a_webp_drifts_away_from_what_it_should_show(tmp_path: Path) -> None:
    pair = [small(picture(tmp_path / f"{seed}.png", seed, (320, 200)), 320, (0, 0, 0)) for seed in (1, 2)]
    pair[1] = Image.blend(*pair, 0.15)  # a faint dream: its frames differ little
    data = animation.encoded(*pair, format="webp", hold_seconds=0.5, dissolve_seconds=1, quality=80, max_bytes=10**7)
    (tmp_path / "made.webp").write_bytes(data)
    wanted, seconds = animation._frames(*pair, 0.5, 1)
    ends = np.cumsum(seconds)
    at = 0.0
    for frame, duration in frames(tmp_path / "made.webp"):
        last = min(int(np.searchsorted(ends, at + duration / 1000 - 0.02)), len(wanted) - 1)
        assert np.abs(frame - np.asarray(wanted[last], dtype=float)).mean() < 2.5
        at += duration / 1000
    assert at == pytest.approx(sum(seconds), abs=0.1)


def test_an_animation_is_made_smaller_until_it_is_allowed_to_be_there(desk: Desk) -> None:
    delivery = desk.dream()
    noise = np.random.default_rng(1).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(delivery.output, quality=95)
    path = desk.root / "out" / "photo.classic.before-after.gif"
    deliver("animation", delivery, format="gif", dissolve_seconds=0.2, max_mb=0.1)
    assert 50_000 < path.stat().st_size <= 100_000
    with pytest.raises(BadOption, match=r"max_mb: 0.05 MB is too little"):
        deliver("animation", delivery, format="gif", dissolve_seconds=1.5, max_mb=0.05)


def test_animations_go_where_the_folder_says_and_once_only(desk: Desk) -> None:
    delivery = desk.dream("trip/photo.classic.jpg")
    for each in (delivery, again(delivery)):
        deliver("animation", each, folder="moving", dissolve_seconds=0.1)
    made = list((desk.root / "out").rglob("*.webp"))
    assert made == [desk.root / "out" / "moving" / "trip" / "photo.classic.before-after.webp"]


def test_an_animation_beside_a_file_of_its_name_gets_a_number(desk: Desk) -> None:
    delivery = desk.dream()
    theirs = desk.root / "out" / "photo.classic.before-after.webp"
    theirs.write_bytes(b"mine")
    for each in (delivery, again(delivery)):
        deliver("animation", each, dissolve_seconds=0.1)
    assert theirs.read_bytes() == b"mine"
    assert len(list((desk.root / "out").glob("*.webp"))) == 2


def test_without_its_source_there_is_no_animation_and_it_says_so(desk: Desk) -> None:
    delivery = desk.dream()
    Path(delivery.source).unlink()
    with pytest.raises(BadPicture, match=r"in/photo.jpg' is no longer there, so there is nothing to show before"):
        deliver("animation", delivery)


@pytest.mark.parametrize("folder", ["/tmp", "../in", "~/x"])
def test_animations_cannot_be_put_outside_the_output_folder(desk: Desk, folder: str) -> None:
    with pytest.raises(BadOption, match="is not inside the output folder"):
        check("animation", folder=folder)


def test_a_link_out_of_the_output_folder_is_not_followed(desk: Desk) -> None:
    delivery = desk.dream()
    (desk.root / "out" / "moving").symlink_to(desk.root / "in")
    with pytest.raises(BadOption, match="leads out of the output folder"):
        deliver("animation", delivery, folder="moving")
    assert [path.name for path in (desk.root / "in").iterdir()] == ["photo.jpg"]


# What both share.


def test_small_pictures_are_upright_opaque_and_in_srgb(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6  # lies on its side
    assert small(picture(tmp_path / "a.jpg", exif=exif.tobytes()), 32, (0, 0, 0)).size == (24, 32)
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(tmp_path / "b.png")
    assert small(tmp_path / "b.png", 32, (1, 2, 3)).getpixel((5, 5)) == (1, 2, 3)
    Image.fromarray(np.full((40, 40), 40_000, dtype=np.uint16)).save(tmp_path / "c.png")
    assert small(tmp_path / "c.png", 64, (0, 0, 0)).getpixel((5, 5)) == (156, 156, 156)
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name in ("d.jpg", "d.png"):
        kept = small(picture(tmp_path / name, icc_profile=lab), 64, (0, 0, 0))
        plain = small(picture(tmp_path / f"plain-{name}"), 64, (0, 0, 0))
        assert np.abs(np.asarray(kept, dtype=float) - np.asarray(plain, dtype=float)).max() <= 2
    (tmp_path / "e.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:500])
    with pytest.raises(BadPicture, match=r"e.jpg': a truncated JPEG"):
        small(tmp_path / "e.jpg", 32, (0, 0, 0))


def test_a_large_photo_is_read_at_a_fraction_of_its_size(tmp_path: Path) -> None:
    path = picture(tmp_path / "large.jpg", size=(6000, 4000))
    begun = time.process_time()
    assert small(path, 280, (0, 0, 0)).size == (280, 187)
    assert time.process_time() - begun < 0.5


def test_file_systems_without_links_replace_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_given: object, **_named: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "a.jpg").write_bytes(b"theirs")
    for _ in range(2):
        published = files.publish_new(tmp_path, "a.jpg", files.bytes_writer(b"ours"), "me")
        assert published.name == "a-2.jpg"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-2.jpg", "a.jpg"]
    assert published.read_bytes() == b"ours"
    assert (tmp_path / "a.jpg").read_bytes() == b"theirs"


@pytest.mark.parametrize("stem", ["é" * 130, os.fsdecode(b"\x80" * 250), "a" * 250])
def test_long_names_are_cut_between_characters(stem: str) -> None:
    name = files.fitted(stem, ".before-after.webp")
    assert len(os.fsencode(name)) <= 255
    assert len(os.fsencode(name)) > 250
    assert stem.startswith(name.removesuffix(".before-after.webp"))


@pytest.mark.parametrize(
    ("text", "plain"), [("Ünïcödé ß", "Unicode ?"), ("日本", "??"), ("①.jpg", "1.jpg"), ("photo.jpg", "photo.jpg")]
)
def test_letters_that_no_font_has_lose_their_accents(monkeypatch: pytest.MonkeyPatch, text: str, plain: str) -> None:
    monkeypatch.setattr(lettering, "_SYSTEM_FONTS", ())
    lettering._fonts.cache_clear()
    try:
        assert Letters("", 20).fitted(text, 1000)[0] == plain
    finally:
        lettering._fonts.cache_clear()


def test_a_font_of_the_system_is_taken_for_names_that_the_built_in_one_cannot_write() -> None:
    written, font = Letters("", 20).fitted("Привет, Ünïcödé.jpg", 1000)
    if len(Letters("", 20)._fonts) == 1:
        pytest.skip("there is no other font here")
    assert written == "Привет, Ünïcödé.jpg"
    assert font is not Letters("", 20)._fonts[0]


def test_long_names_keep_their_beginning_and_their_end() -> None:
    written, font = Letters("", 20).fitted("a long name of a picture.classic.jpg", 150)
    assert written.startswith("a long")
    assert written.endswith("ic.jpg")
    assert "..." in written
    assert 120 < font.getlength(written) <= 150


def test_a_film_is_shown_on_the_sheet_by_the_frame_in_its_middle(desk: Desk) -> None:
    av = pytest.importorskip("av")
    dream = desk.dream()
    film = Path(dream.output).with_suffix(".mp4")
    with av.open(str(film), "w") as made:
        stream = made.add_stream("libx264", rate=10, options={"g": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(9):
            red = np.full((48, 64, 3), (28 * number, 0, 0), np.uint8)
            made.mux(stream.encode(av.VideoFrame.from_ndarray(red, format="rgb24")))
        made.mux(stream.encode(None))
    deliver("contact_sheet", replace(dream, output=str(film)), cell_px=64, quality=100)
    with Image.open(next((desk.root / "out" / "contact-sheets").iterdir())) as sheet:
        cell = np.asarray(sheet.convert("RGB")).astype(int)
    reddest = cell[..., 0][(cell[..., 1] < 30) & (cell[..., 2] < 30)].max()
    assert 84 <= reddest <= 150
    film.write_bytes(b"no film")
    with pytest.raises(BadPicture, match="no frame that could be shown"):
        deliver("contact_sheet", replace(dream, output=str(film)))
