"""Plugins written into a real folder, and the catalogue that comes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from deepdream_plugins import Catalogue, Selection, load_catalogue

WritePlugin = Callable[[str, str], Path]

TOY_MODEL = """
    from deepdream_plugins import ModelSpec, TapNote, hookimpl

    def load(weights):
        from torch import nn
        return nn.Sequential(nn.Conv2d(3, 4, 3))

    @hookimpl
    def deepdream_models():
        yield ModelSpec(
            name="toy",
            help="a tiny network that lists its taps",
            load=load,
            default_tap="top",
            weights="none",
            taps=(TapNote(name="bottom", shows="edges"), TapNote(name="0", shows="all")),
            aliases={"top": "0"},
        )
        yield ModelSpec(name="untold", help="lists no taps", load=load, default_tap="0", weights="none")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for plugin files that only its owner may write."""
    made = tmp_path / "plugins"
    made.mkdir(mode=0o755)
    return made


@pytest.fixture
def write_plugin(folder: Path) -> WritePlugin:
    """``write_plugin(name, code)`` writes a plugin file and returns its path."""

    def write(name: str, code: str) -> Path:
        path = folder / f"{name}.py"
        path.write_text(dedent(code), encoding="utf-8")
        path.chmod(0o644)
        return path

    return write


@pytest.fixture
def catalogue(folder: Path, write_plugin: WritePlugin) -> Catalogue:
    """The built-in catalogue and the models ``toy`` and ``untold``."""
    write_plugin("toy", TOY_MODEL)
    return load_catalogue(Selection(folder=folder))
