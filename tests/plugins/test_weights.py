"""A file that is given as weights and is none is told by what it is, not by what goes wrong inside of PyTorch."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from deepdream_engine.errors import BadOption
from deepdream_plugins.weights import read_state_dict

STATE = {"a": torch.zeros(40), "b": torch.ones(3, 3)}


def saved(value: object, *, old: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=not old)
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("notes.txt", "no model")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("w.pt", lambda: b"", "it is empty"),
        ("w.pt", lambda: b"no model", "it is no file of torch.save"),
        ("w.pt", lambda: b".", "it is no file of torch.save"),  # an unpickler's "pop from empty list"
        ("w.pt", lambda: b"\x80\x02.", "it is no file of torch.save"),
        ("w.pt", lambda: b"root:x:0:0", "it is no file of torch.save"),  # and its "list index out of range"
        ("w.pt", lambda: b"<!DOCTYPE html><html></html>", "it is no file of torch.save"),
        ("w.pt", lambda: pickle.dumps({"a": [1]}, 2), "it is no file of torch.save"),
        ("w.pt", zipped, "it is a ZIP file, but none of torch.save, or damaged"),
        ("w.pt", lambda: saved(STATE)[:900], "only a part of it is there"),
        ("w.pt", lambda: saved(STATE, old=True)[:300], "only a part of it is there"),
        ("w.pt", lambda: saved(nn.Linear(2, 2)), "it holds more than tensors, such as a whole pickled model"),
        ("w.pt", lambda: saved(nn.Linear(2, 2), old=True), "it holds more than tensors, such as a whole pickled model"),
        ("w.safetensors", lambda: b"no model", "it is no safetensors file, or only a part of one"),
        ("w.safetensors", lambda: b"", "it is empty"),
    ],
)
def test_what_is_no_file_of_weights_is_told_in_plain_words(
    tmp_path: Path, name: str, content: Callable[[], bytes], says: str
) -> None:
    (tmp_path / name).write_bytes(content())
    with pytest.raises(BadOption) as caught:
        read_state_dict(tmp_path / name)
    assert f"'{tmp_path / name}' cannot be read ({says}). Valid: a safetensors file, or" in str(caught.value)


@pytest.mark.parametrize("old", [False, True])
def test_weights_of_either_kind_are_read(tmp_path: Path, old: bool) -> None:
    (tmp_path / "w.pt").write_bytes(saved(STATE, old=old))
    assert read_state_dict(tmp_path / "w.pt").keys() == STATE.keys()


def test_a_folder_is_told_as_the_system_does(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"cannot be read \(Is a directory\)"):
        read_state_dict(tmp_path)
