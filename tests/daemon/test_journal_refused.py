"""A journal that is damaged, of another version or none of ours is refused with a message that says what to do, and
left byte for byte as it is.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.journal.opening import is_there
from deepdream_daemon.journal.schema import SCHEMA_VERSION
from deepdream_daemon.journal.store import FILE_NAME
from deepdream_engine.errors import DeepDreamError
from tests.daemon.cli import COMMAND, ENVIRONMENT, nowhere, unprivileged

__all__ = ["nowhere"]

FOLDER = Path("/in")


def record(journal: Journal, *numbers: int) -> None:
    """Queue pictures, each by itself."""
    for number in numbers:
        job = NewJob(key=f"{number}", folder=FOLDER, sha256=f"{number:064x}", recipe="classic", seed=number)
        journal.record([Taken(path=FOLDER / f"{number}.jpg", fingerprint="1", job=job)])


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The file of a journal with a few hundred jobs, closed."""
    journal = Journal.open(tmp_path / "state")
    taken = [
        Taken(
            path=FOLDER / f"{number}.jpg",
            fingerprint="1",
            job=NewJob(key=f"{number}", folder=FOLDER, sha256=f"{number:064x}", recipe="classic", seed=number),
        )
        for number in range(400)
    ]
    journal.record(taken)
    journal.close()
    return tmp_path / "state" / FILE_NAME


def refused(file: Path, *, checked: bool = True) -> str:
    """Return what is said when it is opened, however it is; it must stay as it is."""
    before = file.read_bytes() if file.is_file() else None
    with pytest.raises(DeepDreamError) as caught:
        Journal.open(file.parent, check=True).close()
    said = str(caught.value)
    if checked:
        with pytest.raises(DeepDreamError):
            Journal.open(file.parent, read_only=True).close()
    assert (file.read_bytes() if file.is_file() else None) == before
    assert str(file) in said
    assert "It was left as it is." in said
    return said


def opened(file: Path) -> tuple[str, Journal | None]:
    """Open it, or return why that was refused."""
    try:
        return "", Journal.open(file.parent, check=True)
    except DeepDreamError as error:
        return str(error), None


def test_one_of_a_newer_version_is_not_touched(made: Path) -> None:
    with sqlite3.connect(made) as raw:
        raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        raw.execute("PRAGMA journal_mode = DELETE")  # whoever turned WAL on would change the file
    raw.close()
    said = refused(made)
    assert f"it has version {SCHEMA_VERSION + 1}; this program reads versions 1 to {SCHEMA_VERSION}" in said
    assert "Use the program that made it" in said


@pytest.mark.parametrize("size", [0, 1, 99, 100, 4096, 10_000])
def test_one_that_was_cut_off_is_refused(made: Path, size: int) -> None:
    os.truncate(made, size)
    assert "to begin anew" in refused(made, checked=size < 4096)


def test_one_that_is_no_database_is_refused(made: Path) -> None:
    made.write_bytes(b"this is no database" * 1000)
    assert "file is not a database" in refused(made)


def test_another_programs_database_is_refused(made: Path) -> None:
    made.unlink()
    with sqlite3.connect(made) as raw:
        raw.execute("CREATE TABLE bookmarks (url TEXT)")
    raw.close()
    assert "it is another program's database" in refused(made)


def test_one_that_lacks_a_table_is_refused(made: Path) -> None:
    with sqlite3.connect(made) as raw:
        raw.execute("DROP TABLE outputs")
    raw.close()
    assert "it lacks outputs" in refused(made)


@pytest.mark.parametrize("kind", ["a folder", "a FIFO"])
def test_what_is_no_file_is_refused(made: Path, kind: str) -> None:
    made.unlink()
    made.mkdir() if kind == "a folder" else os.mkfifo(made)
    assert "it is a " in refused(made)


def test_a_log_whose_journal_is_gone_is_not_taken_for_that_of_a_new_one(made: Path) -> None:
    made.with_name(f"{FILE_NAME}-wal").write_bytes(b"some log")
    made.unlink()
    assert "write-ahead log" in refused(made)
    assert made.with_name(f"{FILE_NAME}-wal").read_bytes() == b"some log"


def test_one_that_a_daemon_makes_while_it_is_looked_for_is_not_taken_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, look, daemons = tmp_path / "state", Path.stat, list[Journal]()

    def stat_then_make(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path == state / FILE_NAME and not daemons:
            with pytest.raises(FileNotFoundError) as gone:
                look(path)
            monkeypatch.setattr(Path, "stat", look)
            daemons.append(Journal.open(state))
            record(daemons[0], 1)
            raise gone.value
        return look(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat_then_make)
    assert is_there(state / FILE_NAME)
    assert (state / f"{FILE_NAME}-wal").stat().st_size > 0
    daemons[0].close()


def test_flipped_bits_are_refused_or_harmless(made: Path) -> None:
    """Wherever a bit flips, opening it is clean, and so is every question: none crashes, none is believed that is not
    whole. In what is no structure (a name, say) nobody can tell."""
    rng = random.Random(5)
    whole = made.read_bytes()
    told = 0
    places = [rng.randrange(100) for _ in range(60)] + [rng.randrange(100, len(whole)) for _ in range(240)]
    for place in places:
        data = bytearray(whole)
        data[place] ^= 1 << rng.randrange(8)
        made.write_bytes(data)
        for ending in ("-wal", "-shm"):
            made.with_name(f"{FILE_NAME}{ending}").unlink(missing_ok=True)
        said, journal = opened(made)
        if journal is None:
            told += 1
            assert str(made) in said
            assert made.read_bytes() == bytes(data)
            continue
        try:
            assert journal.counts().keys() >= {"queued", "done"}
            journal.recent("queued", 5)
            journal.of_path(FOLDER / "7.jpg")
        finally:
            journal.close()
    assert told > 20


def test_without_its_log_it_is_the_journal_of_before(tmp_path: Path) -> None:
    """Killed, and its log lost: what was carried over into the file is whole, and the rest is taken anew."""
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from deepdream_daemon.journal.journal import Journal\n"
        "from tests.daemon.test_journal_refused import record\n"
        "journal = Journal.open(Path(sys.argv[1]))\n"
        "record(journal, *range(300))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, tmp_path / "state"], env=ENVIRONMENT, check=False)
    assert killed.returncode == -signal.SIGKILL
    file = tmp_path / "state" / FILE_NAME
    log = file.with_name(f"{FILE_NAME}-wal")
    assert log.stat().st_size > 0
    shutil.copytree(tmp_path / "state", tmp_path / "whole")
    log.unlink()
    lost = Journal.open(tmp_path / "state", check=True)
    whole = Journal.open(tmp_path / "whole", check=True)
    assert whole.counts()["queued"] == 300
    assert lost.counts()["queued"] == len(lost.recent("queued", 1000)) < 300
    record(lost, *range(300))
    assert lost.counts()["queued"] == 300
    lost.close()
    whole.close()


def test_making_one_is_never_seen_half_done(tmp_path: Path) -> None:
    (tmp_path / f".{FILE_NAME}.new").write_bytes(b"left by one that was killed")
    Journal.open(tmp_path).close()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def ask(state: Path, *command: str) -> subprocess.CompletedProcess[str]:
    config = state.parent / "config.toml"
    for name in ("in", "out"):
        (state.parent / name).mkdir(exist_ok=True)
    config.write_text(f'[[folders]]\ninput = "in"\noutput = "out"\n[daemon]\nstate = "{state.name}"\n')
    words = [*unprivileged(), *COMMAND, *command, "--config", str(config)]
    return subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", [("status",), ("explain", "in/a.jpg"), ("pause",), ("retry", "in/a.jpg")])
def test_whoever_may_not_read_the_state_is_told_whose_it_is(made: Path, command: tuple[str, ...]) -> None:
    state = made.parent
    state.chmod(0)
    try:
        done = ask(state, *command)
    finally:
        state.chmod(0o700)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "cannot be read: Permission denied. It belongs to " in done.stderr
    assert "sudo -u" in done.stderr
    assert "Traceback" not in done.stderr
    assert "not running" not in done.stderr


def test_a_file_that_may_not_be_read_is_told_of_like_its_folder(made: Path) -> None:
    made.chmod(0)
    try:
        done = ask(made.parent, "status")
    finally:
        made.chmod(0o600)
    assert (done.returncode, done.stdout) == (1, "")
    assert "sudo -u" in done.stderr


def test_on_a_disk_that_is_read_only_it_is_still_read(made: Path) -> None:
    """As on a read-only medium: SQLite can make no shared memory beside the file."""
    state = made.parent
    before = sorted(path.name for path in state.iterdir())
    mode = stat.S_IMODE(state.stat().st_mode)
    state.chmod(0o500)
    made.chmod(0o400)
    try:
        shown = ask(state, "status")
        refused = ask(state, "pause")
    finally:
        state.chmod(mode)
        made.chmod(0o600)
    assert shown.returncode == 0, shown.stderr
    assert "400 queued" in shown.stdout
    assert refused.returncode == 1
    assert "Make its folder writable" in refused.stderr
    assert sorted(path.name for path in state.iterdir()) == before
