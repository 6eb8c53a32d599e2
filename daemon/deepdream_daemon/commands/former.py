"""The settings of commands that ask a daemon, or steer it.

A mistake in the configuration leaves a running daemon with the former one; it must not keep anybody from seeing how
that daemon is, or from stopping it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from deepdream_daemon.configuration.settings import Settings


def settings_of_daemon(config: Path | None) -> tuple[Settings, BadOption | None]:
    """Return what the configuration says; or, if that is wrong and a daemon runs by it nevertheless, where that daemon
    is found, no folders, and the mistake. Raises :class:`BadOption` if there is no such daemon.
    """
    from deepdream_daemon.configuration.config import default_settings, find_config, load_settings
    from deepdream_daemon.running.lock import running_pid

    path = find_config(config)
    if path is None:
        return default_settings(), None
    try:
        return load_settings(path, folders_must_exist=False), None
    except BadOption as error:
        former = _left_of(path)
        if running_pid(former.state) is None:
            raise
        return former, error


def _left_of(path: Path) -> Settings:
    """Return what can be read of a wrong configuration: where its daemon is found."""
    from deepdream_daemon.configuration.config import default_settings
    from deepdream_daemon.configuration.settings import MonitoringSettings
    from deepdream_plugins.toml_source import TomlSource

    try:
        data: Mapping[str, Any] = TomlSource.read(path).data
    except BadOption:
        data = {}
    state, port = (_value(data, *keys) for keys in (("daemon", "state"), ("monitoring", "port")))
    place = Path(state if isinstance(state, str) else "state").expanduser()
    return replace(
        default_settings(),
        path=path.absolute(),
        state=(path.absolute().parent / place).resolve(),
        monitoring=MonitoringSettings(port=port) if isinstance(port, int) else MonitoringSettings(),
    )


def _value(data: Mapping[str, Any], table: str, key: str) -> object:
    found = data.get(table)
    return found.get(key) if isinstance(found, Mapping) else None
