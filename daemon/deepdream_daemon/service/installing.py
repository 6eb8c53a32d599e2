"""What is seen to before a service is installed or removed: whose rights it has, and that it takes nobody's place."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.service.manager import Manager
from deepdream_daemon.service.wanted import NAME, Scope
from deepdream_engine.errors import BadOption, DeepDreamError


def user_for(config: Path, run_as: str | None) -> str:
    """Return who the system's service runs as."""
    named = run_as or os.environ.get("SUDO_USER")
    try:
        user = (pwd.getpwnam(named) if named else pwd.getpwuid(config.stat().st_uid)).pw_name
    except KeyError:
        whose = f"--run-as: there is no user {named!r}" if named else f"the owner of {str(config)!r} has no name here"
        raise BadOption(f"{whose}. Name one: --run-as USER.") from None
    if user == "root" and run_as is None:
        raise BadOption(
            f"the service would run as root, the owner of {str(config)!r}, and decode pictures of strangers with all "
            "rights. Name the user who may read and write the folders: --run-as USER."
        )
    return user


@contextmanager
def home_of(user: str) -> Iterator[None]:
    """Have ``~`` in the configuration mean the home of ``user``, as it will for the service."""
    before = os.environ.get("HOME")
    if user:
        os.environ["HOME"] = pwd.getpwnam(user).pw_dir
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("HOME", None)
        else:
            os.environ["HOME"] = before


def check_rights(scope: Scope, name: str, config: Path | None = None, run_as: str | None = None) -> None:
    """Raise :class:`DeepDreamError` unless whoever asks may install the service (for ``config``) or remove it."""
    is_root = os.geteuid() == 0
    if scope == "system" and not is_root:
        words = [sys.executable, "-m", "deepdream_daemon", "service", "uninstall" if config is None else "install"]
        words += ["--system", *(["--name", name] if name != NAME else [])]
        words += ["--config", os.fspath(config)] if config else []
        words += ["--run-as", run_as] if run_as else []
        raise DeepDreamError(f"A service of the machine is root's to install and to remove: sudo {shlex.join(words)}")
    if scope == "user" and is_root and "SUDO_USER" in os.environ:
        raise DeepDreamError("With sudo it would be a service of root's. Leave sudo out, or say --system.")


def check_disposal(scope: Scope, settings: Settings, where: Callable[..., str]) -> None:
    """Refuse to put pictures into a trash that nobody opens, and that a confined service may not write to."""
    for index, folder in enumerate(settings.folders):
        if scope == "system" and folder.source == "trash":
            raise BadOption(
                f'{where("folders", index, "source")}: a service of the machine has no trash: write source = "move", '
                f'and processed = "FOLDER" for where they go, or install it as a service of yours, without --system.'
            )


def check_other(manager: Manager, name: str, config: Path) -> None:
    """Do not take the place of a service for another configuration."""
    other = manager.config_of(name)
    if other is not None and other != manager.written_config(config):
        raise DeepDreamError(
            f"The service {name!r} works with the configuration {other} already. Give this one another --name, or "
            "remove that one first: deepdream service uninstall"
        )


def make_state(state: Path, user: str) -> None:
    """Make the state folder, which a confined service could not; whoever makes it, it is its user's."""
    if state.exists():
        return
    state.mkdir(mode=0o700, parents=True)
    if user and os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(state, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
