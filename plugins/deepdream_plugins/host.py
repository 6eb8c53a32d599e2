"""The plugin host: loads each plugin whole or not at all, knows who owns each record, and goes on past a bad
one.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar

import pluggy

from deepdream_engine.errors import DeepDreamError
from deepdream_plugins import hookspecs
from deepdream_plugins.declarations import PluginFault, check_functions, checked_records
from deepdream_plugins.hookspecs import HOOKS, KINDS, PROJECT, Kind
from deepdream_plugins.loading import Candidate, Origin, built_in, installed, loose
from deepdream_plugins.safety import check_folder

Spec_co = TypeVar("Spec_co", covariant=True)
State = Literal["active", "failed", "off"]


@dataclass(frozen=True, kw_only=True)
class Owned(Generic[Spec_co]):
    """A record and the name of the plugin that provides it."""

    spec: Spec_co
    owner: str


@dataclass(frozen=True, kw_only=True)
class PluginInfo:
    """A plugin as ``deepdream plugins`` shows it; ``reason`` says why it is not active, and what to do."""

    name: str
    version: str
    source: str
    origin: Origin
    state: State
    reason: str = ""


class PluginHost:
    """All plugins: the built-in ones, the installed ones that ``enable`` names, and the files of ``folder``.

    ``watched`` are the folders that pictures are dropped into, which ``folder`` must not touch. A plugin that
    cannot be had is in :attr:`plugins` with its reason and none of its records; what the configuration itself
    gets wrong (an unknown name in ``enable``, an unsafe ``folder``) is a ``BadOption``. Needs no torch.
    """

    def __init__(self, enable: Sequence[str] = (), folder: Path | None = None, watched: Sequence[Path] = ()) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._records: dict[Kind, dict[str, Owned[Any]]] = {kind: {} for kind in KINDS}
        if folder is not None:
            check_folder(folder, watched)
        files = loose(folder) if folder is not None else ()
        self.plugins: Sequence[PluginInfo] = tuple(
            self._add(candidate) for candidate in chain(built_in(), installed(enable), files)
        )

    def records(self, kind: Kind) -> Mapping[str, Owned[Any]]:
        """Return the records of one kind by name, in the order of loading."""
        return MappingProxyType(self._records[kind])

    def _add(self, candidate: Candidate) -> PluginInfo:
        if not candidate.enabled:
            return _info(candidate, "off", f"not enabled; add {candidate.name!r} to [plugins] enable")
        try:
            self._register(candidate)
        # A plugin is a stranger's program: whatever it raises, SystemExit included, must not stop the others.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            return _info(candidate, "failed", explained(error))
        return _info(candidate, "active")

    def _register(self, candidate: Candidate) -> None:
        if self._manager.has_plugin(candidate.name):
            raise PluginFault(f"another plugin is already named {candidate.name!r}; rename this one.")
        plugin = candidate.load()
        check_functions(plugin)
        self._manager.register(plugin, candidate.name)
        try:
            collected = self._collect_all(plugin, candidate.name)
        except BaseException:
            self._manager.unregister(plugin)
            raise
        for kind, records in collected.items():
            self._records[kind].update(records)

    def _collect_all(self, plugin: object, owner: str) -> dict[Kind, dict[str, Owned[Any]]]:
        if not self._manager.get_hookcallers(plugin):
            raise PluginFault(f"it has no hook; write one of {', '.join(HOOKS)}, with @hookimpl on the line above it.")
        return {kind: self._collect(kind, plugin, owner) for kind in KINDS}

    def _collect(self, kind: Kind, plugin: object, owner: str) -> dict[str, Owned[Any]]:
        """Call one hook of one plugin, so that what it gives has a known owner."""
        others = [other for other in self._manager.get_plugins() if other is not plugin]
        call: Callable[[], list[object]] = self._manager.subset_hook_caller(kind.hook, others)
        found: dict[str, Owned[Any]] = {}
        for record in chain.from_iterable(checked_records(kind, result) for result in call()):
            name: str = record.name  # type: ignore[attr-defined]
            known = found.get(name) or self._records[kind].get(name)
            if known is not None:
                raise PluginFault(
                    f"the {kind.word} {name!r} of the plugin {owner!r} is already provided by the plugin "
                    f"{known.owner!r}; rename one of them, or leave one plugin out."
                )
            found[name] = Owned(spec=record, owner=owner)
        return found


def explained(error: BaseException) -> str:
    """Return one line on why a plugin's code failed: the file and line that its author should look at, and
    why.
    """
    if isinstance(error, DeepDreamError):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    if isinstance(error, pluggy.PluginValidationError):
        return " ".join(str(error).split())
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SystemExit):
        what = f"it called sys.exit({error.code!r}); a plugin must not end the program"
    place = next(_places(error), "")
    return f"{place}{' '.join(what.split())}"


def _places(error: BaseException) -> Iterator[str]:
    """Yield the places in the traceback that are not machinery, the innermost first."""
    machinery = (str(Path(__file__).parent), str(Path(pluggy.__file__).parent))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        folder = str(Path(frame.filename).parent)
        if not frame.filename.startswith("<") and "importlib" not in folder and folder not in machinery:
            yield f"{frame.filename}:{frame.lineno}: "


def _info(candidate: Candidate, state: State, reason: str = "") -> PluginInfo:
    return PluginInfo(
        name=candidate.name,
        version=candidate.version,
        source=candidate.source,
        origin=candidate.origin,
        state=state,
        reason=reason,
    )
