"""The user's own networks: every table ``[models.NAME]`` of the configuration becomes a model like any other.

:func:`own_plugin` makes a plugin of them. Nothing is imported, built or fetched before a model is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deepdream_plugins.hookspecs import hookimpl
from deepdream_plugins.options import Where
from deepdream_plugins.own_models.specs import model_spec
from deepdream_plugins.own_models.tables import OPTIONS, SOURCES, read_table
from deepdream_plugins.records import ModelSpec
from deepdream_plugins.toml_source import dotted

__all__ = ["OPTIONS", "SOURCES", "own_plugin"]


class _OwnModels:
    """The plugin; tables are read when it is asked for its models."""

    name = "configuration"

    def __init__(
        self, models: Mapping[str, Mapping[str, Any]], base_dir: Path, where: Where, watched: Sequence[Path]
    ) -> None:
        self._models, self._base_dir, self._where, self._watched = models, base_dir, where, watched

    @hookimpl
    def deepdream_models(self) -> Iterator[ModelSpec]:
        """Yield a model for each table; what is wrong with one is a ``BadOption`` with its place."""
        for name, table in self._models.items():
            yield model_spec(read_table(name, table, self._base_dir, self._where, self._watched))


def own_plugin(
    models: Mapping[str, Mapping[str, Any]],
    base_dir: Path,
    where: Where | None = None,
    watched: Sequence[Path] = (),
) -> object:
    """Return a plugin with a model for each of ``models``, tables as in ``[models.NAME]``.

    Paths in them are relative to ``base_dir``, and must not lead into a ``watched`` folder; ``where("models", name,
    key)`` names a place for messages.
    """
    return _OwnModels(models, base_dir, where or dotted, watched)
