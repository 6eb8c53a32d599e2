"""What ``deepdream plugins new`` writes works at once: its own tests, ruff, mypy, and the host that it is installed
beside."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deepdream_daemon.commands import new_plugin
from deepdream_engine import __version__
from deepdream_engine.errors import BadOption
from deepdream_plugins.hosting.loading import BUILT_IN
from deepdream_plugins.scaffold import PLUGIN_KINDS, Names, write_package

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join(map(str, (ROOT, ROOT / "plugins", ROOT / "daemon")))
LONGEST = "a" * 40
"""Lines with the longest name still fit, and those with the shortest are not broken too early."""


def run(folder: Path, *module: str, paths: Sequence[Path] = ()) -> str:
    """Run a module of this Python in ``folder`` and return what it printed; it must succeed."""
    found = os.pathsep.join([*map(str, paths), PATHS])
    environment = {**os.environ, "PYTHONPATH": found, "MYPYPATH": found, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    for ours in [name for name in environment if name.startswith(("PYTEST_", "COV_"))]:
        del environment[ours]
    done = subprocess.run(
        [sys.executable, "-m", *module], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A package of every kind, in one folder."""
    parent = tmp_path_factory.mktemp("packages")
    return {kind: write_package(f"my-{kind}", kind, parent) for kind in PLUGIN_KINDS}


@pytest.fixture(scope="session")
def outcomes(packages: dict[str, Path]) -> str:
    """What pytest tells of every test of all packages; in one process, since most of its time goes into imports."""
    sources = [folder / "src" for folder in packages.values()]
    parent = sources[0].parents[1]
    return run(parent, "pytest", "-rA", "-q", "-p", "no:cacheprovider", "-W", "error", paths=sources)


@pytest.mark.parametrize("kind", PLUGIN_KINDS)
def test_a_new_plugin_passes_its_own_tests(outcomes: str, kind: str) -> None:
    found = re.findall(rf"^(\w+) \S*/tests/test_my_{kind}\.py::", outcomes, re.MULTILINE)
    assert len(found) >= 3
    assert set(found) == {"PASSED"}


def test_a_new_plugin_says_which_deepdream_it_needs_and_what_git_leaves_out(packages: dict[str, Path]) -> None:
    for folder in packages.values():
        needed = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["dependencies"]
        assert needed == [f"deepdream-daemon>={__version__}"]
        assert {"__pycache__/", ".venv/", "dist/"} <= set((folder / ".gitignore").read_text().split())


@pytest.mark.slow  # as above, but with the imports once for each kind
@pytest.mark.parametrize("kind", PLUGIN_KINDS)
def test_a_new_plugin_passes_its_own_tests_in_its_own_folder(packages: dict[str, Path], kind: str) -> None:
    assert " passed" in run(packages[kind], "pytest", "-q", "-p", "no:cacheprovider", "-W", "error")


@pytest.mark.parametrize("kind", PLUGIN_KINDS)
def test_a_new_plugin_passes_ruff_whatever_it_is_called(tmp_path: Path, kind: str) -> None:
    for name in ("a", "Glow.Worm", LONGEST):
        write_package(name, kind, tmp_path)
    run(tmp_path, "ruff", "check", "--no-cache", ".")
    run(tmp_path, "ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.slow  # mypy reads torch once, which alone takes longer than all else here
@pytest.mark.timeout(600)
def test_new_plugins_pass_mypy_strictly(packages: dict[str, Path], tmp_path: Path) -> None:
    for kind, folder in packages.items():
        printed = run(folder, "mypy", "--cache-dir", str(tmp_path))
        assert "no issues found in 2 source files" in printed, kind


def test_type_checkers_may_read_what_authors_import() -> None:
    assert (ROOT / "plugins" / "deepdream_plugins" / "py.typed").is_file()


def test_new_plugins_are_taken_when_they_are_installed_and_enabled(packages: dict[str, Path], tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip = ["pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    run(tmp_path, *pip, "--target", str(site), *map(str, packages.values()))
    names = [Names.of(folder.name).name for folder in packages.values()]
    code = f"""
import json, sys
from deepdream_plugins import PluginHost, Selection
from deepdream_plugins.hookspecs import KINDS

names = {names!r}
host = PluginHost(Selection(enable=names))
assert "torch" not in sys.modules
owners = {{kind.word: [name for name, owned in host.records(kind).items() if owned.owner in names] for kind in KINDS}}
told = {{plugin.name: [plugin.state, plugin.version, plugin.reason] for plugin in host.plugins}}
print(json.dumps([told, owners]))
"""
    (tmp_path / "listing.py").write_text(code, encoding="utf-8")
    told, owners = json.loads(run(tmp_path, "listing", paths=[site, tmp_path]))
    assert {name: told[name] for name in names} == {name: ["active", "0.1.0", ""] for name in names}
    for kind, record in PLUGIN_KINDS.items():
        assert record is None or owners[record.word] == [f"my_{kind}"]


def test_every_kind_shows_how_it_is_used(packages: dict[str, Path]) -> None:
    for kind, folder in packages.items():
        (shown,) = re.findall(r"^```toml\n(.*?)^```$", (folder / "README.md").read_text(), re.DOTALL | re.MULTILINE)
        data = tomllib.loads(shown)
        assert data["plugins"]["enable"] == [f"my_{kind}"]
        assert kind == "events" or f'"my_{kind}"' in shown.split("\n\n", 1)[1]


def test_the_command_offers_the_kinds_that_there_are() -> None:
    assert set(new_plugin.KINDS) == set(PLUGIN_KINDS)


def new(*arguments: str) -> Result:
    return CliRunner().invoke(new_plugin.new, list(arguments))


def test_the_command_writes_the_package_and_says_what_is_next(tmp_path: Path) -> None:
    result = new("Glow-Worm", "--kind", "filter", "--dir", str(tmp_path / "mine"))
    assert result.exit_code == 0, result.output
    folder = tmp_path / "mine" / "deepdream-glow-worm"
    assert f"cd {folder}" in result.output
    assert 'add "glow_worm" to [plugins] enable' in result.output
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "src/deepdream_glow_worm/__init__.py",
        "src/deepdream_glow_worm/py.typed",
        "tests/test_glow_worm.py",
    ]
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "deepdream-glow-worm"
    assert project["entry-points"]["deepdream.plugins"] == {"glow_worm": "deepdream_glow_worm"}
    assert list((tmp_path / "mine").iterdir()) == [folder]  # nothing is left of the making


@pytest.mark.parametrize(
    ("given", "name"),
    [("glow", "glow"), ("deepdream-glow", "glow"), ("Glow.Worm_2", "glow_worm_2"), ("x--y", "x_y")],
)
def test_names_are_what_pip_would_make_of_them(given: str, name: str) -> None:
    names = Names.of(given)
    assert names.name == name
    assert names.package == f"deepdream_{name}"
    assert names.project == f"deepdream-{name.replace('_', '-')}"


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ("", "filter", "made of letters, digits, '-', '_' and '.'"),
        ("../out", "filter", "made of letters, digits"),
        ("-glow", "filter", "with a letter or digit at both ends"),
        ("glów", "filter", "made of letters"),
        ("glow\n", "filter", "made of letters"),
        ("2glow", "filter", "begins with a digit; choose another"),
        ("lambda", "filter", "is a word of Python; choose another"),
        ("a" * 41, "filter", "has 41 characters; the most is 40"),
        ("plugins", "filter", "'deepdream_plugins' is a package of DeepDream's own"),
        ("dreamnet", "filter", "a built-in plugin is called so; choose another"),
        ("sharpen", "filter", "there is a built-in post-filter of that name already; choose another"),
        ("l2", "objective", "there is a built-in objective of that name already"),
        ("glow", "filtre", "unknown kind of plugin 'filtre'. Did you mean 'filter'?"),
    ],
)
def test_names_that_would_not_work_are_refused_before_anything_is_written(
    tmp_path: Path, given: str, kind: str, message: str
) -> None:
    with pytest.raises(BadOption, match=re.escape(message)):
        write_package(given, kind, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_another_kind_is_free(tmp_path: Path) -> None:
    assert "sharpen" not in BUILT_IN
    assert write_package("sharpen", "objective", tmp_path).is_dir()


@pytest.mark.parametrize("kind_of_file", ["folder", "file", "dangling link"])
def test_what_exists_is_left_alone(tmp_path: Path, kind_of_file: str) -> None:
    there = tmp_path / "deepdream-glow"
    if kind_of_file == "folder":
        there.mkdir()
    elif kind_of_file == "file":
        there.write_text("mine")
    else:
        there.symlink_to("nowhere")
    with pytest.raises(BadOption, match="exists already; choose another name, or another place with --dir"):
        write_package("glow", "filter", tmp_path)
    assert list(tmp_path.iterdir()) == [there]


@pytest.mark.parametrize("kind", PLUGIN_KINDS)
def test_listing_a_new_plugin_would_import_no_torch(packages: dict[str, Path], kind: str) -> None:
    (file,) = (packages[kind] / "src").glob("*/__init__.py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imported = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imported
    assert "torch" not in {name.partition(".")[0] for node in imported for name in _modules(node)}


def _modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [str(node.module)] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
