"""The whole path for real: good and bad files dropped at once into a daemon with the embedded network."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from deepdream_daemon.configuration.settings import EngineSettings
from deepdream_daemon.explaining.explain import explain
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.darkroom import Darkroom
from deepdream_engine.pictures import decode, read_provenance
from deepdream_plugins import RecipeBook, load_catalogue
from tests.corpus import bad_files, good_pictures
from tests.daemon.stub import Running, make_settings, outputs, temps

QUICK = {"classic": {"base": "classic", "octaves": 1, "steps": 2, "margin": 0, "objective": {"layer": "mixed3b"}}}


def test_a_hundred_good_and_a_hundred_bad_files_give_a_hundred_dreams_and_a_hundred_explanations(
    tmp_path: Path,
) -> None:
    staging = tmp_path / "staging"
    (staging / "good").mkdir(parents=True)
    (staging / "bad").mkdir()
    good = [path.relative_to(staging) for path in good_pictures(staging / "good", 100)]
    bad = [path.relative_to(staging) for path in bad_files(staging / "bad", 100)]
    assert (len(set(good)), len(set(bad))) == (100, 100)
    before = {path: _digest(staging / path) for path in good + bad}
    settings = make_settings(tmp_path, engine=EngineSettings(device="cpu"))
    book = RecipeBook(load_catalogue(), QUICK)

    with Running(
        settings, Darkroom(settings.engine, settings.pictures.max_megapixels, book.catalogue.host), book
    ) as running:
        staging.rename(tmp_path / "in" / "drop")  # all at once
        running.wait_for(100, done=100, failed=100)

    dropped = tmp_path / "in" / "drop"
    assert {path: _digest(dropped / path) for path in good + bad} == before, "a source was touched"
    dreams = outputs(tmp_path / "out")
    assert len(dreams) == 100
    assert not temps(tmp_path / "out")
    journal = Journal.open(settings.state, read_only=True)
    try:
        found = {path: explain(dropped / path, settings, book, journal) for path in good + bad}
    finally:
        journal.close()
    assert sorted(found[path].output or Path() for path in good) == dreams
    for path in good:
        output = found[path].output
        assert output is not None
        assert output.parent == tmp_path / "out" / "drop" / "good"
        data = output.read_bytes()
        made_by = read_provenance(data)
        assert made_by is not None
        source = made_by["source"]
        assert isinstance(source, dict)
        assert source["sha256"] == before[path]
        assert os.fsencode(source["name"]) == os.fsencode(path.name)
        assert decode(data).pixels.shape == decode((dropped / path).read_bytes()).pixels.shape
    for path in bad:
        assert found[path].state == "failed", path
        assert found[path].advice, path
        assert len(found[path].reason) > 20, found[path]
    assert len({found[path].reason for path in bad}) > 20, "every kind of damage has its own words"
    assert len(list((settings.state / "quarantine").iterdir())) == 100


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
