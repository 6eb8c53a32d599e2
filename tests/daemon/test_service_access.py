"""A service of the machine is installed only for a user who may do what it does."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deepdream_daemon.configuration.config import write_template
from deepdream_daemon.service.access import check_access
from deepdream_daemon.service.wanted import Wanted
from deepdream_engine.errors import DeepDreamError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root installs services for others")
SOMEBODY = "nobody"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that others may enter, as pytest's own may not be."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def python(place: Path, packages: str) -> Path:
    """An interpreter that everybody may start, which finds what is in ``packages``."""
    system = shutil.which("python3", path="/usr/bin")
    if system is None:
        pytest.skip("there is no Python that everybody may start")
    path = place / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={place / packages} exec {system} "$@"\n')
    path.chmod(0o755)
    return path


def wanted(place: Path) -> Wanted:
    (place / "packages" / "deepdream_daemon").mkdir(parents=True)
    (place / "packages" / "deepdream_daemon" / "__init__.py").touch()
    settings = write_template(place / "work")
    return Wanted(name="deepdream", scope="system", settings=settings, user=SOMEBODY, python=python(place, "packages"))


def given_to_somebody(*paths: Path) -> None:
    entry = pwd.getpwnam(SOMEBODY)
    for path in paths:
        os.chown(path, entry.pw_uid, entry.pw_gid)


def test_what_the_user_may_not_do_is_told_all_at_once(place: Path) -> None:
    service = wanted(place)
    (place / "copies").mkdir()
    (folder,) = service.settings.folders
    sinks = ({"name": "copy", "url": str(place / "copies")}, {"name": "copy", "url": "/not/there/yet"})
    moved = replace(folder, source="move", processed=place / "work" / "done", sinks=sinks)
    moved.processed.mkdir()  # type: ignore[union-attr]
    service = replace(service, settings=replace(service.settings, folders=(moved,)))
    service.config.chmod(0o600)
    with pytest.raises(DeepDreamError) as refused:
        check_access(service)
    for told in (
        f"may not read the configuration '{service.config}'",
        f"may not write to the input '{folder.input}'",
        f"may not write to the output '{folder.output}'",
        f"may not write to the folder for processed pictures '{moved.processed}'",
        f"may not write to a sink's folder '{place / 'copies'}'",
        "--run-as USER",
    ):
        assert told in str(refused.value)
    assert "/not/there/yet" not in str(refused.value)


def test_a_user_who_may_do_all_is_accepted(place: Path) -> None:
    service = wanted(place)
    (folder,) = service.settings.folders
    given_to_somebody(folder.output)
    check_access(service)


def test_a_program_that_the_user_may_not_start_or_does_not_find_is_told(place: Path) -> None:
    service = wanted(place)
    given_to_somebody(service.settings.folders[0].output)
    service.python.chmod(0o700)
    with pytest.raises(DeepDreamError, match=r"may not start .*below /opt"):
        check_access(service)
    elsewhere = replace(service, python=python(place, "nothing"))
    with pytest.raises(DeepDreamError, match=r"No module named 'deepdream_daemon'.*below /opt"):
        check_access(elsewhere)
