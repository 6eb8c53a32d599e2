"""Jobs that the pipeline itself gives up, whatever the renderer may still make of them."""

from __future__ import annotations

from pathlib import Path

from deepdream_daemon.explaining.advice import retry_command
from deepdream_engine.errors import EngineFault


class GivenUp(EngineFault):
    """It is not tried again until somebody asks for it; ``advice`` says what to do before."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


def kills_the_worker(source: Path, reason: str, times: int) -> GivenUp:
    """Return why a picture is given up that has ended the worker ``times`` times, nobody else being there."""
    return GivenUp(
        f"it ended the worker process {times} times, with nothing else at work in it: at last the worker {reason}.",
        "Look at what the worker wrote, in the log. Export the picture again, scale it down, or use another recipe; "
        f"after an update of drivers or plugins it may work. Then run: {retry_command(source)}",
    )


class WorkerUnfit(EngineFault):
    """Every picture ends the worker, so it is hardly the pictures: they wait. ``advice`` says what to look at."""

    def __init__(self, reason: str, times: int) -> None:
        super().__init__(f"the worker process has ended with each of the last {times} pictures: it {reason}.")
        self.advice = (
            "Look at what the worker wrote, in the log, at the driver and at the machine's memory; another "
            "[engine] device may work. It is tried again."
        )


def took_too_long(source: Path, seconds: float, limit_seconds: float) -> GivenUp:
    """Return why a picture is given up that takes longer than the configuration allows."""
    return GivenUp(
        f"it has taken {seconds:.0f} s of work, and the limit is {limit_seconds:g} s ([pictures] job_seconds).",
        "Raise [pictures] job_seconds, scale the picture down, or use a recipe with fewer steps or octaves. "
        f"Then run: {retry_command(source)}",
    )
