"""``demo``: from nothing to a dream, by the real daemon and engine, in time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from deepdream_engine.pictures import read_provenance
from tests.daemon.cli import ENVIRONMENT, deepdream, nowhere, wait_until

__all__ = ["nowhere"]

FULL, SMALL = (1024, 576), (192, 108)


@contextmanager
def demo(place: Path, size: tuple[int, int]) -> Iterator[subprocess.Popen[str]]:
    """Run the demo in ``place`` with a sky of another size, in a process of its own."""
    code = (
        "from deepdream_daemon.commands import main\n"
        "from deepdream_daemon.oneshot import demo\n"
        f"demo.SKY_SIZE = {size}\n"
        "main(prog_name='deepdream')\n"
    )
    command = [sys.executable, "-c", code, "demo", "--dir", place]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("size", [SMALL, pytest.param(FULL, marks=pytest.mark.slow)])
def test_the_demo_ends_with_a_dream(tmp_path: Path, size: tuple[int, int]) -> None:
    since = time.monotonic()
    with demo(tmp_path / "demo", size) as process:
        out, err = process.communicate(timeout=150)
    assert process.returncode == 0, err
    assert time.monotonic() - since < 90
    assert "Traceback" not in err
    output = tmp_path / "demo" / "out"
    dream, pair = output / "cloudy-sky.classic.jpg", output / "before-after.jpg"
    assert f"Dream         {dream}" in out
    assert f"Before/after  {pair}" in out
    assert " s\n" in out
    assert read_provenance(dream.read_bytes()) is not None
    with Image.open(dream) as after, Image.open(pair) as both:
        assert after.size == size
        assert both.width > 2 * after.width
    assert "dreamt" in (tmp_path / "demo" / "state" / "daemon.log").read_text()
    shown = deepdream("status", "--config", tmp_path / "demo" / "config.toml").stdout
    assert "1 done" in shown


def test_the_demo_leaves_a_configuration_alone(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[daemon]\n")
    result = deepdream("demo", "--dir", tmp_path)
    assert result.exit_code == 2
    assert "is there already and was left as it is" in result.stderr
    assert (tmp_path / "config.toml").read_text() == "[daemon]\n"


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_ends_the_demo_cleanly(tmp_path: Path, number: int, code: int, word: str) -> None:
    config = tmp_path / "demo" / "config.toml"

    def dreams() -> bool:
        if not (config.parent / "state" / "journal.sqlite3").exists():
            return False
        return bool(json.loads(deepdream("status", "--config", config, "--json").stdout)["jobs"]["running"])

    with demo(config.parent, FULL) as process:
        wait_until(dreams)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert err.strip() == f"deepdream: {word}"
