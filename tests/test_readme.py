"""What the README says is true: its code runs, its recipes load, its links lead somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from deepdream_plugins import RecipeBook, Selection, load_catalogue
from deepdream_plugins.resolving.keys import KEYS, SCHEDULE

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_its_python_runs() -> None:
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})


def test_its_recipes_resolve() -> None:
    tables: dict[str, Any] = {}
    models: dict[str, Any] = {}
    for block in blocks("toml"):
        tables.update(tomllib.loads(block)["recipes"])
        models.update(tomllib.loads(block).get("models", {}))
    book = RecipeBook(load_catalogue(Selection(models=models)), tables)
    assert book.check() == {}
    assert book.resolve("dogs").model.spec.name == "squeezenet1_0"


def test_its_table_of_defaults_is_the_programs() -> None:
    for option in SCHEDULE:
        row = next(line for line in README.splitlines() if line.startswith("|") and f"`{option.name}`" in line)
        keys, defaults = (cell.split(", ") for cell in row.strip("| ").split(" | ")[:2])
        assert defaults[keys.index(f"`{option.name}`")].strip('`"') == str(option.default)


def test_its_table_has_every_key_of_a_recipe() -> None:
    keys = [row.strip("| ").split(" | ")[0] for row in README.splitlines() if row.startswith("| `")]
    told = {key.strip("`") for row in keys for key in row.split(", ")}
    assert set(KEYS) - {"base", "help"} <= told


def test_its_two_commands_are_the_ones_that_are_tested() -> None:
    assert "pip install . && deepdream demo" in README
    assert "pip install -e '.[test]' && pytest" in README


def test_its_links_lead_to_files() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
