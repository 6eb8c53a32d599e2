"""Which plugins are fit to be used: one that fails again and again is disabled until the program is started anew."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping

from deepdream_plugins.hosting.guarding import PluginDisabled, is_third_party

FAILURES = 5
"""So many failures without a success between disable a plugin."""

JOBS = "a job"


class Health:
    """Counts failures. May be used by any thread. Built-in plugins and the configuration are never disabled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_a_row: Counter[tuple[str, str]] = Counter()
        self._disabled: dict[str, str] = {}

    def failed(self, plugin: str, why: str, doing: str = JOBS) -> bool:
        """Note a failure; return whether that disabled the plugin. ``doing`` tells apart what is counted by itself: a
        listener that works makes no filter work."""
        if not is_third_party(plugin):
            return False
        with self._lock:
            self._in_a_row[plugin, doing] += 1
            if self._in_a_row[plugin, doing] < FAILURES or plugin in self._disabled:
                return False
            ended = why if why.endswith((".", "!", "?")) else f"{why}."
            self._disabled[plugin] = (
                f"it failed {FAILURES} times in a row, at last: {ended} Mend or remove it, then start again."
            )
            return True

    def disable(self, plugin: str, why: str) -> None:
        """Have a plugin disabled that was found unfit elsewhere: another process works with the same plugins."""
        with self._lock:
            self._disabled.setdefault(plugin, why)

    def succeeded(self, plugins: Iterable[str], doing: str = JOBS) -> None:
        """Note that something was done with the help of ``plugins``."""
        with self._lock:
            for plugin in plugins:
                self._in_a_row.pop((plugin, doing), None)

    @property
    def disabled(self) -> Mapping[str, str]:
        """The plugins that were disabled, each with the reason, as they are now."""
        with self._lock:
            return dict(self._disabled)

    def require(self, plugins: Iterable[str]) -> None:
        """Raise :class:`PluginDisabled` if one of ``plugins`` was disabled."""
        disabled = self.disabled
        for plugin in sorted(plugins):
            if plugin in disabled:
                raise PluginDisabled(f"the plugin {plugin!r} is disabled: {disabled[plugin]}", plugin)
