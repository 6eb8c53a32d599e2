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
from deepdream_plugins.weights import fit, read_state_dict
from tests.plugins.own_networks import Small, seeded

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


def trained() -> dict[str, torch.Tensor]:
    return seeded().state_dict()


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "network.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("key", [None, "state_dict", "model", "model_state_dict"])
def test_checkpoints_of_trainers_are_understood(tmp_path: Path, key: str | None, prefix: str) -> None:
    state = {prefix + name: value for name, value in trained().items()}
    (tmp_path / "w.pt").write_bytes(saved(state if key is None else {"epoch": 3, key: state}))
    network = fit(Small(), read_state_dict(tmp_path / "w.pt"), model="mine", source="w.pt")
    assert all(torch.equal(value, trained()[name]) for name, value in network.state_dict().items())


def test_of_a_checkpoint_that_does_not_fit_only_what_differs_is_told() -> None:
    state = {f"module.{name}": value for name, value in trained().items()}
    state["module.head.weight"] = torch.zeros(7, 12)
    del state["module.stem.bias"]
    with pytest.raises(
        BadOption,
        match=r"model 'mine': it lacks stem.bias; it differs in shape: head.weight is \(7, 12\) in place of \(5, 12\). "
        r"Its names were read without 'module.' before them. Choose",
    ):
        fit(Small(), state, model="mine", source="w.pt")


def test_names_that_are_all_in_one_part_of_a_network_stay_as_they_are() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = seeded()

    network = fit(Wrapped(), {f"model.{name}": value for name, value in trained().items()}, model="m", source="w")
    assert torch.equal(network.state_dict()["model.stem.weight"], trained()["stem.weight"])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"epoch": 3}, "'epoch' in it is int"),
        ({"net": {"a": torch.zeros(1)}}, "'net' in it is dict"),
        ({"model": {"a": torch.zeros(1), "b": None}}, "'b' in it is NoneType"),
        ({0: torch.zeros(1)}, "0 in it is Tensor"),
        ([torch.zeros(1)], "it is list"),
    ],
)
def test_what_holds_no_state_dict_says_what_it_holds(tmp_path: Path, value: object, says: str) -> None:
    (tmp_path / "w.pt").write_bytes(saved(value))
    with pytest.raises(BadOption, match=f"holds no state dict .*, 'model': {says}. Save one: torch.save"):
        read_state_dict(tmp_path / "w.pt")
