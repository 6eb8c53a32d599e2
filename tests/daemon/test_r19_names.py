"""R19: names of any bytes go in and come out: they are dreamt, found again in the journal, and explained."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from deepdream_daemon.configuration.settings import IGNORE
from deepdream_daemon.explaining.explain import explain
from deepdream_daemon.intake.scan import walk
from deepdream_daemon.intake.sources import fingerprint
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.publishing.names import LONGEST_BYTES, fitted, numbered, output_name
from tests.daemon.stub import Running, drop, is_whole_dream, make_settings, outputs, recipe_book

ODD = [
    b"-rf.jpg",
    b"new\nline.jpg",
    b"\xff\xfe.jpg",
    b"half \xe2\x82 euro.jpg",
    "caf\u00e9.jpg".encode(),
    "cafe\u0301.jpg".encode(),
    b"no suffix",
    b"two..dots.jpg",
    b"100%s{x}$(y)`z`.jpg",
    b"UPPER.JPG",
    b"\\back\"quote'.jpg",
    b"\x01\x7f.jpg",
    b"x" * 251 + b".jpg",
    "\u20ac".encode() * 83 + b".jpg",
    "\U0001f411".encode() * 62 + b".jpeg",
    b"\xff" * 255,
]


def _fuzzed(count: int) -> list[bytes]:
    rng = random.Random(19)
    names: set[bytes] = set(ODD)
    while len(names) < count:
        length = rng.choice([1, 3, 20, 100, 250, 255])
        alphabet = rng.choice([bytes(range(1, 256)), b"ab\n -.", "aé\u0301€🐑".encode()])
        name = bytes(rng.choices(alphabet, k=length)).replace(b"/", b"_")
        if not name.startswith((b".", b"~")) and not name.lower().endswith((b".toml", b".part", b".tmp")):
            names.add(name)
    return sorted(names)


def _check_names(root: Path, names: list[bytes]) -> None:
    settings = make_settings(root)
    for number, name in enumerate(names):
        drop(root / "in" / os.fsdecode(name), f"sky {number}")
    with Running(settings) as running:
        running.wait_for(240, done=len(names))
    dreams = outputs(root / "out")
    assert len(dreams) == len(names)
    assert all(is_whole_dream(dream) for dream in dreams)
    assert {os.fsencode(path.name) for path in (root / "in").iterdir()} == set(names)
    journal = Journal.open(settings.state, read_only=True)
    for name in names:
        (job,) = journal.of_path(root / "in" / os.fsdecode(name))
        assert os.fsencode(job.source.name) == name
        assert job.output is not None
        assert job.output.exists()
    assert explain(root / "in" / os.fsdecode(names[0]), settings, recipe_book(), journal).state == "done"
    journal.close()


def test_10000_fuzzed_names_are_found_remembered_and_given_names_of_their_own(tmp_path: Path) -> None:
    """All of it but the dreaming, which takes longer: that is done for some of them below."""
    names = _fuzzed(10_000)
    settings = make_settings(tmp_path)
    folder = tmp_path / "in"
    for name in names:
        (folder / os.fsdecode(name)).touch()
    errors: dict[Path, OSError] = {}
    found = list(walk(folder, lambda _: {}, IGNORE, look_at_all=True, on_error=errors.__setitem__))
    assert (sorted(os.fsencode(path.name) for path in found), errors) == (names, {})
    journal = Journal.open(settings.state)
    beside = {path.name for path in found}
    batch = [
        Taken(
            path=path,
            fingerprint=fingerprint(path, beside),
            job=NewJob(key=f"{number}", folder=folder, sha256=f"{number}", recipe="classic", seed=number),
        )
        for number, path in enumerate(found)
    ]
    assert {entry.state for entry in journal.record(batch)} == {"queued"}
    journal.close()
    journal = Journal.open(settings.state, read_only=True)
    known = journal.known(folder)
    assert {os.fsencode(name) for name in known} == set(names)
    for taken in batch:
        assert known[taken.path.name] == taken.fingerprint
    for taken in batch[::97]:
        (job,) = journal.of_path(taken.path)
        assert job.source == taken.path
    journal.close()
    given: set[str] = set()
    for path in found:
        name = output_name(path.name, "classic", ".jpg")
        number = 1
        while numbered(name, number) in given:  # two names may be cut to the same
            number += 1
        given.add(numbered(name, number))
    assert len(given) == len(names)
    assert max(len(os.fsencode(name)) for name in given) <= LONGEST_BYTES


def test_fuzzed_names_round_trip(tmp_path: Path) -> None:
    _check_names(tmp_path, _fuzzed(300))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_10000_fuzzed_names_round_trip(tmp_path: Path) -> None:
    _check_names(tmp_path, _fuzzed(10_000))


@pytest.mark.parametrize("name", ODD)
def test_output_names_fit_and_say_what_they_are(name: bytes) -> None:
    output = output_name(os.fsdecode(name), "classic", ".jpg")
    for candidate in (output, numbered(output, 2), numbered(output, 1_000_000)):
        assert len(os.fsencode(candidate)) <= LONGEST_BYTES
        assert candidate.lower().endswith((".jpg", ".jpeg"))
    assert output.lower().endswith((".classic.jpg", ".classic.jpeg"))


@pytest.mark.parametrize(
    ("source", "suffix", "output"),
    [
        ("a.jpg", ".jpg", "a.classic.jpg"),
        ("a.jpeg", ".jpg", "a.classic.jpeg"),
        ("a.JPG", ".jpg", "a.classic.JPG"),
        ("a.Tiff", ".tif", "a.classic.Tiff"),
        ("a.PNG", ".png", "a.classic.PNG"),
        ("a.PNG", ".jpg", "a.classic.jpg"),
        ("a.tiff", ".png", "a.classic.png"),
        ("a", ".png", "a.classic.png"),
        ("a.tga", ".png", "a.classic.png"),
    ],
)
def test_a_suffix_is_spelt_as_the_source_spells_it(source: str, suffix: str, output: str) -> None:
    assert output_name(source, "classic", suffix) == output


def test_names_are_cut_between_characters() -> None:
    for length in range(60, 90):
        os.fsencode(fitted("€" * length, ".classic.jpg")).decode()


def test_folders_with_odd_names_are_mirrored(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    folder = tmp_path / "in" / os.fsdecode(b"-\xff\n") / "b"
    folder.mkdir(parents=True)
    drop(folder / "photo.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1)
    assert outputs(tmp_path / "out") == [tmp_path / "out" / os.fsdecode(b"-\xff\n") / "b" / "photo.classic.jpg"]


def test_bad_files_with_odd_names_are_quarantined(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    drop(tmp_path / "in" / os.fsdecode(b"\xff" * 255), "bad")
    with Running(settings) as running:
        running.wait_for(failed=1)
    assert len(outputs(tmp_path / "state" / "quarantine")) == 1
