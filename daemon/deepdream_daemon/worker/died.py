"""What a call into the worker raises when the worker ends before it has answered."""

from __future__ import annotations

from deepdream_engine.errors import EngineFault


class WorkerDied(EngineFault):
    """The worker ended while it was at work on this picture, and maybe because of it.

    ``reason`` says how, such as ``was killed by SIGSEGV``; ``generation`` is which worker it was, counted from 1;
    ``suspects`` is how many pictures it was at work on. With one, that one did it, or none.
    """

    def __init__(self, reason: str, generation: int, suspects: int = 1) -> None:
        super().__init__(f"the worker process {reason}")
        self.reason = reason
        self.generation = generation
        self.suspects = suspects


class PictureLost(EngineFault):
    """The picture only waited in a worker that has ended: it is begun again, and has nothing to do with it."""

    def __init__(self) -> None:
        super().__init__("the worker process ended before this picture had its turn")
