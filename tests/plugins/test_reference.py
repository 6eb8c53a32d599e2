"""The reference says all that there is, and is as new as the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from deepdream_plugins import events, records
from deepdream_plugins.catalogue import Catalogue, load_catalogue
from deepdream_plugins.describing.reference import main, reference
from deepdream_plugins.hookspecs import HOOKS, KINDS, PREFIX

FILE = Path(__file__).parents[2] / "plugins" / "REFERENCE.md"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def test_the_reference_is_as_new_as_the_code(catalogue: Catalogue) -> None:
    assert FILE.read_text(encoding="utf-8") == reference(catalogue), (
        "write it anew: python -m deepdream_plugins.describing.reference plugins/REFERENCE.md"
    )


def test_every_record_has_a_heading_and_all_its_options(catalogue: Catalogue) -> None:
    text = reference(catalogue)
    for kind in KINDS:
        section = text.split(f"\n## {kind.word.capitalize()}s\n", 1)[1].split("\n## ", 1)[0]
        for name, owned in getattr(catalogue, kind.hook.removeprefix(PREFIX)).items():
            own = section.split(f"### `{name}`\n", 1)[1].split("\n### ", 1)[0]
            for option in getattr(owned.spec, "options", ()):
                assert f"| `{option.name}` | " in own, (name, option.name)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented(hook: str) -> None:
    _, _, own = FILE.read_text(encoding="utf-8").partition(f"\n### `{hook}(")
    assert own.split("\n")[2].strip()


def test_every_record_type_and_event_is_documented() -> None:
    text = FILE.read_text(encoding="utf-8")
    public = [
        each
        for module in (records, events)
        for name, each in vars(module).items()
        if isinstance(each, type) and each.__module__ == module.__name__ and name != "JobEvent"
    ]
    assert len(public) > 15
    for each in public:
        assert f"\n### `{each.__name__}`\n" in text


def test_its_blocks_are_toml_and_its_markup_is_markdown() -> None:
    text = FILE.read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) > 50
    for block in blocks:
        tomllib.loads(block)
    for remnant in (":class:", ":func:", ":data:"):
        assert remnant not in text


def test_tables_have_as_many_cells_as_columns() -> None:
    columns = 0
    for line in FILE.read_text(encoding="utf-8").splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert cells == columns or not columns or not cells, line
        columns = cells


def test_it_is_written_to_a_file_or_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tmp_path / "R.md")])
    main([])
    assert capsys.readouterr().out == (tmp_path / "R.md").read_text(encoding="utf-8")
