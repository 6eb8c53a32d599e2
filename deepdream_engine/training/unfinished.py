"""The folder of an unfinished training: whose it is, what it was begun with, where it stands, what is kept of it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from deepdream_engine.errors import BadOption
from deepdream_engine.training.listing import Listing
from deepdream_engine.training.task import Task
from deepdream_engine.training.whole import whole

UNFINISHED = "training"
"""Its name inside the model's folder."""
METRICS = "metrics.csv"
EVENTS = "tensorboard"
CHECKPOINT = "last.ckpt"
_PLAN = "plan.json"
_LOCK = ".lock"


def is_helper() -> bool:
    """Whether this process only helps another one, which Lightning's launcher tells it."""
    return os.environ.get("LOCAL_RANK", "0") != "0"


def is_begun(folder: Path) -> bool:
    """Whether the model's folder has a training to go on with."""
    return (folder / UNFINISHED / CHECKPOINT).exists()


@contextlib.contextmanager
def alone(folder: Path, task: Task) -> Iterator[None]:
    """Let nobody else train into the same folder; helpers of this process may."""
    if is_helper():
        yield
        return
    # It stays for ever: a file that is removed may be locked by two who opened it before and after.
    lock = FileLock(task.folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BadOption(
            f"another command is training {task.name!r} at the moment. Wait for it, or --name another."
        ) from None
    try:
        folder.mkdir(exist_ok=True)
        yield
    finally:
        if not (folder / CHECKPOINT).exists():  # nothing was learnt, or all of it is a model now
            shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def clear(folder: Path) -> None:
    """Forget what was learnt; the checkpoint first, without which nothing goes on."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)


def check_plan(task: Task, listing: Listing, apart: Listing | None, base_sha256: str) -> None:
    """Go on only with what was begun with the same pictures and recipe."""
    plan: dict[str, Any] = {
        "pictures": listing.digest(),
        "held-out pictures": None if apart is None else apart.digest(),
        "model": [task.subject.architecture, task.subject.base, base_sha256],
        "recipe": task.recipe.to_dict(),
    }
    folder = task.folder / UNFINISHED
    begun = _begun(folder) if (folder / CHECKPOINT).exists() else None
    if begun is None:
        clear(folder)
        with whole(folder / _PLAN) as file:
            file.write(json.dumps(plan, indent=1).encode())
        return
    changed = [key for key in plan if begun.get(key) != plan[key]]
    if changed:
        raise BadOption(
            f"a training of {task.name!r} was begun with other {' and '.join(changed)}. Undo that to go on with it, "
            f"drop it with --restart, or give this one another name (--name)."
        )


def _begun(folder: Path) -> Mapping[str, Any]:
    try:
        begun = json.loads((folder / _PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadOption(
            f"{str(folder / _PLAN)!r} cannot be read ({error}), so nobody knows what {str(folder / CHECKPOINT)!r} was "
            f"learnt from; --restart begins again without it."
        ) from error
    return begun if isinstance(begun, Mapping) else {}


def step_of(checkpoint: Path) -> int:
    """Return the step that a checkpoint was made at; 0 if there is none that can be read."""
    import torch

    if not checkpoint.exists():
        return 0
    try:
        step = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["global_step"]
    except Exception as error:  # an unpickler that is fed with anything else raises anything, none of it for users
        why = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise BadOption(f"{str(checkpoint)!r} cannot be read ({why}); --restart begins again without it.") from error
    return int(step)


def keep_metrics(folder: Path) -> None:
    """Keep the log beside the model."""
    unfinished = folder / UNFINISHED
    if (unfinished / METRICS).exists():
        os.replace(unfinished / METRICS, folder / METRICS)  # noqa: PTH105  (of one name to another)
    for path in (unfinished / EVENTS).glob("*"):
        (folder / EVENTS).mkdir(exist_ok=True)
        os.replace(path, folder / EVENTS / path.name)  # noqa: PTH105
