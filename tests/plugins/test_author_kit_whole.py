"""A whole plugin is checked in one call, and whatever is wrong with it is named."""

from __future__ import annotations

from textwrap import dedent
from types import ModuleType

import pytest

from deepdream_plugins.hookspecs import EVENTS
from deepdream_plugins.testing import check_events, check_plugin
from deepdream_plugins.testing.whole import _story

GOOD = """
    from deepdream_plugins import AscentSpec, FilterSpec, Option, SinkSpec, hookimpl

    HEARD = []

    def direction(gradient, state, step):
        return gradient.sign()

    @hookimpl
    def deepdream_ascents():
        yield AscentSpec(name="by_sign", help="h", direction=direction)

    @hookimpl
    def deepdream_postfilters():
        yield FilterSpec(name="upside_down", help="h", apply=lambda pictures, context: pictures.flip(2))

    @hookimpl
    def deepdream_sinks():
        word = Option(name="word", type=str, help="h", choices=("loud", "soft"))
        yield SinkSpec(name="nowhere", help="h", deliver=deliver, options=(word,))

    def deliver(delivery, *, word):
        raise AssertionError("checks of a whole plugin deliver nothing")

    @hookimpl
    def deepdream_job_finished(event):
        HEARD.append(event.seconds)

    @hookimpl
    def deepdream_self_test():
        HEARD.append("tested")
"""


def plugin(code: str) -> ModuleType:
    """A module made of ``code``."""
    module = ModuleType("a_plugin")
    exec(compile(dedent(code), "a_plugin.py", "exec"), module.__dict__)
    return module


def test_a_good_plugin_passes_with_its_listeners_and_its_self_test() -> None:
    module = plugin(GOOD)
    check_plugin(module)
    assert module.HEARD == [12.5, "tested"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (GOOD.replace("def deepdream_job_finished", "def deepdream_job_finish"), "is refused: .*deepdream_job_finish"),
        (GOOD.replace('name="by_sign"', 'name="std"'), r"is refused: the ascent 'std' .* is already provided"),
        (GOOD.replace("gradient.sign()", "-gradient.sign()"), "the ascent 'by_sign' leads downhill"),
        (
            GOOD.replace("pictures.flip(2)", "pictures.flip_(2)"),
            r"'upside_down' .*failed at a_plugin\.py:\d+",
        ),
        (
            GOOD.replace("event.seconds", "event.hours"),
            r"job_finished .* failed at a_plugin\.py:\d+: Attribute",
        ),
        (GOOD.replace('HEARD.append("tested")', "raise OSError('no disk')"), r"self_test failed at .*OSError: no disk"),
        (GOOD.replace("(event)", "(event, extra)"), "extra"),
    ],
    ids=["misspelt", "taken", "record", "filter", "listener", "self_test", "signature"],
)
def test_whatever_is_wrong_is_named(code: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_plugin(plugin(code))


def test_the_story_has_every_event_in_the_order_of_a_daemons_life() -> None:
    told = [name for name, _ in _story()]
    assert set(told) == set(EVENTS)
    assert told[0] == "deepdream_daemon_started"
    assert told[-1] == "deepdream_daemon_stopping"
    assert told.index("deepdream_job_started") < told.index("deepdream_progress") < told.index("deepdream_job_finished")


def test_a_plugin_without_listeners_has_nothing_to_hear() -> None:
    check_events(plugin("from deepdream_plugins import hookimpl"))
