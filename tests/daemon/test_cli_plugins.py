"""``deepdream plugins`` says what there is, where it is and why it does not run; ``--no-plugins`` runs none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from textwrap import dedent

import pytest

from deepdream_daemon.configuration.assembly import NO_PLUGINS, assemble
from tests.daemon.cli import deepdream, nowhere

__all__ = ["nowhere"]

GOOD = """
    from deepdream_plugins import FilterSpec, hookimpl

    print("good is imported")

    @hookimpl
    def deepdream_postfilters():
        yield FilterSpec(name="invert", help="negative", apply=lambda pictures, context: 1 - pictures)

    @hookimpl
    def deepdream_self_test():
        pass
"""
SICK = """
    from deepdream_plugins import hookimpl

    @hookimpl
    def deepdream_self_test():
        raise ValueError("no camera")
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a folder for plugins, in which there is a good one."""
    (tmp_path / "mine").mkdir(mode=0o755)
    write(tmp_path, "good", GOOD)
    path = tmp_path / "config.toml"
    path.write_text('[plugins]\nfolder = "mine"\nload_seconds = 5\n[recipes.neg]\npostfilters = ["invert"]\n')
    return path


def write(tmp_path: Path, name: str, code: str) -> Path:
    path = tmp_path / "mine" / f"{name}.py"
    path.write_text(dedent(code))
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_the_terminal_and_says_why(
    columns: int, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    bad = write(tmp_path, "bad", "import no_such_module_anywhere_at_all\n")
    result = deepdream("plugins", "--config", config)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["plugin", "state", "origin", "version", "sha256"]
    assert all(len(line) <= columns or str(tmp_path) in line for line in lines)
    at = next(index for index, line in enumerate(lines) if line.startswith("bad"))
    assert lines[at].split()[1:3] == ["failed", "file"]
    assert str(bad) in lines[at + 1]
    assert result.stdout.count(str(bad)) == 1
    assert "ModuleNotFoundError: No module named 'no_such_module_anywhere_at_all'" in " ".join(result.stdout.split())
    assert "Note: it printed 1 line, kept out of the program's output." in result.stdout
    assert "good is imported" not in result.stdout


def test_json_has_everything(config: Path) -> None:
    listed = {
        plugin["name"]: plugin for plugin in json.loads(deepdream("plugins", "--json", "--config", config).stdout)
    }
    good = listed["good"]
    assert (good["state"], good["origin"], len(good["sha256"]), good["reason"]) == ("active", "file", 64, "")
    assert good["source"].endswith("mine/good.py")
    assert listed["filters"]["origin"] == "built-in"


def test_check_tries_out_what_plugins_provide_and_runs_their_own_tests(config: Path, tmp_path: Path) -> None:
    result = deepdream("plugins", "--check", "--config", config)
    assert result.exit_code == 0
    assert "✓ post-filter 'invert': " in result.stdout
    assert "✓ its own test" in result.stdout
    sick = write(tmp_path, "sick", SICK)
    result = deepdream("plugins", "--check", "--json", "--config", config)
    assert result.exit_code == 1
    listed = {plugin["name"]: plugin.get("checks") for plugin in json.loads(result.stdout)}
    assert listed["sick"] == [
        {
            "what": "its own test",
            "problem": f"deepdream_self_test of the plugin 'sick' failed at {sick}:6: ValueError: no camera",
        }
    ]
    assert [check["problem"] for check in listed["good"]] == [""] * len(listed["good"])
    assert listed["filters"] is None


def test_check_without_plugins_says_that_there_is_nothing_to_check() -> None:
    result = deepdream("plugins", "--check")
    assert result.exit_code == 0
    assert "There is nothing to check: only built-in plugins are active." in result.stdout


@pytest.mark.parametrize("switch", ["option", "variable"])
def test_no_plugins_leaves_the_built_in_ones(switch: str, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if switch == "variable":
        monkeypatch.setenv(NO_PLUGINS, "1")
    args = ["--no-plugins"] if switch == "option" else []
    listed = {
        plugin["name"]: plugin
        for plugin in json.loads(deepdream(*args, "plugins", "--json", "--config", config).stdout)
    }
    assert listed["good"]["state"] == "off"
    assert listed["good"]["note"] == ""  # it printed nothing
    assert listed["good"]["reason"] == "plugins are switched off (--no-plugins, or DEEPDREAM_NO_PLUGINS=1)"
    assert listed["filters"]["state"] == "active"
    result = deepdream(*args, "dream", "nothing.jpg", "--recipe", "neg", "--config", config)
    assert result.exit_code == 2
    assert "unknown post-filter 'invert'" in result.stderr
    assert "If a plugin provides it: plugins are switched off (--no-plugins" in result.stderr


def test_the_option_holds_for_its_own_command_only(config: Path) -> None:
    deepdream("--no-plugins", "plugins", "--config", config)
    assert NO_PLUGINS not in os.environ
    assert "invert" in assemble(config).catalogue.postfilters


def test_an_odd_value_of_the_variable_is_an_error(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NO_PLUGINS, "yes")
    result = deepdream("plugins", "--config", config)
    assert result.exit_code == 2
    assert "$DEEPDREAM_NO_PLUGINS: 'yes' is not 1 (no plugins), 0 or empty" in result.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('enable = ["nothing-such"]', ":3: plugins.enable[0]: unknown plugin 'nothing-such'"),
        (f'sha256 = {{ god = "{"0" * 64}" }}', ":3: plugins.sha256.god: unknown plugin 'god'. Did you mean 'good'?"),
    ],
)
def test_what_the_configuration_gets_wrong_has_its_line(line: str, said: str, config: Path) -> None:
    config.write_text(f'[plugins]\nfolder = "mine"\n{line}\n')
    result = deepdream("filters", "--config", config)
    assert result.exit_code == 2
    assert said in result.stderr
    # The command that everybody is sent to tells it among the rest.
    result = deepdream("plugins", "--check", "--config", config)
    assert result.exit_code == 1
    assert said in " ".join(result.stdout.split())
    assert "1 plugin failed to load, see above." in result.stdout
    assert "good" in result.stdout


def test_a_filter_that_a_broken_plugin_may_provide_is_told_so(config: Path, tmp_path: Path) -> None:
    write(tmp_path, "bad", "import no_such_module_anywhere_at_all\n")
    for command, word in (("filters", "filter"), ("sinks", "sink")):
        result = deepdream(command, "halftone", "--config", config)
        assert result.exit_code == 2
        said = " ".join(result.stderr.split())
        assert f"unknown {word} 'halftone'" in said
        assert "A plugin that failed to load may provide it: bad; see: deepdream plugins." in said


def test_plugins_are_listed_whatever_else_is_wrong(config: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    config.write_text(
        '[plugins]\nfolder = "mine"\n[recipes.broken]\nobjective = "nothing"\n'
        '[[folders]]\ninput = "in"\noutput = "out"\nrecipe = "none"\nsinks = ["no-sink", { name = "webhook", '
        'url = "http://h/${NO_SUCH_VARIABLE}" }]\n'
    )
    result = deepdream("plugins", "--config", config)
    assert result.exit_code == 0, result.stderr
    assert "good" in result.stdout


def test_what_the_running_daemon_has_disabled_is_shown_so(config: Path, tmp_path: Path) -> None:
    import fcntl

    from deepdream_daemon.journal.journal import Journal
    from deepdream_daemon.running.lock import LOCK_FILE

    state = tmp_path / "state"
    with config.open("a") as file:
        file.write(f'[daemon]\nstate = "{state}"\n')

    def listed() -> tuple[str, str]:
        found = json.loads(deepdream("plugins", "--json", "--config", config).stdout)
        (good,) = [plugin for plugin in found if plugin["name"] == "good"]
        return good["state"], good["reason"]

    state.mkdir()
    with (state / LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as a daemon that runs
        journal = Journal.open(state)
        journal.note_disabled({"good": "it failed 5 times in a row"})
        assert listed() == ("disabled", "it failed 5 times in a row")
        journal.close()
    assert listed() == ("active", "")


def test_a_folder_that_others_may_write_is_refused_with_its_line(config: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").chmod(0o777)
    result = deepdream("plugins", "--config", config)
    assert result.exit_code == 2
    assert f"{config.name}:2: plugins.folder: the plugins folder: others may write to " in result.stderr
