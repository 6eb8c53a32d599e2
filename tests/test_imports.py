"""Imports go one way: engine, plugins, daemon; what a command line needs for its help is light."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = {
    "deepdream_engine": ROOT / "deepdream_engine",
    "deepdream_plugins": ROOT / "plugins" / "deepdream_plugins",
    "deepdream_daemon": ROOT / "daemon" / "deepdream_daemon",
}
FORBIDDEN = {
    "deepdream_engine": {"pluggy", "watchdog", "click", "rich"},
    "deepdream_plugins": {"watchdog", "click"},
}


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and top-level package of every import in a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the import absolute"
            yield node.lineno, str(node.module).partition(".")[0]


@pytest.mark.parametrize("package", ORDER)
def test_imports_go_one_way(package: str) -> None:
    names = list(ORDER)
    later = set(names[names.index(package) + 1 :]) | FORBIDDEN.get(package, set())
    files = sorted(ORDER[package].rglob("*.py"))
    assert files
    wrong = [f"{path}:{line}: {name}" for path in files for line, name in imported(path) if name in later]
    assert wrong == []


@pytest.mark.parametrize("parent", ["daemon", "plugins"])
def test_the_outer_folders_are_no_packages(parent: str) -> None:
    assert not (ROOT / parent / "__init__.py").exists()
