"""What holds for all tests: workers that run side by side compute with one thread each.

Two processes with a pool of threads for all cores each wait for one another, and take ten times as long.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests import tools

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch when it is imported


# A machine that does other things as well is no reason to refuse a test.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--soak-minutes`` says how long the soaks of R20 take together."""
    parser.addoption("--soak-minutes", type=float, default=2.0, help="how long the soaks take together (default: 2)")


def pytest_configure(config: pytest.Config) -> None:
    """Tools of which nobody has heard end the run before it begins; and the commands under test hear Ctrl-C also where
    a shell has started the tests in the background, for which it has them ignore it."""
    tools.said()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep tests that share a process apart: what daemons log in other threads does not get into what a command prints
    in this one, and calls of plugins that a test left hanging are not told of in the next."""
    structlog.reset_defaults()
    if "capsys" not in request.fixturenames:  # that one wants what is logged
        # Once for the whole test: Click's runner replaces sys.stdout while it runs a command. (The factory of
        # PrintLogger would look sys.stdout up again.)
        structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=sys.stdout))
    yield
    under_way = sys.modules.get("deepdream_plugins.hosting.under_way")
    if under_way is not None:
        under_way._calls.clear()
