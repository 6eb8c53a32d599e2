"""The default of ``deepdream_run_batch``: the engine itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from deepdream_plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from deepdream_engine.records import Outcome
    from deepdream_plugins.records import Batch


@hookimpl(trylast=True)
def deepdream_run_batch(batch: Batch) -> Iterator[tuple[int, Outcome]]:
    """Dream the jobs, refilling the device whenever a picture is done."""
    return batch.engine.stream(batch.jobs, on_progress=batch.on_progress, should_stop=batch.should_stop)
