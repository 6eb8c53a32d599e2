"""The plugin host: loads each plugin whole or not at all, knows who owns each record, and goes on past a bad
one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from deepdream_engine.errors import BadOption
from deepdream_plugins import hookspecs
from deepdream_plugins.hookspecs import EVENTS, KINDS, MODELS, PROJECT, READY, Kind
from deepdream_plugins.hosting.advising import advised
from deepdream_plugins.hosting.collecting import collect
from deepdream_plugins.hosting.deciding import Decisions
from deepdream_plugins.hosting.explaining import explained
from deepdream_plugins.hosting.health import Health
from deepdream_plugins.hosting.limiting import TimeIsUp, begin_stranger, is_users
from deepdream_plugins.hosting.listening import Listeners
from deepdream_plugins.hosting.loading import (
    CONFIGURATION,
    NO_PLUGINS,
    Candidate,
    candidates,
    check_pin,
    from_cards,
    from_models,
)
from deepdream_plugins.hosting.marking import PluginFault
from deepdream_plugins.hosting.registry import Entry, Owned, PluginInfo, Records
from deepdream_plugins.hosting.running import run_batch
from deepdream_plugins.hosting.under_way import under_way
from deepdream_plugins.options import Where
from deepdream_plugins.selection import Selection
from deepdream_plugins.toml_source import dotted

if TYPE_CHECKING:
    from deepdream_engine.records import Outcome
    from deepdream_plugins.records import Batch

__all__ = ["Owned", "PluginHost", "PluginInfo"]

Result = TypeVar("Result")
_Wait = Callable[[], tuple[object, Records]]


class PluginHost:
    """The plugins that ``selection`` asks for.

    A plugin that cannot be had is in :attr:`plugins` with its reason and none of its records; what the configuration
    itself gets wrong (an unknown name in ``enable``, an unsafe ``folder``) is a ``BadOption``, with its place
    ``where("plugins", "enable")``; if ``lenient``, a name in it that is unknown is a plugin that has failed. Needs no
    torch.
    """

    def __init__(
        self, selection: Selection | None = None, where: Where | None = None, *, lenient: bool = False
    ) -> None:
        self.selection = Selection() if selection is None else selection
        self.health = Health()
        self._where = where or dotted
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._records: dict[Kind, dict[str, Owned[Any]]] = {kind: {} for kind in KINDS}
        self._listeners = Listeners(self.health)
        self._decisions = Decisions(self._manager, self.health)
        self._entries: list[Entry] = []
        self._is_ready = False
        self._entries += self._add(candidates(self.selection, self._where, lenient=lenient))
        if self.selection.models and self.selection.third_party:
            self._entries += self._add([from_models(self.selection, self._where)])
        if self.selection.trained:
            taken = {name: owned.owner for name, owned in self._records[MODELS].items()}
            self._entries += self._add([from_cards(self.selection, taken)])
        self._is_ready = True
        for entry in list(self._entries):
            self._get_ready(entry)

    @property
    def plugins(self) -> Sequence[PluginInfo]:
        """All plugins as they are now, those that are off or failed too, with the hashes of their code."""
        disabled = self.health.disabled
        return tuple(entry.info(disabled) for entry in self._entries)

    def place_of_model(self, owner: str, name: str, key: str) -> str:
        """Return where ``key`` of the model of that name stands, for messages: in its table in the configuration, or
        in the plugin ``owner``."""
        if owner == CONFIGURATION:
            return self._where("models", name, key)
        return f"model {name!r} of the plugin {owner!r}: {key}"

    @property
    def failed(self) -> Sequence[str]:
        """The names of the plugins that could not be loaded."""
        return [entry.name for entry in self._entries if entry.state == "failed"]

    @property
    def not_enabled(self) -> Sequence[str]:
        """The names of the plugins that are installed, and that nobody has enabled."""
        return [entry.name for entry in self._entries if entry.state == "off" and not entry.candidate.switched_off]

    @property
    def unavailable(self) -> str:
        """Why a name may be missing that a plugin should provide: plugins have failed to load, or are switched off;
        ``""`` if all are there that the selection asks for."""
        said = []
        if failed := self.failed:
            said.append(f"A plugin that failed to load may provide it: {', '.join(failed)}; see: deepdream plugins.")
        selection = self.selection
        if not selection.third_party and (selection.enable or selection.folder or selection.models):
            said.append(f"If a plugin provides it: {NO_PLUGINS}.")
        return " ".join(said)

    def running(self) -> Sequence[tuple[str, str, float]]:
        """Return which strangers' code is being called in this process: the plugin, what of it, and for how many
        seconds so far, the longest first. What was given up as too slow and goes on is among them."""
        return under_way()

    def records(self, kind: Kind) -> Mapping[str, Owned[Any]]:
        """Return the records of one kind by name, in the order of loading."""
        return MappingProxyType(self._records[kind])

    def register(self, plugin: object, name: str) -> PluginInfo:
        """Add a plugin that the program, or another plugin, has made; it hears at once that the host is ready."""
        module = getattr(plugin, "__file__", None) or f"{type(plugin).__module__}.{type(plugin).__qualname__}"
        (entry,) = self._add([Candidate(name=name, source=str(module), origin="program", load=lambda: plugin)])
        self._entries.append(entry)
        if self._is_ready:
            self._get_ready(entry)
        return entry.info(self.health.disabled)

    def recipe_for(
        self, path: str, folder: str, on_failure: Callable[[str], object] = lambda _problem: None
    ) -> tuple[str, str] | None:
        """Return the recipe that a plugin names for the picture at ``path`` below the watched ``folder``, and that
        plugin; ``None`` if none does. The first wins. A plugin that fails is logged, told to ``on_failure`` and passed
        over."""
        return self._decisions.recipe_for(path, folder, on_failure)

    def run_batch(self, batch: Batch) -> Iterator[tuple[int, Outcome]]:
        """Dream the jobs of ``batch`` as the plugins want it, by default with the engine; yield each one's index and
        outcome as it is done. A plugin that fails at it is left out, and no job is lost."""
        return run_batch(batch, self._decisions.runners, self.health)

    def tell(self, event: object) -> None:
        """Tell the plugins of a record of :mod:`~deepdream_plugins.events`. Never blocks, never raises."""
        self._listeners.tell(event)

    def settle(self, seconds: float) -> bool:
        """Wait at most ``seconds`` until the plugins have heard all that they were told; return whether they have."""
        return self._listeners.settle(seconds)

    def self_test(self, name: str) -> None:
        """Run the plugin's own check of itself, if it has one; raises ``PluginFailure``."""
        self._decisions.self_test(name, self.selection.filter_seconds)

    def has_self_test(self, name: str) -> bool:
        """Whether the plugin has a check of its own."""
        return self._decisions.has_self_test(name)

    def _add(self, found: Sequence[Candidate]) -> list[Entry]:
        """Load plugins, strangers' side by side, and take them in their order."""
        entries: list[Entry] = []
        waiting: list[tuple[Entry, _Wait | None]] = []
        for candidate in found:
            entry = Entry(candidate, "off" if candidate.off else "active", candidate.off)
            entries.append(entry)
            if not candidate.off:
                names = {each.name for each, _ in waiting}
                waiting.append((entry, self._trying(entry, partial(self._begin, candidate, names))))
        for entry, wait in waiting:
            if wait is not None:
                self._trying(entry, partial(self._take, entry, wait))
        return entries

    def _trying(self, entry: Entry, step: Callable[[], Result]) -> Result | None:
        """Return what ``step`` returns, or let the plugin have failed."""
        try:
            return step()
        # A plugin is a stranger's program: whatever it raises must not stop the others.
        except BaseException as error:
            if is_users(error) or (entry.name == CONFIGURATION and isinstance(error, BadOption)):
                raise
            self._fail(entry, explained(error))
            return None

    def _begin(self, candidate: Candidate, names: Collection[str]) -> _Wait:
        """Begin to load a plugin; return what waits for it."""
        if candidate.name in names or self._manager.has_plugin(candidate.name):
            raise PluginFault(f"another plugin is already named {candidate.name!r}; rename this one.")
        if reason := candidate.absent or candidate.unmet() or check_pin(candidate, self.selection.sha256):
            raise PluginFault(reason)
        if candidate.origin in ("built-in", "configuration"):
            plugin, collected = _loaded(candidate)
            return lambda: (plugin, collected)
        wait = begin_stranger(candidate.name, partial(_loaded, candidate), "loading")
        return partial(self._within_time, wait)

    def _take(self, entry: Entry, wait: _Wait) -> None:
        """Take a plugin and all its records, or nothing of it."""
        plugin, collected = wait()
        self._check_names(collected, entry.name)
        self._manager.register(plugin, entry.name)
        entry.plugin = plugin
        for kind, records in collected.items():
            known = self._records[kind]
            known.update(advised(records, known) if kind is MODELS else records)
        self._listeners.add(entry.name, dict(self._listening(plugin)))
        entry.is_empty = not any(collected.values()) and self._only_provides(plugin)

    def _only_provides(self, plugin: object) -> bool:
        """Whether a plugin has hooks for records alone."""
        hooks = {caller.name for caller in self._manager.get_hookcallers(plugin) or ()}
        return hooks <= {kind.hook for kind in KINDS}

    def _within_time(self, wait: Callable[[float], Result]) -> Result:
        seconds = self.selection.load_seconds
        try:
            return wait(seconds)
        except TimeIsUp:
            raise PluginFault(
                f"it was still loading after {seconds:g} seconds and was given up; do slow work where it is "
                f"needed, not when the plugin is imported or asked for its records."
            ) from None

    def _check_names(self, collected: Records, owner: str) -> None:
        for kind, records in collected.items():
            for name in records:
                known = self._records[kind].get(name)
                if known is not None and owner == CONFIGURATION:
                    raise BadOption(
                        f"{self._where('models', name)}: the plugin {known.owner!r} has a {kind.word} of that name "
                        f"already; choose another."
                    )
                if known is not None:
                    raise PluginFault(
                        f"the {kind.word} {name!r} of the plugin {owner!r} is already provided by the plugin "
                        f"{known.owner!r}; rename one of them, or leave one plugin out."
                    )

    def _listening(self, plugin: object) -> Iterator[tuple[str, Any]]:
        for hook in EVENTS:
            for impl in getattr(self._manager.hook, hook).get_hookimpls():
                if impl.plugin is plugin:
                    yield hook, impl.function if impl.argnames else _without_argument(impl.function)

    def _get_ready(self, entry: Entry) -> None:
        """Tell a plugin that all are loaded; one that fails at it is taken out again."""
        if entry.state != "active":
            return
        for name, impl in self._decisions.fit(READY):
            if name == entry.name:
                try:
                    arguments = [self] if impl.argnames else []
                    self._tell_ready(entry.candidate, partial(impl.function, *arguments))
                except BaseException as error:  # as in _add
                    if is_users(error):
                        raise
                    self._fail(entry, f"{READY}: {explained(error, impl.function)}")

    def _tell_ready(self, candidate: Candidate, function: Callable[[], object]) -> None:
        if candidate.origin in ("built-in", "configuration"):
            function()
        else:
            self._within_time(begin_stranger(candidate.name, function, READY))

    def _fail(self, entry: Entry, reason: str) -> None:
        """Take everything of a plugin out again."""
        entry.state, entry.reason = "failed", reason
        if entry.plugin is None:
            return
        self._manager.unregister(entry.plugin)
        entry.plugin = None
        self._listeners.remove(entry.name)
        for records in self._records.values():
            for name in [name for name, owned in records.items() if owned.owner == entry.name]:
                del records[name]


def _loaded(candidate: Candidate) -> tuple[object, Records]:
    plugin = candidate.load()
    return plugin, collect(plugin, candidate.name)


def _without_argument(function: Any) -> Any:
    return lambda _event: function()
