"""A machine that is said to have a tool fails the tests that miss it; any other skips them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tools import TOOLS, VARIABLE, lacking, said


@pytest.mark.parametrize("value", ["", "namespaces systemd"])
def test_without_a_tool_a_test_is_skipped_with_what_it_needs(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(pytest.skip.Exception, match=re.escape(f"it is not there; it needs {TOOLS['strace']}")):
        lacking("strace", "it is not there")


def test_where_the_tool_is_said_to_be_its_lack_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "namespaces strace")
    with pytest.raises(pytest.fail.Exception, match="but it is not there"):
        lacking("strace", "it is not there")


def test_a_tool_of_which_nobody_has_heard_is_named_with_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "strace stace")
    with pytest.raises(pytest.UsageError, match=r"names stace; there are strace, namespaces, "):
        said()


def test_tests_ask_only_for_tools_that_there_are() -> None:
    asked = {
        tool
        for path in Path(__file__).parent.rglob("test_*.py")
        for tool in re.findall(r'\blacking\("([^"]+)"', path.read_text())
    }
    assert asked <= set(TOOLS)
