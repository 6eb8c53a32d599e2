"""A film under way when the configuration changes: the works before end with its chunk, and the next go on with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deepdream_daemon.films.reading import open_clip
from deepdream_daemon.pipeline.darkroom import Darkroom
from tests.daemon.film_daemon import CHUNK, journey, photo, small_chunks, take
from tests.daemon.reloads import FOLDER, QUICK, Reloadable
from tests.daemon.stub import jobs_of, outputs, wait_until

pytest.importorskip("av")

ENGINE = '[engine]\ndevice = "cpu"\nnum_threads = 1\n'


class Filming(Reloadable):
    """With the real darkroom."""

    def _renderer(self, assembly: object) -> Darkroom:  # type: ignore[override]
        return Darkroom(assembly.settings.engine, 40, assembly.catalogue.host)  # type: ignore[attr-defined]


def chunks(root: Path) -> list[int]:
    found = []
    for index in (root / "state" / "films").glob("*/film.json"):
        try:
            found.append(json.loads(index.read_bytes())["chunks"])
        except (OSError, ValueError):
            continue
    return found


def test_a_film_goes_on_under_the_next_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_chunks(monkeypatch.setattr)
    (tmp_path / "state").mkdir(mode=0o700)
    text = FOLDER + QUICK + 'state = "state"\n' + ENGINE
    frames = 40 * CHUNK
    with Filming(tmp_path, text) as daemon:
        path = take(photo(tmp_path), tmp_path / "in", journey(frames))
        wait_until(lambda: any(count > 1 for count in chunks(tmp_path)))
        daemon.config.write_text(text.replace("[daemon]", "[daemon]\nmax_attempts = 5"))
        wait_until(lambda: daemon.daemon.snapshot().generation == 2, what=daemon.daemon.snapshot)
        assert not outputs(tmp_path / "out")
        wait_until(lambda: [job.state for job in jobs_of(tmp_path, path)] == ["done"], 60, daemon.daemon.snapshot)
        (film,) = outputs(tmp_path / "out")
    with open_clip(film) as made:
        assert made.facts.frames == frames
    (job,) = jobs_of(tmp_path, path)
    assert any("frames are dreamt" in what for _, what in job.history)
