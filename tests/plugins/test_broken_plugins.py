"""Twelve broken plugins, each beside a good one: the good one dreams as ever, and the bad one's message says what to
mend."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from deepdream_engine.errors import BadOption
from deepdream_plugins import Batch, Catalogue, PluginFailure, RecipeBook, Selection, load_catalogue
from deepdream_plugins.hosting.checking import check_plugin

if TYPE_CHECKING:
    from deepdream_engine.records import Outcome

WritePlugin = Callable[[str, str], Path]

GOOD = """
    from deepdream_plugins import FilterSpec, ModelSpec, ObjectiveSpec, Option, Tap, TapNote, hookimpl

    def load(weights):
        import torch
        torch.manual_seed(1)
        return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())

    def energy(activations, *, layer):
        return activations[layer].square().flatten(1).mean(dim=1)

    @hookimpl
    def deepdream_models():
        yield ModelSpec(name="toy", help="tiny", load=load, default_tap="1", weights="none",
                        taps=(TapNote(name="0", shows="x"), TapNote(name="1", shows="y")))

    @hookimpl
    def deepdream_objectives():
        layer = Option(name="layer", type=Tap, help="the tap")
        yield ObjectiveSpec(name="energy", help="more of it", score=energy, options=(layer,))

    @hookimpl
    def deepdream_postfilters():
        yield FilterSpec(name="invert", help="negative", apply=lambda pictures, context: 1 - pictures)
"""

HEAD = "from deepdream_plugins import *\n"
LAYER = "Option(name='layer', type=Tap, help='the tap')"


def objective(body: str) -> str:
    """The code of a plugin whose objective ``bad`` has the function ``body``."""
    return (
        f"{HEAD}def score(activations, *, layer):\n    {body}\n"
        f"@hookimpl\ndef deepdream_objectives():\n"
        f"    yield ObjectiveSpec(name='bad', help='x', score=score, options=({LAYER},))\n"
    )


def postfilter(body: str) -> str:
    """The code of a plugin whose post-filter ``bad`` has the function ``body``."""
    return (
        f"{HEAD}def apply(pictures, context):\n    {body}\n"
        f"@hookimpl\ndef deepdream_postfilters():\n    yield FilterSpec(name='bad', help='x', apply=apply)\n"
    )


@dataclass(frozen=True)
class Unloadable:
    """A plugin that does not come to anything, and why; ``{path}`` is its file."""

    code: str
    reason: str
    selection: dict[str, float] = field(default_factory=dict)


UNLOADABLE = {
    "1 import error": Unloadable(
        "import os\nimport no_such_module", "{path}:2: ModuleNotFoundError: No module named 'no_such_module'"
    ),
    "2 SystemExit": Unloadable(
        "import sys\nsys.exit('bye')",
        "{path}:2: it called sys.exit('bye'); a plugin must not end the program",
    ),
    "3 bad signature of a hook": Unloadable(
        f"{HEAD}@hookimpl\ndef deepdream_recipe_for(path, foldr):\n    pass\n",
        "{path}:2: deepdream_recipe_for has an argument 'foldr' that the hook has not. Did you mean 'folder'? It takes "
        "those of its arguments that it wants, by name: path, folder.",
    ),
    "3 bad signature with a default": Unloadable(
        f"{HEAD}@hookimpl\ndef deepdream_recipe_for(path, folder='x'):\n    pass\n",
        "{path}:2: deepdream_recipe_for has a default for its argument 'folder', so it would never be given; remove "
        "the default.",
    ),
    "3 bad signature of a score": Unloadable(
        objective("return 0").replace("(activations, *, layer)", "(activations)"),
        "{path}:2: objective 'bad': score is called as score(activations, *, layer), and cannot be: got an unexpected "
        "keyword argument 'layer'. Give it these parameters; options are those that the record declares.",
    ),
    "4 wrong type": Unloadable(
        f"{HEAD}@hookimpl\ndef deepdream_models():\n    return [3]\n",
        "{path}:2: deepdream_models gave '3' (int), not a ModelSpec; return or yield ModelSpec(name=…, help=…, …).",
    ),
    "5 duplicate name": Unloadable(
        objective("return 0").replace("'bad'", "'energy'"),
        "the objective 'energy' of the plugin 'bad' is already provided by the plugin 'a_good'; rename one of them, or "
        "leave one plugin out.",
    ),
    "10 hangs for 60 s": Unloadable(
        "import time\ntime.sleep(60)",
        "it was still loading after 0.3 seconds and was given up; do slow work where it is needed, not when the plugin "
        "is imported or asked for its records.",
        {"load_seconds": 0.3},
    ),
    "12 needs a newer API": Unloadable(
        "DEEPDREAM_API = 2\nraise RuntimeError('this runs')",
        "{path}:1: it needs version 2 of the plugin API, and this DeepDream",
    ),
}


@dataclass(frozen=True)
class Failing:
    """A plugin that fails when it is used: how a recipe uses it, and what the failure says."""

    code: str
    said: str


FAILING = {
    "6 raises in compute": Failing(
        objective("return activations['nothing']"),
        "the objective 'bad' of the plugin 'bad' failed at {path}:3: KeyError: 'nothing'",
    ),
    "6 exits in compute": Failing(
        objective("raise SystemExit(3)"), "failed at {path}:3: it called sys.exit(3); a plugin must not end the program"
    ),
    "7 returns NaN": Failing(
        objective("return activations[layer].mean(dim=(1, 2, 3)) * float('nan')"),
        "not finite (precision fp32). Choose another layer, a smaller step_size, or precision fp32. It went through "
        "the objective 'bad' of the plugin 'bad' and the model 'toy' of the plugin 'a_good': look there for a division "
        "by zero, a logarithm or a root of zero,",
    ),
    "8 wrong shape": Failing(
        objective("return activations[layer].mean()"),
        "the objective 'bad' of the plugin 'bad' returned a score of shape () for 1 pictures, not (1,); reduce over "
        "everything but the first dimension, as in seen.flatten(1).mean(dim=1).",
    ),
    "8 no gradient": Failing(
        objective("return activations[layer].mean(dim=(1, 2, 3)).detach()"),
        "the objective 'bad' of the plugin 'bad' returned a score that has no gradient",
    ),
    "4 a number for a score": Failing(
        objective("return 1.0"),
        "the objective 'bad' of the plugin 'bad' returned float; score must return a tensor of shape (N,).",
    ),
}


def the_good_one_works(catalogue: Catalogue) -> None:
    """Dream with the good plugin's network, objective and filter."""
    (outcome,) = dream(catalogue, ["energy"])
    changed = outcome.pixels
    assert (changed - picture(0)).abs().max() > 1 / 255
    assert (resolve(catalogue, "energy", ["invert"]).postfilter(changed, changed, 1) == 1 - changed).all()


def dream(catalogue: Catalogue, objectives: list[str]) -> list[Outcome]:
    """Dream a picture with each of the objectives, all in one batch."""
    from deepdream_engine.engine import Engine

    jobs = [resolve(catalogue, name).job(picture(index), index) for index, name in enumerate(objectives)]
    batch = Batch(engine=Engine(device="cpu"), jobs=jobs, on_progress=lambda *_: None, should_stop=lambda: False)
    return [outcome for _, outcome in sorted(catalogue.host.run_batch(batch))]


def picture(seed: int) -> object:
    import torch

    return torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(seed))


def resolve(catalogue: Catalogue, name: str, postfilters: list[str] | None = None) -> object:
    table = {"model": "toy", "objective": name, "octaves": 1, "steps": 2, "postfilters": postfilters or []}
    return RecipeBook(catalogue).resolve("classic", [(table, lambda *keys: "test")])


@pytest.fixture
def good(write_plugin: WritePlugin) -> None:
    write_plugin("a_good", GOOD)
    write_plugin(
        "z_good",
        dedent(GOOD)[: dedent(GOOD).index("@hookimpl")]
        + dedent("""
        @hookimpl
        def deepdream_recipe_for(path):
            return "classic" if path.endswith(".jpg") else None
    """),
    )


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize("name", UNLOADABLE)
def test_what_cannot_be_loaded_says_why_and_the_good_one_works(
    name: str, folder: Path, write_plugin: WritePlugin
) -> None:
    case = UNLOADABLE[name]
    path = write_plugin("bad", case.code)
    begun = time.monotonic()
    catalogue = load_catalogue(Selection(folder=folder, **case.selection))
    assert time.monotonic() - begun < 10
    bad = next(plugin for plugin in catalogue.plugins if plugin.name == "bad")
    assert bad.state == "failed"
    assert bad.reason.startswith(case.reason.format(path=path))
    assert "bad" not in catalogue.objectives
    the_good_one_works(catalogue)


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize("name", FAILING)
def test_what_fails_in_a_batch_is_named_and_the_good_one_in_it_works(
    name: str, folder: Path, write_plugin: WritePlugin
) -> None:
    path = write_plugin("bad", FAILING[name].code)
    catalogue = load_catalogue(Selection(folder=folder))
    bad, fine, also_bad = dream(catalogue, ["bad", "energy", "bad"])
    assert FAILING[name].said.format(path=path) in str(bad.error)
    assert isinstance(bad.error, PluginFailure)
    assert (bad.error.plugin, also_bad.error.plugin) == ("bad", "bad")
    assert (fine.pixels - picture(1)).abs().max() > 1 / 255
    the_good_one_works(catalogue)


@pytest.mark.usefixtures("good")
def test_4_a_recipe_that_is_no_name_is_refused_and_the_next_plugin_is_asked(
    folder: Path, write_plugin: WritePlugin, caplog: pytest.LogCaptureFixture
) -> None:
    write_plugin("zz_bad", f"{HEAD}@hookimpl\ndef deepdream_recipe_for(path):\n    return 3\n")
    host = load_catalogue(Selection(folder=folder)).host
    assert host.recipe_for("/in/a.jpg", "/in") == ("classic", "z_good")
    assert host.recipe_for("/in/a.png", "/in") is None
    assert (
        "deepdream_recipe_for of the plugin 'zz_bad' returned int; return the name of a recipe, or None." in caplog.text
    )


@pytest.mark.usefixtures("good")
def test_9_a_score_that_couples_the_batch_is_found_by_a_check(folder: Path, write_plugin: WritePlugin) -> None:
    couples = "seen = activations[layer].mean(dim=(1, 2, 3))\n    return seen * seen.mean()"
    write_plugin("bad", objective(couples))
    catalogue = load_catalogue(Selection(folder=folder))
    problems = {each.what: each.problem for each in check_plugin(catalogue.host, "bad") if each.problem}
    assert "couples the batch" in problems["objective 'bad': alone equals among others"]
    assert [each.problem for each in check_plugin(catalogue.host, "a_good") if each.problem] == []
    the_good_one_works(catalogue)


@pytest.mark.usefixtures("good")
def test_10_a_filter_that_hangs_is_given_up(folder: Path, write_plugin: WritePlugin) -> None:
    import torch

    write_plugin("bad", postfilter("import time; time.sleep(60)"))
    catalogue = load_catalogue(Selection(folder=folder, filter_seconds=0.3))
    begun = time.monotonic()
    with pytest.raises(PluginFailure, match=r"'bad' of the plugin 'bad' did not end within 0.3 seconds"):
        resolve(catalogue, "energy", ["bad"]).postfilter(torch.rand(3, 9, 9), torch.rand(3, 9, 9), 1)
    assert time.monotonic() - begun < 10
    the_good_one_works(catalogue)


PRINTS = """
    import os, sys
    from deepdream_plugins import *
    print("at import")
    sys.stdout.buffer.write(b"bytes\\n")

    def apply(pictures, context):
        print("in a filter", end="")
        return pictures

    @hookimpl
    def deepdream_postfilters():
        print("in a hook")
        yield FilterSpec(name="bad", help="x", apply=apply)
"""


@pytest.mark.usefixtures("good")
def test_11_what_a_plugin_prints_goes_to_the_log(
    folder: Path, write_plugin: WritePlugin, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    import torch

    write_plugin("bad", PRINTS)
    caplog.set_level(logging.INFO)
    catalogue = load_catalogue(Selection(folder=folder))
    resolve(catalogue, "energy", ["bad"]).postfilter(torch.rand(3, 9, 9), torch.rand(3, 9, 9), 1)
    print("the program's own")
    assert capsys.readouterr().out == "the program's own\n"
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert lines == [f"plugin bad prints: {said}" for said in ("at import", "bytes", "in a hook", "in a filter")]
    (bad,) = [plugin for plugin in catalogue.plugins if plugin.name == "bad"]
    assert (bad.state, bad.note) == ("active", "it printed 4 lines, kept out of the program's output")
    the_good_one_works(catalogue)


@pytest.mark.usefixtures("good")
def test_11_json_stays_json_beside_a_plugin_that_prints(
    folder: Path, write_plugin: WritePlugin, tmp_path: Path
) -> None:
    write_plugin("bad", PRINTS)
    config = tmp_path / "config.toml"
    config.write_text(f"[plugins]\nfolder = {str(folder)!r}\n")
    done = subprocess.run(
        [sys.executable, "-m", "deepdream_daemon", "plugins", "--json", "--config", str(config)],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )
    states = {plugin["name"]: plugin["state"] for plugin in json.loads(done.stdout)}
    said = ["at import", "bytes", "in a hook"]
    assert done.stderr.decode().splitlines() == [f"plugin bad prints: {line}" for line in said]
    assert (states["bad"], states["a_good"]) == ("active", "active")


def test_12_a_package_that_needs_a_newer_deepdream_says_how_to_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, needs in (("newer", "deepdream-daemon>=999"), ("fits", 'deepdream_daemon>=0.0.1; python_version>"3"')):
        (tmp_path / f"{name}_module.py").write_text(
            f"{HEAD}@hookimpl\ndef deepdream_self_test(): pass\n" + "import never_there\n" * (name == "newer")
        )
        info = tmp_path / f"dist_{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: dist-{name}\nVersion: 1\nRequires-Dist: {needs}\n"
        )
        (info / "entry_points.txt").write_text(f"[deepdream.plugins]\n{name} = {name}_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins = {plugin.name: plugin for plugin in load_catalogue(Selection(enable=("newer", "fits"))).plugins}
    assert plugins["fits"].state == "active"
    assert plugins["newer"].state == "failed"
    assert plugins["newer"].reason.startswith("it needs deepdream-daemon>=999, and this is ")
    assert "pip install -U deepdream-daemon" in plugins["newer"].reason
    assert "newer_module" not in sys.modules
    sys.modules.pop("fits_module")


@pytest.mark.parametrize("line", ["DEEPDREAM_API = 'two'", "DEEPDREAM_API: int = one()", "DEEPDREAM_API = 0"])
def test_an_api_that_is_no_number_is_refused_before_anything_runs(
    line: str, folder: Path, write_plugin: WritePlugin
) -> None:
    path = write_plugin("bad", f"print('runs')\n{line}\n")
    (bad,) = [plugin for plugin in load_catalogue(Selection(folder=folder)).plugins if plugin.name == "bad"]
    assert bad.reason == f"{path}:2: DEEPDREAM_API must be a number such as 1, written as such."
    assert bad.note == ""


def test_a_plugin_for_this_api_is_taken(folder: Path, write_plugin: WritePlugin) -> None:
    write_plugin("fine", f"DEEPDREAM_API = 1\n{HEAD}@hookimpl\ndef deepdream_self_test(): pass\n")
    (fine,) = [plugin for plugin in load_catalogue(Selection(folder=folder)).plugins if plugin.name == "fine"]
    assert fine.state == "active"


@pytest.mark.usefixtures("good")
def test_a_plugins_own_word_to_the_user_passes_as_it_is(folder: Path, write_plugin: WritePlugin) -> None:
    import torch

    code = postfilter("raise BadOption('no such colour')").replace(
        HEAD, f"{HEAD}from deepdream_engine.errors import *\n"
    )
    write_plugin("bad", code)
    recipe = resolve(load_catalogue(Selection(folder=folder)), "energy", ["bad"])
    with pytest.raises(BadOption, match=r"^no such colour$"):
        recipe.postfilter(torch.rand(3, 9, 9), torch.rand(3, 9, 9), 1)


def test_11_the_program_itself_prints_as_ever_while_a_plugin_runs() -> None:
    code = """
        import sys, threading
        import click
        from deepdream_plugins.hosting.limiting import TimeIsUp, run_stranger

        inside, leave = threading.Event(), threading.Event()

        def stays():
            print("a plugin's")
            inside.set()
            leave.wait(10)

        before = sys.stdout
        try:
            run_stranger("stays", stays, 0.2)
        except TimeIsUp:
            assert inside.is_set() and sys.stdout is not before and sys.stdout.encoding == before.encoding
            print("text")
            click.echo(b"\\xff bytes")
            click.echo("more text")
        leave.set()
    """
    env = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", dedent(code)], check=True, capture_output=True, env=env)
    assert done.stdout == b"text\n\xff bytes\nmore text\n"
    assert done.stderr == b"plugin stays prints: a plugin's\n"
