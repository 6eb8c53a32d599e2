"""The command line as a whole: quick to answer, one message for every failure, exit codes that mean something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepdream_daemon.commands import MODULES
from tests.daemon.cli import COMMAND, ENVIRONMENT, deepdream, nowhere
from tests.measuring import best_within

__all__ = ["nowhere"]  # a fixture that holds for every test here


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    program = (
        "import sys, contextlib\n"
        "from deepdream_daemon.commands import main\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "heavy = {'torch', 'torchvision', 'rich', 'PIL', 'numpy', 'structlog', 'pluggy', 'watchdog', 'sqlite3'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "deepdream init && deepdream run" in done.stdout

    def seconds(_: int) -> float:
        before = os.times()
        subprocess.run([*COMMAND, "--help"], env=ENVIRONMENT, capture_output=True, check=True)
        now = os.times()  # of the processor: the machine may be busy
        return now.children_user + now.children_system - before.children_user - before.children_system

    best_within(0.3, seconds, rounds=15)


def test_help_says_what_every_command_does_in_one_whole_line() -> None:
    result = deepdream("--help")
    for name in MODULES:
        (line,) = [line for line in result.output.splitlines() if line.startswith(f"  {name} ")]
        assert line.endswith("."), line
        assert not line.endswith("..."), line


@pytest.mark.parametrize("name", MODULES)
def test_every_command_explains_itself(name: str) -> None:
    result = deepdream(name, "--help")
    assert result.exit_code == 0
    assert f"Usage: deepdream {name}" in result.output


@pytest.mark.parametrize(
    "name",
    sorted(
        {"status", "explain", "retry", "forget", "pause", "resume", "drain"}
        | {n for n, m in MODULES.items() if m in ("catalogue", "recipes", "networks")}
    ),
)
def test_every_question_can_be_answered_as_json(name: str) -> None:
    assert "--json" in deepdream(name, "--help").output


def test_without_a_command_there_is_help() -> None:
    result = deepdream()
    assert result.exit_code == 0
    assert result.output == deepdream("--help").output


@pytest.mark.parametrize("name", ["service", "config"])
def test_a_group_of_commands_without_one_explains_itself(name: str) -> None:
    result = deepdream(name)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.output == deepdream(name, "--help").output


def test_the_version() -> None:
    from deepdream_engine import __version__

    assert deepdream("--version").output == f"deepdream {__version__}\n"


@pytest.mark.parametrize(
    ("args", "code", "parts"),
    [
        (["drem"], 2, ["No such command 'drem'. Did you mean 'dream'?", "Try 'deepdream --help'"]),
        (["dream", "--recpie", "x", "p"], 2, ["No such option", "--recpie", "Did you mean", "--recipe"]),
        (["dream"], 2, ["Missing argument 'PHOTO...'", "Try 'deepdream dream --help'"]),
        (["dream", "p", "--recipe", "clasic"], 2, ["unknown recipe 'clasic'. Did you mean 'classic'?", "deep"]),
        (["dream", "p", "--set", "octavs=3"], 2, ["--set octavs", "Did you mean 'octaves'?"]),
        (["dream", "p", "--set", "octaves=99"], 2, ["--set octaves", "99", "from 1 to 20"]),
        (["dream", "p", "--set", "octaves"], 2, ["'octaves' is not KEY=VALUE"]),
        (["dream", "p", "--set", "objective.layer=mixed9"], 2, ["--set objective.layer", "'mixed9'", "mixed4c"]),
        (["layers", "dreamnte"], 2, ["unknown model 'dreamnte'. Did you mean 'dreamnet'?", "vgg16"]),
        (["recipes", "clasic"], 2, ["unknown recipe 'clasic'. Did you mean 'classic'?"]),
        (["run"], 2, ["there is no configuration", "deepdream init"]),
        (["run", "--config", "nope.toml"], 2, ["--config: the file 'nope.toml' does not exist", "deepdream init"]),
        (["run", "--log-format", "jsn"], 2, ["jsn", "json"]),
        (["retry", "p"], 1, ["no finished job", "deepdream explain p"]),
        (["retry"], 2, ["Name FILE, or give --failed or --all."]),
        (["retry", "--failed"], 1, ["nothing failed or waits", "deepdream status"]),
        (["forget"], 2, ["Missing argument 'FILE...'"]),
        (["pause"], 1, ["no daemon has ever run", "deepdream run"]),
        (["drain"], 1, ["no daemon has ever run", "deepdream run"]),
        (["redream", "p"], 1, ["/p': No such file or directory"]),
    ],
)
def test_a_failure_is_one_message_and_an_exit_code(args: list[str], code: int, parts: list[str]) -> None:
    result = deepdream(*args)
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith("deepdream: ")
    assert "Traceback" not in result.stderr
    assert len([line for line in result.stderr.splitlines() if not line.startswith("Try ")]) == 1
    for part in parts:
        assert part in result.stderr


def test_a_traceback_is_shown_on_demand() -> None:
    result = deepdream("--debug", "layers", "dreamnte")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "deepdream: unknown model 'dreamnte'." in result.stderr


def test_a_defect_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of by zero")

    monkeypatch.setattr("deepdream_daemon.configuration.assembly.assemble", broken)
    result = deepdream("models")
    assert result.exit_code == 1
    assert result.stderr == (
        "deepdream: ZeroDivisionError: of by zero. This is a defect of deepdream; --debug shows where.\n"
    )


def test_an_interrupt_is_not_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("deepdream_daemon.configuration.assembly.assemble", interrupted)
    result = deepdream("models")
    assert result.exit_code == 130
    assert result.stderr.strip() == "deepdream: interrupted"


def test_a_closed_pipe_is_silent() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*COMMAND, "models"], env=ENVIRONMENT, stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert done.returncode != 0
    assert done.stderr == ""


@pytest.mark.parametrize(
    "name", ["recipes", "models", "objectives", "ascents", "transforms", "schedules", "filters", "sinks", "plugins"]
)
def test_the_catalogue_is_listed_with_owners(name: str) -> None:
    found = json.loads(deepdream(name, "--json").stdout)
    plain = deepdream(name).stdout
    assert found
    for item in found:
        assert item["name"] in plain
        assert item.get("owner", item.get("origin")) in plain


def test_a_recipe_is_shown_in_the_words_of_set() -> None:
    shown = json.loads(deepdream("recipes", "classic", "--json").stdout)
    plain = deepdream("recipes", "classic").stdout
    assert shown["octaves"] == int(plain.split("octaves", 1)[1].split()[0])
    assert shown["objective"]["layer"] == plain.split("objective.layer", 1)[1].split()[0]


def test_a_broken_recipe_is_listed_as_broken(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[recipes.mine]\noctavs = 3\n")
    assert "BROKEN: config.toml:2: recipes.mine.octavs" in deepdream("recipes").stdout


def test_classes_are_searched_by_a_word_of_their_names() -> None:
    found = json.loads(deepdream("classes", "dreamnet", "Shepherd", "--json").stdout)
    assert [item["number"] for item in found] == [28]
    assert "German shepherd" in found[0]["name"]
    assert len(json.loads(deepdream("classes", "dreamnet", "--json").stdout)) == 200
    none = deepdream("classes", "dreamnet", "unicorn")
    assert none.exit_code == 2
    assert "no class with 'unicorn' in its name. All: deepdream classes dreamnet" in none.stderr


def test_layers_have_shapes_and_words() -> None:
    found = json.loads(deepdream("layers", "dreamnet", "--size", "112", "--json").stdout)
    by_name = {layer["name"]: layer for layer in found}
    assert by_name["conv1"]["height"] == 56
    assert by_name["mixed4d"]["is_default"]
    assert all(layer["shows"] for layer in found)
    assert [layer["depth"] for layer in found] == sorted(layer["depth"] for layer in found)
    plain = deepdream("layers", "dreamnet").stdout
    assert "mixed4d (default)" in plain
    assert "--set objective.layer=" in plain


def test_init_writes_a_configuration_and_its_folders(tmp_path: Path) -> None:
    result = deepdream("init", "new/place")
    assert result.exit_code == 0, result.stderr
    assert "deepdream run --config" in result.output
    assert sorted(path.name for path in (tmp_path / "new/place").iterdir()) == [
        "config.schema.json",
        "config.toml",
        "in",
        "out",
    ]
    again = deepdream("init", "new/place")
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_init_reports_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = deepdream("init", "file")
    assert result.exit_code == 1
    assert result.stderr == "deepdream: 'file': File exists\n"
