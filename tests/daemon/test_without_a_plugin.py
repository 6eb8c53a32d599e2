"""A plugin that failed or is switched off: what needs it waits and says so, and everything else goes on."""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from deepdream_daemon.configuration.assembly import NO_PLUGINS, Assembly, assemble
from deepdream_daemon.explaining.explain import explain
from deepdream_daemon.journal.journal import Journal
from deepdream_engine.errors import BadOption
from tests.daemon.cli import deepdream, nowhere
from tests.daemon.stub import Running, drop, jobs_of, outputs, wait_until

__all__ = ["nowhere"]

ODD = """
    from pathlib import Path
    from deepdream_plugins import FilterSpec, hookimpl
    from deepdream_plugins.records import SinkSpec

    @hookimpl
    def deepdream_postfilters():
        yield FilterSpec(name="odd", help="Odd.", apply=lambda pictures, context: pictures)

    def deliver(delivery):
        with Path(delivery.output_folder).with_name("shelf").open("a") as file:
            file.write(Path(delivery.output).name + "\\n")

    @hookimpl
    def deepdream_sinks():
        yield SinkSpec(name="shelf", help="A shelf.", deliver=deliver)
"""
CONFIG = """
[daemon]
state = "state"
settle_seconds = 0.1
rescan_seconds = 1
[plugins]
folder = "plugins"
[[folders]]
input = "in"
output = "out"
sinks = ["shelf"]
[recipes.strange]
postfilters = ["odd"]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a configuration, one of whose recipes and whose sink need a plugin that is right."""
    for name in ("in", "in/strange", "out", "plugins"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "config.toml").write_text(CONFIG)
    (tmp_path / "plugins" / "odd.py").write_text(textwrap.dedent(ODD))
    return tmp_path


def broken(place: Path) -> None:
    (place / "plugins" / "odd.py").write_text("import no_such_module_anywhere\n")


def daemon(assembly: Assembly) -> Running:
    return Running(assembly.settings, book=assembly.book, sinks=assembly.sinks, out_of_use=assembly.out_of_use)


def status(place: Path) -> Mapping[str, object]:
    text = deepdream("status", "--json", "--config", place / "config.toml").stdout
    # The daemon runs in this process, and may log at this moment: its lines lie before or behind.
    found: Mapping[str, object] = json.JSONDecoder().raw_decode(text, re.search(r"^\{", text, re.MULTILINE).start())[0]
    return found


@pytest.mark.parametrize("way", ["broken", "switched off"])
def test_the_daemon_does_the_rest_and_goes_on_with_what_waited_when_the_plugin_is_back(
    way: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (place / "plugins" / "odd.py").read_text()
    if way == "broken":
        broken(place)
    else:
        monkeypatch.setenv(NO_PLUGINS, "1")
    plain, strange = drop(place / "in" / "plain.jpg", "plain"), drop(place / "in" / "strange" / "a.jpg", "sky")
    assembly = assemble(place / "config.toml", to_run=True)
    with daemon(assembly) as running:
        running.wait_for(done=1, waiting=1)
        assert [path.name for path in outputs(place / "out")] == ["plain.classic.jpg"]
        degraded = running.daemon.snapshot().degraded or ""
        assert "pictures for 'strange' wait: " in degraded
        assert "unknown filter 'odd'" in degraded or "unknown post-filter 'odd'" in degraded
        wait_until(lambda: "pictures for 'strange' wait: " in str(status(place)["degraded"]))
        told = str(status(place)["degraded"])
        assert "the sink 'shelf' of" in told
        assert ("failed to load" if way == "broken" else "switched off") in told
        assert status(place)["undelivered"] == {"pending": 1, "given_up": 0}
        (job,) = jobs_of(place, strange)
        assert "config.toml:13: recipes.strange.postfilters" in (job.error or "")
        assert "Valid:" not in (job.error or "")
        assert "restart the daemon" in (job.advice or "")
        journal = Journal.open(place / "state", read_only=True)
        assert explain(strange, assembly.settings, assembly.book, journal).reason.startswith("it waits: ")
        journal.close()
        shown = deepdream("explain", "--config", place / "config.toml", plain).stdout
        assert "  shelf: " in shown
        assert "unknown sink 'shelf'" in shown.split("  shelf: ")[1].splitlines()[0]
    (place / "plugins" / "odd.py").write_text(code)
    monkeypatch.delenv(NO_PLUGINS, raising=False)
    with daemon(assemble(place / "config.toml", to_run=True)) as running:
        running.wait_for(done=2, waiting=0)
        wait_until(lambda: status(place)["undelivered"] == {"pending": 0, "given_up": 0})
        wait_until(lambda: running.daemon.snapshot().degraded is None)
    assert sorted((place / "shelf").read_text().split()) == ["a.strange.jpg", "plain.classic.jpg"]


def test_a_recipe_or_sink_that_is_just_misspelt_stops_the_daemon_before_it_starts(place: Path) -> None:
    config = place / "config.toml"
    config.write_text(CONFIG.replace('["odd"]', '["od"]'))
    with pytest.raises(BadOption, match=r"config.toml:13: recipes.strange.postfilters.* 'od'\. Did you mean 'odd'"):
        assemble(config, to_run=True)
    config.write_text(CONFIG.replace('["shelf"]', '["shelv"]'))
    with pytest.raises(BadOption, match=r"config.toml:11: folders\[0\].sinks\[0\]: unknown sink 'shelv'"):
        assemble(config, to_run=True)


def test_a_sink_whose_own_check_fails_stops_nothing_but_itself(place: Path) -> None:
    code = textwrap.dedent(ODD).replace("deliver=deliver", "deliver=deliver, check=lambda: 1 / 0")
    (place / "plugins" / "odd.py").write_text(code)
    ((entry,),) = assemble(place / "config.toml", to_run=True).sinks.values()
    assert entry.sink is None
    assert "ZeroDivisionError" in entry.reason


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),  # the plugin that has the sink is broken
        ('["shelf"]', '[{ name = "webhook", url = "http://localhost/${NOT_SET_HERE}" }]'),
        ('["odd"]', '["od"]'),
        ('output = "out"', 'output = "out"\nrecipe = "nonesuch"'),
    ],
)
def test_commands_that_help_to_find_out_what_is_wrong_still_work(before: str, after: str, place: Path) -> None:
    if not before:
        broken(place)
    config = place / "config.toml"
    config.write_text(CONFIG.replace(before, after) if before else CONFIG)
    drop(place / "in" / "a.jpg", "sky")
    for command in (["plugins"], ["filters"], ["recipes"], ["sinks"], ["explain", place / "in" / "a.jpg"], ["status"]):
        result = deepdream(*command, "--config", config)
        assert result.exit_code == 0, (command, result.stderr)
    checked = deepdream("config", "check", "--config", config)
    assert checked.exit_code == 2
    assert checked.stderr.count("\n") >= (3 if not before else 1)
    assert "config.toml" in checked.stderr


def test_check_says_that_networks_are_not_tried(place: Path) -> None:
    config = place / "config.toml"
    assert "Networks" not in deepdream("config", "check", "--config", config).stdout
    config.write_text(CONFIG + '[models.mine]\ntorchvision = "resnet18"\n')
    result = deepdream("config", "check", "--config", config)
    assert result.exit_code == 0, result.stderr
    assert "Networks of your own are not loaded here: 'deepdream plugins --check' tries them." in result.stdout


def test_a_place_behind_a_variable_is_kept_out_of_watched_folders(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPIES", os.fspath(place / "in"))
    config = place / "config.toml"
    config.write_text(CONFIG.replace('["shelf"]', '[{ name = "copy", url = "${COPIES}/more" }]'))
    with pytest.raises(BadOption, match=r"'\$\{COPIES\}/more' leads into the watched folder"):
        assemble(config, to_run=True)
    assert "leads into the watched folder" in deepdream("config", "check", "--config", config).stderr
