"""Logs: lines for people, JSON for programs."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import structlog

from deepdream_daemon.terminal.logs import set_up
from tests.daemon.stub import Running, drop, make_settings

ODD = os.fsdecode(b"/in/\xff\n\x1b[31m.jpg")


@pytest.fixture(autouse=True)
def quiet_again() -> Iterator[None]:
    """Give logging back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def logged(style: str, target: Path) -> str:
    set_up(style, "info", target)  # type: ignore[arg-type]
    structlog.get_logger("deepdream").warning("put off", path=ODD, folder=Path(ODD), unknown=None)
    return target.read_text(encoding="ascii")


def test_a_program_gets_every_byte_of_a_name_back(tmp_path: Path) -> None:
    (line,) = logged("json", tmp_path / "log").splitlines()
    found = json.loads(line)
    assert (found["event"], found["path"], found["folder"]) == ("put off", ODD, ODD)
    assert os.fsencode(found["path"]) == b"/in/\xff\n\x1b[31m.jpg"
    assert "unknown" not in found
    assert datetime.fromisoformat(found["timestamp"]).utcoffset() is not None


def test_a_person_gets_one_line_with_the_zone(tmp_path: Path) -> None:
    (line,) = logged("plain", tmp_path / "log").splitlines()
    assert r"\udcff\n\x1b[31m.jpg" in line
    assert datetime.fromisoformat(line.split()[0]).utcoffset() is not None
    assert "unknown" not in line


@pytest.mark.parametrize("style", ["plain", "json"])
def test_an_exception_is_one_sentence_unless_tracebacks_are_asked_for(tmp_path: Path, style: str) -> None:
    for tracebacks in (False, True):
        target = tmp_path / f"{tracebacks}"
        set_up(style, "info", target, tracebacks=tracebacks)  # type: ignore[arg-type]
        try:
            {}["colour"]
        except KeyError as error:
            structlog.get_logger("deepdream").exception("it failed")
            structlog.get_logger("deepdream").error("it failed again", exc_info=error)
            logging.getLogger("library").exception("so did this")
        text = target.read_text(encoding="utf-8")
        assert text.count("KeyError") >= 3
        assert ("Traceback" in text or '"frames"' in text) is tracebacks
        assert (len(text.splitlines()) == 3) is (not tracebacks or style == "json")
        assert len(text.splitlines()) < 40, "no locals, no source around"


def test_every_line_about_a_job_has_its_number(tmp_path: Path) -> None:
    """Whatever becomes of a picture, a program that reads the log can follow it from the first line to the last."""
    settings = make_settings(tmp_path, max_attempts=2, shutdown_seconds=0.2)
    log = tmp_path / "log"
    set_up("json", "debug", log)
    for name, text in (("good", "sky"), ("broken", "bad"), ("poisoned", "poison"), ("faulty", "fault")):
        drop(tmp_path / "in" / f"{name}.jpg", text)
    (tmp_path / "in" / "typo.jpg.toml").write_text("octavs = 2\n")
    drop(tmp_path / "in" / "typo.jpg", "sky")
    with Running(settings) as running:
        running.wait_for(done=1, failed=4)
        changed = drop(tmp_path / "in" / "slow.jpg", "slow")
        running.wait_for(running=1)
        changed.unlink()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    about = [line for line in lines if "path" in line]
    events = {line["event"] for line in about}
    assert {"queued", "dreamt", "failed", "put off"} <= events
    assert [line for line in about if not isinstance(line.get("job"), int)] == []
    numbers = {line["path"]: line["job"] for line in about}
    assert len(set(numbers.values())) == len(numbers) == 6
