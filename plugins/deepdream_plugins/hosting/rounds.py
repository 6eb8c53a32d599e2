"""One round of a batch: certain plugins' ``deepdream_run_batch``, called as pluggy would, each seen to give its due.

What goes wrong in one plugin is its own failure, and nobody's else: not of a wrapper around it, nor of one whose jobs
could not be had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deepdream_engine.errors import DeepDreamError
from deepdream_plugins.hosting.guarding import Guard, PluginFailure, is_third_party
from deepdream_plugins.hosting.printing import speaking_for_ourselves

if TYPE_CHECKING:
    from deepdream_engine.records import DreamJob, Outcome
    from deepdream_plugins.records import Batch

HOOK = "deepdream_run_batch"
Outcomes = Iterator[tuple[int, "Outcome"]]


@dataclass(frozen=True)
class Implementation:
    """One plugin's ``deepdream_run_batch``; ``takes`` says whether it wants the batch as an argument."""

    plugin: str
    function: Callable[..., Any]
    is_wrapper: bool
    takes: bool = True

    def start(self, batch: Batch) -> Any:
        """Call it."""
        return self.function(batch) if self.takes else self.function()


class Feed:
    """The jobs of a batch, numbered; those that were taken and not finished come again in the next round."""

    def __init__(self, batch: Batch) -> None:
        self._jobs = iter(batch.jobs)
        self._count = 0
        self.unfinished: dict[int, DreamJob] = {}
        self.is_over = False

    def next_round(self) -> Iterator[tuple[int, DreamJob] | None]:
        """Yield the jobs and their indices, ``None`` while none waits."""
        yield from list(self.unfinished.items())
        while not self.is_over:
            try:
                job = next(self._jobs)
            except StopIteration:
                self.is_over = True
                return
            if job is None:
                yield None
                continue
            index = self._count
            self._count += 1
            self.unfinished[index] = job
            yield index, job
            del job


class Round:
    """One try to run the batch with certain plugins."""

    def __init__(self, feed: Feed, batch: Batch) -> None:
        self._feed = feed
        self._numbers: list[int] = []
        """Of the jobs as the plugins count them, in the whole batch."""
        self._foreign: BaseException | None = None
        self.fed: BaseException | None = None
        """What the jobs' own source has raised."""
        self._batch = replace(batch, jobs=self._jobs(), on_progress=self._on_progress, job=self._job)
        self._told = batch.on_progress

    def run(self, chain: Sequence[Implementation]) -> Iterator[tuple[int, DreamJob, Outcome]]:
        """Yield each job's index in the whole batch, the job, and its outcome."""
        for number, outcome in self._outcomes(chain, self._batch):
            index = self._numbers[number]
            job = self._feed.unfinished.pop(index)
            yield index, job, outcome
            del job, outcome  # not to be kept while the next ones are dreamt

    def _jobs(self) -> Iterator[DreamJob | None]:
        jobs = self._feed.next_round()
        while True:
            try:
                with speaking_for_ourselves():
                    taken = next(jobs)
            except StopIteration:
                return
            except BaseException as error:
                self._foreign = self.fed = error
                raise
            if taken is None:
                yield None
                continue
            self._numbers.append(taken[0])
            job = taken[1]
            del taken
            yield job
            del job

    def _job(self, number: int) -> DreamJob:
        if 0 <= number < len(self._numbers) and (job := self._feed.unfinished.get(self._numbers[number])) is not None:
            return job
        raise LookupError(f"job {number} was not taken, or is done; {len(self._numbers)} were taken")

    def _on_progress(self, number: int, fraction: float) -> None:
        try:
            with speaking_for_ourselves():
                self._told(self._numbers[number], fraction)
        except BaseException as error:
            self._foreign = error
            raise

    def _outcomes(self, chain: Sequence[Implementation], batch: Batch) -> Outcomes:
        """Return what the first of ``chain`` makes of what the others give."""
        first, rest = chain[0], chain[1:]
        guard = Guard(HOOK, first.plugin)
        if not first.is_wrapper:
            found = self._guarded(guard, lambda: first.start(batch))
            if found is None and rest:
                return self._outcomes(rest, batch)
            return self._checked(guard, found)
        wrapper = self._guarded(guard, lambda: first.start(batch))
        try:
            self._guarded(guard, lambda: next(wrapper))
        except StopIteration:
            raise guard.failure("ended before it came to its yield; a wrapper yields once: result = yield.") from None
        inner = self._outcomes(rest, batch)
        try:
            self._guarded(guard, lambda: wrapper.send(inner))
        except StopIteration as end:
            return self._checked(guard, end.value)
        raise guard.failure("yielded twice; a wrapper yields once, and returns the outcomes.")

    def _checked(self, guard: Guard, found: object) -> Outcomes:
        """Yield what a plugin gives, and see to it that each job gets one outcome."""
        from deepdream_engine.records import Dream, Failure

        if not hasattr(found, "__iter__"):
            raise guard.failure(f"returned {type(found).__name__}; return an iterator of (index, outcome).")
        outcomes = iter(found)
        done: set[int] = set()
        try:
            while True:
                try:
                    item = self._guarded(guard, lambda: next(outcomes))
                except StopIteration:
                    break
                is_pair = isinstance(item, tuple) and len(item) == 2
                if not is_pair or not isinstance(item[0], int) or not isinstance(item[1], Dream | Failure):
                    raise guard.failure(f"gave {_shown(item)}, not a pair of a job's index and its Dream or Failure.")
                if item[0] in done or not 0 <= item[0] < len(self._numbers):
                    why = "twice" if item[0] in done else f", but has taken {len(self._numbers)}"
                    raise guard.failure(f"gave an outcome of job {item[0]} {why}.".replace(" ,", ","))
                done.add(item[0])
                yield item
                del item
        finally:
            if hasattr(outcomes, "close"):
                outcomes.close()
        missing = len(self._numbers) - len(done)
        if missing or not self._feed.is_over:
            what = f"{missing} of the jobs that it took" if missing else "the jobs that it has not taken"
            raise guard.failure(f"gave no outcome of {what}; go on until batch.jobs ends and all outcomes are yielded.")

    def _guarded(self, guard: Guard, function: Callable[[], Any]) -> Any:
        """Call a plugin's code; what others have raised in it is not its failure."""
        ended: list[StopIteration] = []

        def call() -> Any:
            try:
                return function()
            except StopIteration as end:
                ended.append(end)
                return None

        try:
            result = guard.call(call)
        except PluginFailure as failure:
            cause = failure.__cause__
            if cause is not None and (cause is self._foreign or not is_third_party(guard.plugin)):
                self._foreign = cause
                raise cause from None
            raise
        except DeepDreamError as error:
            self._foreign = error
            raise
        if ended:
            raise ended[0]
        return result


def _shown(item: object) -> str:
    if isinstance(item, tuple) and len(item) == 2:
        return f"({type(item[0]).__name__}, {type(item[1]).__name__})"
    return type(item).__name__
