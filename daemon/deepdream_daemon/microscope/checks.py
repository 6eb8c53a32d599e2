"""Which tests for something suspicious were run, and why others were not: what was not looked for was not absent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

THINGS = "small coloured things that are enough by themselves"
PLACE = "evidence that photos have in the same place, off the middle"


@dataclass(frozen=True)
class Check:
    """A test for what it ``looks_for``; ``why_not`` says why it could not be run, if so."""

    looks_for: str
    why_not: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as the report has it."""
        return {"looks_for": self.looks_for, "ran": not self.why_not, "why_not": self.why_not}


def verdict(facts: dict[str, Any]) -> list[str]:
    """Return what a report comes to, line by line: what is suspicious, or that nothing is, and what was tested."""
    ran = [test["looks_for"] for test in facts["tests"] if test["ran"]]
    lines = [finding["says"] for finding in facts["findings"]]
    if not ran:
        lines.append("No test could be run.")
    elif not lines:
        lines.append("Nothing suspicious was found.")
    if ran:
        lines.append(f"Tested for: {'; '.join(ran)}.")
    lines += [f"Not tested for: {test['looks_for']}: {test['why_not']}." for test in facts["tests"] if not test["ran"]]
    return lines
