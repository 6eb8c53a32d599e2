"""What a benchmark prints: figures with their spread, beside the targets that they are held to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from deepdream_engine.benchmark.timing import Spread


@dataclass(frozen=True, kw_only=True)
class Figure:
    """``target`` is the least that is wanted; ``unit`` is ``×``, ``%`` (of a value in [0, 1]) or what is counted."""

    measure: str
    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    rounds: int = 1
    target: float | None = None

    @property
    def verdict(self) -> str:
        """Whether the target is met, and if not, by how much it is missed."""
        if self.target is None:
            return ""
        if self.value >= self.target:
            return "met"
        return f"missed by {1 - self.value / self.target:.0%}"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return {**asdict(self), "verdict": self.verdict}


def figure(measure: str, name: str, spread: Spread, unit: str, target: float | None = None) -> Figure:
    """Return the figure of a ``spread``."""
    low, high = spread.quartiles
    return Figure(
        measure=measure,
        name=name,
        value=spread.median,
        unit=unit,
        low=low,
        high=high,
        rounds=len(spread.values),
        target=target,
    )


def table(figures: Iterable[Figure]) -> str:
    """Return a line for each figure: the median, the quartiles, the target."""
    lines = [f"{'':9}{'':46}{'median':>9}   {'quartiles':<18}{'rounds':>6}{'target':>9}"]
    for each in figures:
        low_high = (
            "" if each.low is None or each.high is None else f"{_shown(each, each.low)} – {_shown(each, each.high)}"
        )
        target = "" if each.target is None else f"≥ {_shown(each, each.target)}"
        lines.append(
            f"{each.measure:9}{each.name:46}{_shown(each, each.value):>9}   {low_high:<18}{each.rounds:>6}{target:>9}"
            f"  {each.verdict}".rstrip()
        )
    return "\n".join(lines)


def _shown(figure: Figure, value: float) -> str:
    return f"{value:.1%}" if figure.unit == "%" else f"{value:.2f} {figure.unit}".rstrip()
