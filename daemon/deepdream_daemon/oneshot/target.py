"""Where a dream that was asked for once goes: looked at before anything is dreamt, so that no work is in vain."""

from __future__ import annotations

import os
from pathlib import Path

from deepdream_daemon.configuration.apart import within
from deepdream_daemon.configuration.settings import Settings
from deepdream_engine.errors import BadOption, DeepDreamError


class UnwritableTarget(DeepDreamError):
    """The folder that a dream should go to cannot be written to."""

    def __init__(self, directory: Path, error: OSError) -> None:
        super().__init__(
            f"no dream can be put into the folder {str(directory)!r}: {error.strerror or error}. Make it writable or "
            f"free some space there, or name another folder: -o DIR."
        )


def prepare_target(directory: Path, settings: Settings) -> None:
    """Make ``directory`` if need be, and raise what would keep a dream from being put there."""
    for folder in settings.folders:
        if within(directory.resolve(), folder.input):
            raise BadOption(
                f"the dream would land in the watched folder {str(folder.input)!r} and be dreamt again. Name another "
                f"folder, such as -o {str(folder.output)!r}."
            )
    from deepdream_daemon.publishing.publish import check_space

    try:
        directory.mkdir(parents=True, exist_ok=True)
        check_space(directory, 1, f"once{os.getpid()}")
    except OSError as error:
        raise UnwritableTarget(directory, error) from error


def put(directory: Path, name: str, data: bytes) -> Path:
    """Publish a dream in ``directory`` under the first free name; return where."""
    from deepdream_daemon.publishing.publish import publish_unique

    try:
        return publish_unique(directory, name, data)
    except OSError as error:
        raise UnwritableTarget(directory, error) from error
