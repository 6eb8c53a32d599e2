"""Plugins at work: decisions, events, batches, and what becomes of those that fail again and again."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deepdream_engine.errors import BadOption, Cancelled, EngineFault
from deepdream_engine.records import Dream, Failure
from deepdream_plugins import Batch, PluginDisabled, PluginFailure, PluginHost, Selection, events, hookimpl
from deepdream_plugins.hosting import printing
from deepdream_plugins.hosting.guarding import Guard
from deepdream_plugins.hosting.health import FAILURES, Health
from deepdream_plugins.hosting.listening import LONGEST_QUEUE

WritePlugin = Callable[[str, str], Path]


def with_hooks(**functions: Callable[..., Any]) -> SimpleNamespace:
    """A plugin with these hooks."""
    return SimpleNamespace(**{name: hookimpl(function) for name, function in functions.items()})


def finished(job: int = 1) -> events.JobFinished:
    return events.JobFinished(job=job, path="/in/a", folder="/in", recipe="classic", output="/out/a", seconds=1.0)


def progress(job: int, fraction: float) -> events.JobProgress:
    return events.JobProgress(job=job, path="/in/a", folder="/in", recipe="classic", fraction=fraction)


def test_five_failures_in_a_row_disable_a_plugin_and_a_success_between_does_not() -> None:
    health = Health()
    for _ in range(3):
        assert [health.failed("bad", "why") for _ in range(FAILURES - 1)] == [False] * (FAILURES - 1)
        health.succeeded(["bad", "other"])
    assert health.disabled == {}
    assert [health.failed("bad", "it broke.") for _ in range(FAILURES + 1)] == [False] * 4 + [True, False]
    assert list(health.disabled) == ["bad"]
    assert health.disabled["bad"].startswith("it failed 5 times in a row, at last: it broke. Mend or remove it")
    health.require(["other"])
    with pytest.raises(PluginDisabled, match=r"the plugin 'bad' is disabled: it failed 5 times") as caught:
        health.require(["other", "bad"])
    assert caught.value.plugin == "bad"


@pytest.mark.parametrize("name", ["filters", "configuration"])
def test_what_is_built_in_or_configured_is_never_disabled(name: str) -> None:
    health = Health()
    assert not any(health.failed(name, "why") for _ in range(50))
    assert health.disabled == {}


def test_a_disabled_plugin_is_shown_and_left_out_of_decisions() -> None:
    host = PluginHost()
    host.register(with_hooks(deepdream_recipe_for=lambda path: "google"), "steady")
    host.register(with_hooks(deepdream_recipe_for=lambda path: 1 / 0), "shaky")
    for _ in range(FAILURES):
        assert host.recipe_for("/in/a.jpg", "/in") == ("google", "steady")
    (shaky,) = [plugin for plugin in host.plugins if plugin.name == "shaky"]
    assert shaky.state == "disabled"
    assert "ZeroDivisionError" in shaky.reason
    assert host.recipe_for("/in/a.jpg", "/in") == ("google", "steady")


def test_one_listener_that_fails_or_hangs_silences_no_other() -> None:
    heard: list[int] = []
    hang = threading.Event()
    host = PluginHost()
    host.register(with_hooks(deepdream_job_finished=lambda event: hang.wait(60)), "hangs")
    host.register(with_hooks(deepdream_job_finished=lambda event: 1 / 0), "fails")
    host.register(with_hooks(deepdream_job_finished=lambda event: heard.append(event.job)), "listens")
    begun = time.monotonic()
    for job in range(FAILURES + 2):
        host.tell(finished(job))
    assert time.monotonic() - begun < 1
    until = begun + 50
    while len(heard) < FAILURES + 2 or not host.health.disabled:
        assert time.monotonic() < until
        assert not host.settle(0.1)
    assert heard == list(range(FAILURES + 2))
    assert list(host.health.disabled) == ["fails"]
    hang.set()
    assert host.settle(5)


class Panic(BaseException):
    """As a library in Rust panics: no Exception."""


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("nothing to say")


def _raise(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize("error", [Panic("at the disco"), Mute(), KeyboardInterrupt()])
def test_a_listener_hears_on_whatever_it_has_raised(error: BaseException) -> None:
    heard: list[int] = []
    host = PluginHost()
    plugin = with_hooks(deepdream_job_finished=lambda event: heard.append(event.job) or _raise(error))
    host.register(plugin, "panics")
    for job in range(FAILURES):
        host.tell(finished(job))
    assert host.settle(5)
    assert heard == list(range(FAILURES))
    assert list(host.health.disabled) == ["panics"]


def test_a_listener_whose_thread_ends_hears_the_next_event(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []
    host = PluginHost()
    host.register(with_hooks(deepdream_job_finished=lambda event: heard.append(event.job)), "listens")
    ended = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: ended.set())
    with monkeypatch.context() as broken:
        broken.setattr(host.health, "succeeded", lambda *_: _raise(SystemError("no thread outlives this")))
        broken.setattr(host.health, "failed", lambda *_: _raise(SystemError("no thread outlives this")))
        host.tell(finished(1))
        assert ended.wait(5)
        assert host.settle(1)
    host.tell(finished(2))
    assert host.settle(5)
    assert heard == [1, 2]


@pytest.mark.parametrize("error", [Panic("at the disco"), Mute()])
def test_whatever_a_plugin_raises_is_its_failure(error: BaseException) -> None:
    host = PluginHost()
    host.register(with_hooks(deepdream_recipe_for=lambda path: _raise(error)), "panics")
    for _ in range(FAILURES):
        assert host.recipe_for("/in/a.jpg", "/in") is None
    assert list(host.health.disabled) == ["panics"]
    assert type(error).__name__ in host.health.disabled["panics"]


def test_an_error_of_the_users_kind_that_cannot_be_read_is_a_failure_too() -> None:
    class Wordless(BadOption):
        def __str__(self) -> str:
            raise ValueError("nothing to say")

    with pytest.raises(PluginFailure, match="Wordless \\(which cannot say more"):
        Guard("the score 'x'", "mute").call(lambda: _raise(Wordless()))


def test_a_call_in_the_step_loop_takes_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Guard("the score 'x'", "quick")
    assert guard.call(lambda: 1) == 1  # which puts the stand-in for stdout in its place
    monkeypatch.setattr(printing, "_lock", None)
    assert guard.call(lambda: 2) == 2


def test_the_users_own_interrupt_goes_through_every_plugin() -> None:
    with pytest.raises(KeyboardInterrupt):
        Guard("the score 'x'", "innocent").call(lambda: _raise(KeyboardInterrupt()))


def test_whose_code_runs_is_known_but_not_while_it_has_called_somebody_else() -> None:
    host, inside, leave = PluginHost(), threading.Event(), threading.Event()
    guard = Guard("the post-filter 'slow'", "slow")

    def outer() -> None:
        Guard("the ascent 'inner'", "inner").call(lambda: None)
        inside.set()
        leave.wait(5)

    thread = threading.Thread(target=lambda: guard.call(outer))
    begun = time.monotonic()
    thread.start()
    assert inside.wait(5)
    ((plugin, what, seconds),) = [call for call in host.running() if call[0] in ("slow", "inner")]
    assert (plugin, what) == ("slow", "the post-filter 'slow'")
    assert 0 <= seconds <= time.monotonic() - begun
    leave.set()
    thread.join()
    seen: list[object] = []

    def feed() -> Iterator[str]:
        seen.append([call for call in host.running() if call[0] == "wraps"])  # it is our own time
        yield "a"

    def wrapper() -> Any:
        outcomes = yield
        return ((index, outcome) for index, outcome in outcomes)

    host.register(SimpleNamespace(deepdream_run_batch=hookimpl(wrapper=True)(wrapper)), "wraps")
    assert run(host, feed()) == {0: "a"}
    assert seen == [[]]
    assert [call for call in host.running() if call[0] in ("slow", "inner", "wraps")] == []


def test_events_come_in_order_and_progress_is_the_latest() -> None:
    heard: list[object] = []
    go = threading.Event()
    host = PluginHost()
    plugin = with_hooks(
        deepdream_job_started=lambda event: go.wait(10),
        deepdream_progress=lambda event: heard.append((event.job, event.fraction)),
        deepdream_job_finished=lambda: heard.append("finished"),
    )
    host.register(plugin, "listens")
    host.tell(events.JobStarted(job=1, path="/in/a", folder="/in", recipe="classic", attempt=1))
    for step in range(10):
        host.tell(progress(1, step / 10))
        host.tell(progress(2, step / 10))
    host.tell(finished())
    host.tell(events.DaemonStopping(queued=0))  # nobody listens
    go.set()
    assert host.settle(5)
    assert heard == [(1, 0.9), (2, 0.9), "finished"]


def test_a_listener_that_does_not_keep_up_loses_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[int] = []
    begun, go = threading.Event(), threading.Event()

    def slow(event: events.JobFinished) -> None:
        begun.set()
        go.wait(10)
        heard.append(event.job)

    host = PluginHost()
    host.register(with_hooks(deepdream_job_finished=slow), "slow")
    host.tell(finished(0))
    assert begun.wait(5)
    for job in range(1, LONGEST_QUEUE + 11):
        host.tell(finished(job))
    go.set()
    assert host.settle(10)
    assert heard == [0, *range(11, LONGEST_QUEUE + 11)]
    assert "'slow' does not keep up with its events" in caplog.text


def test_what_a_listener_prints_goes_to_the_log(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    host = PluginHost()
    host.register(with_hooks(deepdream_job_finished=lambda event: print("heard it")), "loud")
    host.tell(finished())
    assert host.settle(5)
    assert capsys.readouterr().out == ""
    assert "plugin loud prints: heard it" in caplog.text


READY = """
    from deepdream_plugins import FilterSpec, hookimpl

    @hookimpl
    def deepdream_postfilters():
        yield FilterSpec(name="{name}", help="x", apply=lambda pictures, context: pictures)

    @hookimpl
    def deepdream_host_ready(host):
        {body}
"""


def test_all_hear_that_the_host_is_ready_and_one_that_fails_is_taken_out_whole(
    folder: Path, write_plugin: WritePlugin
) -> None:
    path = write_plugin("a_bad", READY.format(name="bad", body="raise ValueError('not like this')"))
    write_plugin("good", READY.format(name="good", body="host.seen = [plugin.name for plugin in host.plugins]"))
    write_plugin("z_last", READY.format(name="last", body="pass"))
    host = PluginHost(Selection(folder=folder))
    states = {plugin.name: plugin for plugin in host.plugins if plugin.origin == "file"}
    assert {name: plugin.state for name, plugin in states.items()} == {
        "a_bad": "failed",
        "good": "active",
        "z_last": "active",
    }
    assert states["a_bad"].reason == f"deepdream_host_ready: {path}:10: ValueError: not like this"
    assert "z_last" in host.seen  # type: ignore[attr-defined]
    from deepdream_plugins.hookspecs import POSTFILTERS

    assert {"good", "last"} <= set(host.records(POSTFILTERS))
    assert "bad" not in host.records(POSTFILTERS)


def test_a_plugin_that_comes_late_hears_that_the_host_is_ready() -> None:
    host, heard = PluginHost(), []
    info = host.register(with_hooks(deepdream_host_ready=lambda host: heard.extend([host])), "late")
    assert (info.state, info.origin) == ("active", "program")
    assert heard == [host]
    assert host.plugins[-1].name == "late"
    again = host.register(with_hooks(deepdream_host_ready=lambda: None), "late")
    assert (again.state, "already named 'late'" in again.reason) == ("failed", True)


def test_a_plugin_may_register_others_when_the_host_is_ready(folder: Path, write_plugin: WritePlugin) -> None:
    other = "host.register(__import__('types').SimpleNamespace(deepdream_self_test=hookimpl(lambda: None)), 'other')"
    write_plugin("brings", READY.format(name="brings", body=other))
    assert [plugin.state for plugin in PluginHost(Selection(folder=folder)).plugins if plugin.name == "other"] == [
        "active"
    ]


# Batches. The engine is a small real one: what it gives back is told by the job's own number.


class Echo:
    """Stands for the engine: its dream of a job is the job, one behind the feed as the real one is."""

    def stream(self, jobs: Any, *, on_progress: Any, should_stop: Any) -> Iterator[tuple[int, Any]]:
        waiting: list[tuple[int, Any]] = []
        for index, job in enumerate(job for job in jobs if job is not None):
            if should_stop():
                raise Cancelled("stopped by the caller")
            waiting.append((index, job))
            if len(waiting) > 1:
                on_progress(waiting[0][0], 1.0)
                yield self._dreamt(*waiting.pop(0))
        for index, job in waiting:
            yield self._dreamt(index, job)

    @staticmethod
    def _dreamt(index: int, job: Any) -> tuple[int, Any]:
        return index, Dream(pixels=job, weights_sha256="", tile_px=1, precision="fp32")


def run(
    host: PluginHost,
    jobs: Any = "abcde",
    should_stop: Callable[[], bool] = lambda: False,
    engine: Any = None,
) -> dict[int, Any]:
    told: list[int] = []
    batch = Batch(
        engine=engine or Echo(),
        jobs=jobs,
        on_progress=lambda index, fraction: told.append(index),
        should_stop=should_stop,
    )
    found: dict[int, Any] = {}
    for index, outcome in host.run_batch(batch):
        assert index not in found
        found[index] = outcome.pixels if isinstance(outcome, Dream) else outcome.error
    assert told == sorted(set(told)) or set(told) <= set(found)
    return found


ALL = dict(enumerate("abcde"))


def test_the_engine_runs_a_batch_by_default() -> None:
    assert run(PluginHost()) == ALL
    assert run(PluginHost(), iter(["a", None, "b", None])) == {0: "a", 1: "b"}


def test_a_wrapper_sees_every_outcome_and_may_change_it() -> None:
    seen: list[int] = []

    def wrapper(batch: Batch) -> Any:
        outcomes = yield

        def watched() -> Iterator[Any]:
            for index, outcome in outcomes:
                seen.append(index)
                yield index, outcome if index else Failure(error=EngineFault("not this one"))

        return watched()

    host = PluginHost()
    host.register(SimpleNamespace(deepdream_run_batch=hookimpl(wrapper=True)(wrapper)), "timer")
    found = run(host)
    assert str(found.pop(0)) == "not this one"
    assert found == {index: job for index, job in ALL.items() if index}
    assert seen == [0, 1, 2, 3, 4]
    assert host.health.disabled == {}


def test_a_wrapper_may_try_a_failed_job_again() -> None:
    class Shaky(Echo):
        """Fails at the first try of every job but the first."""

        def __init__(self) -> None:
            self.tries: Counter[str] = Counter()

        def _dreamt(self, index: int, job: Any) -> tuple[int, Any]:  # type: ignore[override]
            self.tries[job] += 1
            if job != "a" and self.tries[job] == 1:
                return index, Failure(error=EngineFault(f"{job} failed"))
            return super()._dreamt(index, job)

    def retries(batch: Batch) -> Any:
        outcomes = yield

        def again() -> Iterator[Any]:
            for index, outcome in outcomes:
                if isinstance(outcome, Failure):
                    alone = batch.engine.stream(
                        [batch.job(index)],
                        on_progress=lambda _, fraction, index=index: batch.on_progress(index, fraction),
                        should_stop=batch.should_stop,
                    )
                    for _, retried in alone:
                        yield index, retried
                else:
                    yield index, outcome

        return again()

    host = PluginHost()
    host.register(SimpleNamespace(deepdream_run_batch=hookimpl(wrapper=True)(retries)), "retries")
    assert run(host, engine=Shaky()) == ALL
    assert host.health.disabled == {}


def test_a_job_that_was_not_taken_cannot_be_asked_for() -> None:
    errors: list[str] = []

    def asks(batch: Batch) -> Any:
        outcomes = yield
        for index in (0, -1):
            with pytest.raises(LookupError, match=f"job {index} was not taken") as caught:
                batch.job(index)
            errors.append(str(caught.value))
        return outcomes

    host = PluginHost()
    host.register(SimpleNamespace(deepdream_run_batch=hookimpl(wrapper=True)(asks)), "asks")
    assert run(host) == ALL
    assert len(errors) == 2


def test_a_plugin_may_replace_the_engine_for_some_batches() -> None:
    def other(batch: Batch) -> Any:
        jobs = list(batch.jobs)
        return ((index, Dream(pixels=job.upper(), weights_sha256="", tile_px=1, precision="fp32"))
                for index, job in enumerate(jobs))  # fmt: skip

    host = PluginHost()
    host.register(with_hooks(deepdream_run_batch=lambda: None), "declines")
    assert run(host) == ALL
    host.register(with_hooks(deepdream_run_batch=other), "cluster")
    assert run(host) == dict(enumerate("ABCDE"))


def _fails_at_once(batch: Batch) -> Any:
    raise ValueError("never again")


def _fails_midway(batch: Batch) -> Any:
    for index, outcome in batch.engine.stream(batch.jobs, on_progress=batch.on_progress, should_stop=batch.should_stop):
        if index == 2:
            raise ValueError("enough")
        yield index, outcome


def _gives_numbers(batch: Batch) -> Any:
    return 7


def _gives_bare_outcomes(batch: Batch) -> Any:
    return list(batch.jobs)


def _gives_one_twice(batch: Batch) -> Any:
    for _ in range(2):
        yield from Echo().stream(batch.jobs, on_progress=batch.on_progress, should_stop=batch.should_stop)
        yield Echo._dreamt(0, "a")


def _loses_some(batch: Batch) -> Any:
    return [Echo._dreamt(index, job) for index, job in enumerate(batch.jobs) if index % 2]


def _ends_early(batch: Batch) -> Any:
    return [Echo._dreamt(0, next(iter(batch.jobs)))]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (_fails_at_once, "failed at {file}:{line}: ValueError: never again"),
        (_fails_midway, "ValueError: enough"),
        (_gives_numbers, "returned int; return an iterator of (index, outcome)."),
        (_gives_bare_outcomes, "gave str, not a pair of a job's index and its Dream or Failure."),
        (_gives_one_twice, "gave an outcome of job 0 twice."),
        (_loses_some, "gave no outcome of 3 of the jobs that it took;"),
        (_ends_early, "gave no outcome of the jobs that it has not taken;"),
    ],
)
def test_a_plugin_that_fails_at_a_batch_is_left_out_and_no_job_is_lost(
    function: Callable[..., Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = PluginHost()
    host.register(with_hooks(deepdream_run_batch=function), "bad")
    assert run(host) == ALL
    expected = said.format(file=__file__, line=function.__code__.co_firstlineno + 1)
    assert f"deepdream_run_batch of the plugin 'bad' {expected}" in caplog.text or expected in caplog.text
    for _ in range(FAILURES - 1):
        assert run(host) == ALL
    assert list(host.health.disabled) == ["bad"]
    caplog.clear()
    assert run(host) == ALL
    assert caplog.text == ""


def test_a_wrapper_that_fails_leaves_the_other_wrapper_at_work() -> None:
    seen: list[int] = []

    def counting() -> Any:
        outcomes = yield
        return (seen.append(index) or (index, outcome) for index, outcome in outcomes)

    def failing() -> Any:
        outcomes = yield
        return ((index, outcome) for index, outcome in outcomes if index < 2 or 1 / 0)

    host = PluginHost()
    host.register(SimpleNamespace(deepdream_run_batch=hookimpl(wrapper=True)(counting)), "counts")
    host.register(SimpleNamespace(deepdream_run_batch=hookimpl(wrapper=True)(failing)), "fails")
    assert run(host) == ALL
    assert seen == [0, 1, 2, 0, 1, 2]  # the second round has the three jobs that the first did not finish


def test_a_stop_and_the_jobs_own_errors_are_no_plugins_fault() -> None:
    def wrapper() -> Any:
        outcomes = yield
        return ((index, outcome) for index, outcome in outcomes)

    def feed() -> Iterator[str]:
        yield "a"
        raise OSError("the disk is gone")

    host = PluginHost()
    host.register(SimpleNamespace(deepdream_run_batch=hookimpl(wrapper=True)(wrapper)), "innocent")
    for _ in range(FAILURES):
        with pytest.raises(Cancelled):
            run(host, should_stop=lambda: True)
        with pytest.raises(OSError, match="the disk is gone"):
            run(host, feed())
    assert host.health.disabled == {}


def test_a_self_test_that_fails_is_named() -> None:
    def own_test() -> None:
        raise BadOption("no camera is attached")

    host = PluginHost()
    host.register(with_hooks(deepdream_self_test=own_test), "camera")
    assert host.has_self_test("camera")
    with pytest.raises(PluginFailure, match="no camera is attached"):
        host.self_test("camera")
