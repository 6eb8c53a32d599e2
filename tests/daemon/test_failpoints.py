"""Fail-points: each is where it says, and none costs anything when nothing is armed."""

from __future__ import annotations

import errno
import re
import sqlite3
import subprocess
import sys
import timeit
from pathlib import Path

import pytest

import deepdream_daemon
from deepdream_daemon import failpoints
from deepdream_daemon.failpoints import Fault, parse
from tests.daemon.stub import environment

PACKAGE = Path(deepdream_daemon.__file__).parent
LISTED = [point for name, points in vars(failpoints).items() if name.endswith("POINTS") for point in points]


def test_every_listed_point_is_passed_somewhere_and_every_passed_one_is_listed() -> None:
    passed: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name != "failpoints.py":
            passed.update(re.findall(r'\bhit\("([^"]+)"\)', path.read_text()))
    assert passed == set(LISTED)
    assert len(LISTED) == len(set(LISTED))


def test_a_point_costs_less_than_a_microsecond_when_nothing_is_armed() -> None:
    best = min(timeit.repeat('hit("publish.linked")', "from deepdream_daemon.failpoints import hit", number=10_000))
    assert best / 10_000 < 1e-6


@pytest.mark.parametrize(
    ("turns", "struck"),
    [("1", [1]), ("3", [3]), ("3+", [3, 4, 5, 6]), ("2-4", [2, 3, 4]), ("100%", [1, 2, 3, 4, 5, 6]), ("0%", [])],
)
def test_a_fault_strikes_when_it_is_its_turn(turns: str, struck: list[int]) -> None:
    fault = Fault("develop.read", "EIO", turns)
    found = []
    for nth in range(1, 7):
        try:
            fault.pass_by()
        except OSError as error:
            found += [nth] if error.errno == errno.EIO else []
    assert found == struck


def test_a_fault_lasts_as_long_as_its_file(tmp_path: Path) -> None:
    flag = tmp_path / "full"
    (fault,) = parse("", f"publish.temp_written:ENOSPC:{flag}")["publish.temp_written"]
    fault.pass_by()
    flag.touch()
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            fault.pass_by()
    flag.unlink()
    fault.pass_by()


@pytest.mark.parametrize(
    ("error", "kind"),
    [("MemoryError", MemoryError), ("SQLITE_FULL", sqlite3.OperationalError), ("ESTALE", OSError)],
)
def test_it_raises_what_the_system_would(error: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        Fault("develop.read", error, "1").pass_by()


def test_faults_stand_beside_each_other_and_beside_a_kill() -> None:
    found = parse("publish.linked:3", "develop.read:EIO,develop.read:ENOSPC:2,publish.done:EBUSY:5%")
    assert {point: [(fault.error, fault.turns) for fault in faults] for point, faults in found.items()} == {
        "publish.linked": [("SIGKILL", "3")],
        "develop.read": [("EIO", "1"), ("ENOSPC", "2")],
        "publish.done": [("EBUSY", "5%")],
    }


@pytest.mark.parametrize(
    ("text", "wrong"), [("a:EFOO", "EFOO"), ("a:EIO:often", "often"), ("a:errorcode", "errorcode")]
)
def test_a_fault_that_is_none_is_refused(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        parse("", text)


def test_a_kill_ends_the_process_at_once() -> None:
    code = "from deepdream_daemon.failpoints import hit\nhit('a')\nprint('once', flush=True)\nhit('a')\nprint('twice')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(**{failpoints.VARIABLE: "a:2"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-9, "once\n")
