"""What holds for all tests: workers that run side by side compute with one thread each.

Two processes with a pool of threads for all cores each wait for one another, and take ten times as long.
"""

from __future__ import annotations

import os

import pytest

from tests import tools

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch when it is imported


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--soak-minutes`` says how long the soaks of R20 take together."""
    parser.addoption("--soak-minutes", type=float, default=2.0, help="how long the soaks take together (default: 2)")


def pytest_configure(config: pytest.Config) -> None:
    """Tools of which nobody has heard end the run before it begins."""
    tools.said()
