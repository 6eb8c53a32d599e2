"""Whether a loaded plugin is right: what it provides is tried out, and its own test is run.

Checked is what loading cannot see: that a score rises and depends on its own picture alone, that a filter keeps to its
range, that nothing waits for the device.
"""

from __future__ import annotations

import unittest
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deepdream_plugins.hookspecs import KINDS
from deepdream_plugins.hosting.explaining import explained
from deepdream_plugins.hosting.host import PluginHost
from deepdream_plugins.hosting.limiting import TimeIsUp, is_users, run_stranger

SELF_TEST = "its own test"


@dataclass(frozen=True)
class Checked:
    """One thing that was tried out; ``problem`` says what to mend, or is empty."""

    what: str
    problem: str = ""


def check_plugin(host: PluginHost, name: str) -> list[Checked]:
    """Return all that was tried out of the plugin ``name``. Each check is given up after the host's
    ``selection.filter_seconds``."""
    return [Checked(what, _problem(host, name, check)) for what, check in _checks(host, name)]


def _checks(host: PluginHost, name: str) -> Iterator[tuple[str, Callable[[], None]]]:
    from deepdream_plugins.testing import checks_of

    for kind in KINDS:
        for owned in host.records(kind).values():
            if owned.owner == name:
                for what, check in checks_of(kind, owned.spec).items():
                    yield f"{kind.word} {owned.spec.name!r}: {what}", check
    if host.has_self_test(name):
        yield SELF_TEST, lambda: host.self_test(name)


def _problem(host: PluginHost, name: str, check: Callable[[], None]) -> str:
    seconds = host.selection.filter_seconds
    try:
        run_stranger(name, check, seconds, "a check")
    except TimeIsUp:
        return f"it did not end within {seconds:g} seconds and was given up; make it faster."
    except unittest.SkipTest:
        return ""  # nothing is known to try it with
    except AssertionError as failure:
        return " ".join(str(failure).split()) or explained(failure)
    except BaseException as failure:  # a stranger's program may raise anything
        if is_users(failure):
            raise
        return explained(failure)
    return ""
