"""Which recipe a picture gets, what its key depends on, and how outputs get their names."""

from __future__ import annotations

import errno
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.configuration.settings import FolderSettings
from deepdream_daemon.explaining.advice import retry_command, shell_path
from deepdream_daemon.intake.selection import choose_recipe, derive_seed, job_key, output_directory
from deepdream_daemon.pipeline.backoff import LONGEST_SECONDS, delay_seconds, judge
from deepdream_daemon.publishing.names import first_free
from deepdream_daemon.publishing.publish import link_new, make_directory, publish_unique
from deepdream_daemon.publishing.recovery import sweep
from deepdream_engine.errors import BadOption, BadPicture, EngineFault, ModelUnavailable, OutOfMemory
from deepdream_plugins.catalogue import load_catalogue
from deepdream_plugins.recipes import RecipeBook
from tests.daemon.stub import drop, outputs, temps


@pytest.fixture(scope="module")
def book() -> RecipeBook:
    tables: dict[str, dict[str, Any]] = {
        "deep": {"base": "classic", "octaves": 6},
        "flat": {"base": "classic", "octaves": 1, "seed": 7},
    }
    return RecipeBook(load_catalogue(), tables, lambda *keys: f"config.toml: {keys}")


@pytest.fixture
def folder(tmp_path: Path) -> FolderSettings:
    for name in ("in/deep/flat", "in/other", "out"):
        (tmp_path / name).mkdir(parents=True)
    return FolderSettings(input=tmp_path / "in", output=tmp_path / "out")


@pytest.mark.parametrize(
    ("place", "recipe"), [(".", "classic"), ("deep", "deep"), ("deep/flat", "flat"), ("other", "classic")]
)
def test_the_closest_folder_named_like_a_recipe_wins(
    folder: FolderSettings, book: RecipeBook, place: str, recipe: str
) -> None:
    source = drop(folder.input / place / "photo.jpg", "x")
    assert choose_recipe(folder, source, book).name == recipe
    assert output_directory(folder, source) == folder.output / place


def test_a_side_file_changes_options_or_the_whole_recipe(folder: FolderSettings, book: RecipeBook) -> None:
    source = drop(folder.input / "deep" / "photo.jpg", "x")
    side = source.with_name("photo.jpg.toml")
    side.write_text("steps = 3\n")
    chosen = choose_recipe(folder, source, book)
    told = chosen.to_dict()
    assert (told["name"], told["octaves"], told["steps"]) == ("deep", 6, 3)
    side.write_text("base = 'flat'\n")
    assert choose_recipe(folder, source, book).name == "flat"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (b"octavs = 2", ("photo.jpg.toml:1", "octavs", "octaves")),
        (b"\n\noctaves = 99", ("photo.jpg.toml:3", "99")),
        (b"base = 'dep'", ("photo.jpg.toml:1", "dep", "deep")),
        (b"octaves = ", ("photo.jpg.toml:1", "TOML")),
        (b"\xff", ("photo.jpg.toml", "UTF-8")),
        (b"#" * 70_000, ("photo.jpg.toml", "65536")),
    ],
)
def test_a_mistake_in_a_side_file_is_named_with_its_place(
    folder: FolderSettings, book: RecipeBook, text: bytes, parts: tuple[str, ...]
) -> None:
    source = drop(folder.input / "photo.jpg", "x")
    source.with_name("photo.jpg.toml").write_bytes(text)
    with pytest.raises(BadOption) as caught:
        choose_recipe(folder, source, book)
    for part in parts:
        assert part in str(caught.value)


def test_a_side_file_that_is_a_link_is_refused(folder: FolderSettings, book: RecipeBook) -> None:
    source = drop(folder.input / "photo.jpg", "x")
    source.with_name("photo.jpg.toml").symlink_to("/etc/hostname")
    with pytest.raises(BadOption, match="regular file"):
        choose_recipe(folder, source, book)


def test_the_key_depends_on_content_place_recipe_and_seed(book: RecipeBook) -> None:
    one, two = book.resolve("classic"), book.resolve("deep")
    keys = {
        job_key("a", Path("/in/a"), one, 1),
        job_key("b", Path("/in/a"), one, 1),
        job_key("a", Path("/in/b"), one, 1),
        job_key("a", Path("/in/a"), two, 1),
        job_key("a", Path("/in/a"), one, 2),
    }
    assert len(keys) == 5
    assert derive_seed("a", one) == derive_seed("a", one) != derive_seed("a", two)
    assert 0 <= derive_seed("a", one) < 2**63
    assert derive_seed("a", book.resolve("flat")) == 7


def test_names_are_numbered_when_they_are_taken(tmp_path: Path) -> None:
    names = [publish_unique(tmp_path, "photo.classic.jpg", b"%d" % number).name for number in range(4)]
    assert names == ["photo.classic.jpg", *(f"photo.classic-{number}.jpg" for number in (2, 3, 4))]
    assert (tmp_path / "photo.classic.jpg").read_bytes() == b"0"
    assert temps(tmp_path) == []


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").symlink_to(tmp_path / "elsewhere")
    assert publish_unique(tmp_path, "photo.jpg", b"x").name == "photo-2.jpg"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("taken", [0, 1, 2, 3, 7, 8, 100, 999])
def test_few_probes_find_a_free_name(taken: int) -> None:
    probes = []

    def is_taken(number: int) -> bool:
        probes.append(number)
        return number <= taken

    assert first_free(is_taken) == taken + 1
    assert len(probes) <= 22


def test_without_hard_links_it_is_renamed_but_never_over_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    temp = drop(tmp_path / ".temp", "new")
    target = drop(tmp_path / "photo.jpg", "old")
    with pytest.raises(FileExistsError):
        link_new(temp, target)
    assert target.read_bytes() == b"PICTURE old"
    assert publish_unique(tmp_path, "photo.jpg", b"x").name == "photo-2.jpg"
    assert len(outputs(tmp_path)) == 2


def test_folders_are_made_below_the_output_folder_only(tmp_path: Path) -> None:
    make_directory(tmp_path, tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    with pytest.raises(FileNotFoundError):
        make_directory(tmp_path / "none", tmp_path / "none" / "a")


def test_only_our_own_old_temp_files_are_swept(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    names = {
        "sub/.deepdream-us-1-9-1.part": False,
        ".deepdream-us-2-9-1.part": True,
        ".deepdream-them-1-9-1.part": True,
        ".deepdream-once77-9-1.part": True,
        "photo.jpg": True,
    }
    for name in names:
        drop(tmp_path / name, "x")
    assert sweep([tmp_path / "none", tmp_path], "us", "us-2") == 1
    assert {name: (tmp_path / name).exists() for name in names} == names


def test_a_link_is_not_swept_behind_unless_it_is_the_output_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "elsewhere")
    temp = drop(tmp_path / "elsewhere" / ".deepdream-us-1-9-1.part", "x")
    assert sweep([tmp_path / "out"], "us", "us-2") == 0
    assert sweep([tmp_path / "out" / "link"], "us", "us-2", spared=[tmp_path / "out" / "link" / temp.name]) == 0
    assert sweep([tmp_path / "out" / "link"], "us", "us-2") == 1


def test_delays_double_from_one_second_to_five_minutes() -> None:
    rng = random.Random(0)
    delays = [delay_seconds(number, rng) for number in range(12)]
    for number, delay in enumerate(delays):
        assert min(2.0**number, LONGEST_SECONDS) <= delay <= LONGEST_SECONDS
    assert delays == sorted(delays)
    assert len({delay_seconds(3) for _ in range(10)}) > 1


@pytest.mark.parametrize(
    ("error", "permanent", "costs", "costs_in_the_end"),
    [
        (BadPicture("x"), True, True, True),
        (BadOption("x"), True, True, True),
        (PermissionError(errno.EACCES, "x"), True, True, True),
        (EngineFault("x"), False, True, True),
        (ValueError("x"), False, True, True),
        (ModelUnavailable("x"), False, False, False),
        (OSError(errno.ENOSPC, "x"), False, False, False),
        (OSError(errno.EIO, "x"), False, False, True),
        (OSError(errno.ESTALE, "x"), False, False, True),
        (OSError(errno.EBUSY, "x"), False, False, True),
        (MemoryError(), False, False, True),
        (OutOfMemory("x"), False, False, True),
    ],
)
def test_every_error_has_its_verdict(error: Exception, permanent: bool, costs: bool, costs_in_the_end: bool) -> None:
    verdict = judge(error, Path("/in/a.jpg"))
    assert (verdict.permanent, verdict.costs_attempt) == (permanent, costs)
    assert judge(error, Path("/in/a.jpg"), delays=20).costs_attempt == costs_in_the_end
    assert verdict.advice
    assert "retry" not in verdict.advice or verdict.advice.endswith("deepdream retry /in/a.jpg")


def test_advice_for_memory_is_about_memory() -> None:
    for error in (OutOfMemory("x"), MemoryError()):
        assert "tile_px" in judge(error, Path("/in/a.jpg")).advice


@pytest.mark.parametrize(
    "name",
    [
        b"plain.jpg",
        b"two words.jpg",
        b"-rf.jpg",
        b"it's.jpg",
        b"new\nline\\'.jpg",
        b"\xff\xfe \xc3\xa9.jpg",
        b"$(x)`y`",
    ],
)
def test_the_command_in_an_advice_names_the_file_to_a_shell(name: bytes) -> None:
    path = Path(os.fsdecode(name))
    command = retry_command(path)
    assert command.isprintable()
    done = subprocess.run(["bash", "-c", f'set {shell_path(path)}; printf %s "$1"'], capture_output=True, check=True)
    assert done.stdout == name
    assert command == f"deepdream retry {shell_path(path)}"
    assert ("-- " in command) == name.startswith(b"-")


def test_nothing_here_imports_torch() -> None:
    import sys

    from tests.daemon.stub import environment

    code = "import tests.daemon.stub, deepdream_daemon.explaining.explain, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=environment(), check=False).returncode == 0
