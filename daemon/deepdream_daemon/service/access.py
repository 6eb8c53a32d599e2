"""What the user of a service may do: asked as that user, before the service is installed, so that it does not begin by
failing over and over.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

from deepdream_daemon.service.wanted import Wanted
from deepdream_engine.errors import DeepDreamError

_PROGRAM = """\
import json, os, sys
import deepdream_daemon
asked = json.load(sys.stdin)
print(json.dumps([index for index, (path, mode) in enumerate(asked) if not os.access(path, mode)]))
"""


def check_access(wanted: Wanted) -> None:
    """Raise :class:`DeepDreamError` unless the user of ``wanted`` may run the program and use its files and folders."""
    asked = list(_asked(wanted))
    entry = pwd.getpwnam(wanted.user)
    try:
        done = subprocess.run(
            [wanted.python, "-c", _PROGRAM],
            input=json.dumps([[os.fspath(path), mode] for _, path, mode in asked]),
            user=entry.pw_uid,
            group=entry.pw_gid,
            extra_groups=os.getgrouplist(wanted.user, entry.pw_gid),
            cwd="/",
            env={"PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"},  # as in the unit
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except PermissionError as error:
        raise DeepDreamError(
            f"{wanted.user!r}, whom the service is to run as, may not start {os.fspath(wanted.python)!r}. Install "
            "DeepDream where everybody may read it, such as in a virtual environment below /opt, or name another "
            "--run-as USER."
        ) from error
    if done.returncode:
        said = (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1]
        raise DeepDreamError(
            f"DeepDream does not start as {wanted.user!r}, whom the service is to run as: {said}. Install it where "
            "everybody may read it, such as in a virtual environment below /opt, or name another --run-as USER."
        )
    refused = [asked[index] for index in json.loads(done.stdout)]
    if refused:
        faults = "; ".join(f"may not {_verb(mode)} {what} {os.fspath(path)!r}" for what, path, mode in refused)
        raise DeepDreamError(
            f"The service is to run as {wanted.user!r}, who {faults}. Allow it (chown, chmod, also of the folders "
            "above), or name another --run-as USER."
        )


def _asked(wanted: Wanted) -> Iterator[tuple[str, Path, int]]:
    """Yield what is used of the configuration: what it is, where, and what for. What is not there yet is left out."""
    settings = wanted.settings
    enter, change = os.R_OK | os.X_OK, os.R_OK | os.W_OK | os.X_OK
    yield "the configuration", wanted.config, os.R_OK
    for folder in settings.folders:
        yield "the input", folder.input, enter if folder.source == "keep" else change
        yield "the output", folder.output, change
        if folder.processed is not None:
            yield "the folder for processed pictures", folder.processed, change
    if settings.plugins.folder is not None:
        yield "the plugins folder", settings.plugins.folder, enter
    yield from (("the state folder", path, change) for path in (settings.state,) if path.exists())
    yield from (("a sink's folder", path, change) for path in wanted.of_sinks if path.exists())


def _verb(mode: int) -> str:
    if mode & os.W_OK:
        return "write to"
    return "enter" if mode & os.X_OK else "read"
