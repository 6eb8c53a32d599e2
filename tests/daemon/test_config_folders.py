"""What the keys of a watched folder may be together, and where its folders may lie."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from deepdream_daemon.configuration.config import load_settings
from deepdream_engine.errors import BadOption

FOLDER = '[[folders]]\ninput = "in"\noutput = "out"\n'
MOVE = FOLDER + 'source = "move"\nprocessed = "{}"\n'
THROUGH = FOLDER + "copy_through = true\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration in a place with some folders."""
    for name in ("in", "in/sub", "out", "state", "plugins", "state/done", "done"):
        (tmp_path / name).mkdir()
    return tmp_path / "config.toml"


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        (FOLDER + 'source = "move"\n', 4, ["folders[0].source", 'Add a line: processed = "processed"']),
        (FOLDER + 'processed = "done"\n', 4, ["folders[0].processed", 'only with source = "move"', "'keep'"]),
        (MOVE.format("in"), 5, ["folders[0].processed", "is the same folder as", "in-processed"]),
        (MOVE.format("in/sub"), 5, ["folders[0].processed", "is inside", "dreamt again"]),
        (MOVE.format("."), 5, ["folders[0].processed", "contains", "in-processed"]),
        (MOVE.format("state/done"), 5, ["folders[0].processed", "is inside the state folder"]),
        (MOVE.format("plugins") + '[plugins]\nfolder = "plugins"\n', 5, ["is the same folder as the plugins folder"]),
        (THROUGH.replace('"out"', '"state"'), 3, ["folders[0].output", "is the same folder as the state folder"]),
        (THROUGH + '[plugins]\nfolder = "out/plugins"\n', 3, ["folders[0].output", "contains the plugins folder"]),
        (FOLDER + 'name = "{stem}/{recipe}"\n', 4, ["folders[0].name", "sub-folders are mirrored"]),
        (FOLDER + 'name = "{stem"\n', 4, ["folders[0].name", "Braces enclose one of"]),
        (FOLDER + 'name = "{recipes}"\n', 4, ["folders[0].name", "Did you mean 'recipe'?"]),
        (FOLDER + 'hours = ["22-6"]\n', 4, ["folders[0].hours", "22:00-06:00", "'22-6'"]),
        (FOLDER + 'hours = ["22:00-25:00"]\n', 4, ["folders[0].hours", "'22:00-25:00'"]),
        (FOLDER + 'mode = "999"\n', 4, ["folders[0].mode", "'640'", "'999'"]),
    ],
)
def test_a_mistake_is_named_with_its_line(config: Path, text: str, line: int, parts: list[str]) -> None:
    config.write_text(text)
    with pytest.raises(BadOption) as caught:
        load_settings(config)
    for part in (f"{config}:{line}: ", *parts):
        assert part in str(caught.value)


def test_a_folder_for_processed_pictures_must_be_there(config: Path) -> None:
    config.write_text(MOVE.format("elsewhere"))
    with pytest.raises(BadOption, match=r":5: folders\[0\].processed: the folder '.*elsewhere' does not exist"):
        load_settings(config)
    load_settings(config, folders_must_exist=False)


def test_a_folder_for_processed_pictures_may_be_beside_or_in_the_output(config: Path) -> None:
    for place in ("done", "out"):
        config.write_text(MOVE.format(place))
        assert load_settings(config).folders[0].processed == config.parent / place


def test_a_state_or_plugins_folder_in_an_output_is_fine_as_long_as_nothing_is_copied_there(config: Path) -> None:
    (config.parent / "out" / "state").mkdir()
    config.write_text(FOLDER + '[daemon]\nstate = "out/state"\n')
    assert load_settings(config).state == config.parent / "out" / "state"


@pytest.mark.parametrize("error", [errno.ESTALE, errno.EIO, errno.ETIMEDOUT])
def test_a_folder_of_a_server_that_does_not_answer_is_waited_for(
    config: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    config.write_text(FOLDER)
    _failing(monkeypatch, config.parent / "in", error)
    (folder,) = load_settings(config, folders_must_exist=True).folders
    assert folder.input == config.parent / "in"


def test_a_folder_that_may_not_be_looked_at_is_refused(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text(FOLDER)
    _failing(monkeypatch, config.parent / "in", errno.EACCES)
    with pytest.raises(BadOption, match=r":2: folders\[0\].input: the folder '.*in' cannot be looked at.*chmod"):
        load_settings(config, folders_must_exist=True)


def _failing(monkeypatch: pytest.MonkeyPatch, folder: Path, error: int) -> None:
    """Let every look at ``folder`` fail."""
    real = os.stat

    def look(path: object, **more: Any) -> os.stat_result:
        if path in (folder, os.fspath(folder)):
            raise OSError(error, os.strerror(error), os.fspath(folder))
        return real(path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", look)
