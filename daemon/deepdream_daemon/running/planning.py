"""From the configuration to a :class:`~deepdream_daemon.running.works.Plan`, at the start and at each reload.

What costs much is kept as long as it fits: plugins stay loaded while their selection and their files are the same, and
the renderer stays while the plugins, ``[engine]`` and ``[pictures]`` do. Another device is tried before it is relied
on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_daemon.configuration.assembly import Assembly, assemble
from deepdream_daemon.configuration.config import find_config
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.running.attended import Attended
from deepdream_daemon.running.works import Plan
from deepdream_engine.errors import BadOption, DeepDreamError

if TYPE_CHECKING:
    from deepdream_daemon.pipeline.rendering import Renderer


class Planner:
    """Makes plans of the configuration ``config``, or of that in the usual places; ``make_renderer`` makes what dreams
    as an assembly says."""

    def __init__(self, config: Path | None, make_renderer: Callable[[Assembly], Renderer]) -> None:
        path = find_config(config)
        if path is None:
            raise BadOption("there is no configuration, so no folder is watched. Make one: deepdream init.")
        self.path = path.absolute()
        self._make_renderer = make_renderer
        self._assembly: Assembly | None = None

    def first(self) -> Plan:
        """Return the plan to begin with; raises :class:`BadOption` for whatever is wrong with the configuration."""
        self._assembly = assembly = assemble(self.path, to_run=True, known=_known_places)
        _check_folders(assembly)
        return _plan(assembly, self._make_renderer(assembly))

    def next(self, plan: Plan, asked: bool) -> Plan:
        """Return the plan that the configuration asks for now. It is ``plan`` if nothing has changed and nobody has
        ``asked`` for it."""
        self._assembly = assembly = assemble(self.path, to_run=True, loaded=plan.book.catalogue, known=_known_places)
        _check_folders(assembly)
        _check_state(assembly, plan)
        settings, same_plugins = assembly.settings, assembly.catalogue is plan.book.catalogue
        if same_plugins and not asked and (settings, assembly.out_of_use) == (plan.settings, plan.out_of_use):
            return plan
        before = plan.settings
        if same_plugins and (settings.engine, settings.pictures) == (before.engine, before.pictures):
            return _plan(assembly, plan.renderer)
        renderer = self._make_renderer(assembly)
        if settings.engine.device != before.engine.device and isinstance(renderer, Attended):
            try:
                with assembly.placing_device():
                    renderer.check()
            except BaseException:
                renderer.close()
                raise
        return _plan(assembly, renderer)

    def place(self, *keys: str | int) -> str:
        """Return where a key stands in the configuration that was read last, for messages."""
        assert self._assembly is not None  # first things first
        return self._assembly.where(*keys)

    @contextmanager
    def placing_device(self) -> Iterator[None]:
        """Give the error of a device that is not there its place in the configuration."""
        assert self._assembly is not None  # first things first
        with self._assembly.placing_device():
            yield


def _plan(assembly: Assembly, renderer: Renderer) -> Plan:
    return Plan(
        settings=assembly.settings,
        book=assembly.book,
        renderer=renderer,
        sinks=assembly.sinks,
        out_of_use=assembly.out_of_use,
    )


def _known_places(state: Path) -> Collection[Path]:
    """Return the folders that the journal in ``state`` knows; what is wrong with one is said when it is opened."""
    try:
        journal = Journal.open(state, read_only=True)
    except (DeepDreamError, OSError, sqlite3.Error):
        return ()
    try:
        return journal.known_places()
    finally:
        journal.close()


def _check_folders(assembly: Assembly) -> None:
    if not assembly.settings.folders:
        entry = '[[folders]], and below it input = "in" and output = "out"'
        raise BadOption(f"{assembly.settings.path}: no folder is watched. Add {entry}.")


def _check_state(assembly: Assembly, plan: Plan) -> None:
    before, after = str(plan.settings.state), str(assembly.settings.state)
    if before != after:
        raise BadOption(
            f"{assembly.where('daemon', 'state')}: the state folder cannot change while the daemon runs: it is "
            f"{before!r}, not {after!r}. Stop the daemon, move the folder, and start the daemon again."
        )
