"""The JSON schema of the configuration: it takes what the loader takes, and refuses what the loader refuses, as far as
a schema can."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from deepdream_daemon.configuration.assembly import assemble
from deepdream_daemon.configuration.config import TEMPLATE, write_template
from deepdream_daemon.configuration.schema import FILE, config_schema, is_stale, write_schema
from deepdream_engine.errors import BadOption
from deepdream_plugins import recipes
from tests.daemon.cli import nowhere

__all__ = ["nowhere"]

FOLDER = '[[folders]]\ninput = "in"\noutput = "out"\n'
MINE = "[recipes.mine]\n"
BASED = f'{MINE}base = "classic"\n'


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Draft202012Validator:
    """The schema of the template, which has no plugins but the built-in ones."""
    path = tmp_path_factory.mktemp("place") / "config.toml"
    path.write_bytes(TEMPLATE.read_bytes())
    schema = json.loads(json.dumps(config_schema(assemble(path))))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def errors(validator: Draft202012Validator, text: str) -> list[str]:
    found = validator.iter_errors(tomllib.loads(text))
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def load(folder: Path, text: str) -> None:
    """Load a configuration as ``deepdream run`` does."""
    path = folder / "config.toml"
    path.write_text(text)
    for name in ("in", "out"):
        (folder / name).mkdir(exist_ok=True)
    assemble(path, to_run=True)


def test_the_template_is_taken(validator: Draft202012Validator) -> None:
    assert errors(validator, TEMPLATE.read_text()) == []


def test_a_pin_is_a_digest_in_either_case(validator: Draft202012Validator) -> None:
    digest = "0123456789abcdef" * 4
    for text in (digest, digest.upper()):
        assert errors(validator, f'[plugins.sha256]\nsepia = "{text}"\n') == []


def test_the_built_in_recipes_are_taken(validator: Draft202012Validator) -> None:
    text = (Path(recipes.__file__).parent / "builtin" / "recipes.toml").read_text()
    assert errors(validator, text) == []


RIGHT = {
    "a folder": FOLDER,
    "auto and numbers": '[engine]\nnum_threads = 3\ntile_px = "auto"\nmemory_gib = 1\n',
    "a device": '[engine]\ndevice = "cpu"\n',
    "a sink": FOLDER + 'sinks = ["contact_sheet", { name = "animation", quality = 70 }]\n',
    "one sink": FOLDER + 'sinks = "contact_sheet"\n',
    "nothing": MINE,
    "names": MINE + 'model = "dreamnet"\nobjective = "l2"\nascent = "smooth"\nschedule = "pyramid"\n',
    "a nameless table of the default": MINE + 'objective.layer = "mixed4c"\n',
    "a nameless table of the base's": '[recipes.mine]\nbase = "lucid-dreamnet"\nobjective.channel = 3\n',
    "a name whose needed options are inherited": BASED.replace("classic", "lucid-dreamnet")
    + 'objective = { name = "channel", layer = "mixed4b" }\n',
    "an expression": MINE + 'objective = "l2 + 0.5 * pull_l1"\n',
    "an expression of terms": MINE + 'objective = "a - b"\nterms = { a = { name = "l2" }, b = "mean" }\n',
    "a term alone": MINE + 'objective = "a"\nterms = { a = { name = "channel", channel = 1 } }\n',
    "a term that needs no table": MINE + 'objective = "a + b"\nterms = { a = "l2", b = { name = "tv" } }\n',
    "an inherited term": '[recipes.mine]\nbase = "keras-dreamnet"\nobjective = "mixed4"\n',
    "a mask of a term": MINE + 'objective = { name = "l2", mask = "" }\n',
    "a value for each octave": MINE + "octaves = 2\nsteps = [3, 4]\nstep_size = [1, 0.5]\njitter = [0, 8]\n",
    "whole numbers": MINE + "octave_scale = 2\nstep_size = 1\n",
    "filters": MINE + 'prefilters = ["resize"]\npostfilters = ["sharpen", { name = "blend", amount = 0.2 }]\n',
    "one filter": MINE + 'postfilters = { name = "sharpen", amount = 1 }\n',
    "one value for a list": MINE + 'ascent = { name = "smooth", factors = 2 }\n',
    "a class by name and by number": MINE
    + 'objective = "a + b"\n'
    + 'terms.a = { name = "class_logit", label = 3 }\nterms.b = { name = "class_logit", label = "3" }\n',
    "a network of one's own": '[models.own]\ntorchvision = "resnet18"\nweights = "random"\n' + MINE + 'model = "own"\n',
}


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT)
def test_what_the_loader_takes_is_taken(tmp_path: Path, text: str) -> None:
    load(tmp_path, text)
    schema = config_schema(assemble(tmp_path / "config.toml"))
    assert errors(Draft202012Validator(schema), text) == []


WRONG = {
    "[deamon]\n": "deamon",
    "daemon = 1\n": "daemon",
    "[daemon]\nsettle_second = 1\n": "settle_second",
    "[daemon]\nsettle_seconds = -1\n": "settle_seconds",
    '[daemon]\nsettle_seconds = "2"\n': "settle_seconds",
    "[daemon]\nmax_attempts = true\n": "max_attempts",
    "[daemon]\nmax_attempts = 2.5\n": "max_attempts",
    "[daemon]\nstate = 5\n": "state",
    '[daemon]\nstate = ""\n': "state",
    '[daemon]\nignore = "*.raw"\n': "ignore",
    '[daemon]\nignore = [""]\n': "ignore",
    '[engine]\ndevice = "cdua"\n': "device",
    '[engine]\ndevice = "cuda:x"\n': "device",
    "[engine]\nnum_threads = 0\n": "num_threads",
    '[engine]\ntile_px = "big"\n': "tile_px",
    "[engine]\ntile_px = 64\n": "tile_px",
    '[engine]\ncompile = "yes"\n': "compile",
    '[logging]\nlevel = "warn"\n': "level",
    "[plugins]\nenable = [1]\n": "enable",
    '[plugins.sha256]\nsepia = "12ab"\n': "sepia",
    '[folders]\ninput = "in"\n': "folders",
    '[[folders]]\ninput = "in"\n': "output",
    '[[folders]]\ninptu = "in"\ninput = "in"\noutput = "out"\n': "inptu",
    FOLDER + "sinks = 3\n": "sinks",
    FOLDER + 'sinks = ["contact_shet"]\n': "contact_shet",
    FOLDER + 'sinks = ["webhook"]\n': "webhook",
    FOLDER + 'sinks = [{ name = "contact_sheet", column = 3 }]\n': "column",
    FOLDER + 'sinks = [{ name = "contact_sheet", columns = 99 }]\n': "columns",
    "recipes.mine = 3\n": "recipes.mine",
    '[recipes."a b"]\nsteps = 3\n': "a b",
    f"{MINE}octavs = 3\n": "octavs",
    f"{MINE}octaves = 300\n": "octaves",
    f"{MINE}octaves = [3]\n": "octaves",
    f'{MINE}steps = "3"\n': "steps",
    f"{MINE}steps = []\n": "steps",
    f"{MINE}steps = [3, 0]\n": "steps",
    f"{MINE}seed = -1\n": "seed",
    f'{MINE}lock = "all"\n': "lock",
    f"{MINE}mask = 3\n": "mask",
    f'{MINE}output.format = "webm"\n': "format",
    f"{MINE}output.quailty = 3\n": "quailty",
    f'{MINE}model = "dreamnte"\n': "dreamnte",
    f'{MINE}model = {{ name = "dreamnet", size = 3 }}\n': "size",
    f'{MINE}objective = "l3"\n': "l3",
    f"{MINE}objective = 3\n": "objective",
    f'{MINE}objective = "pull_l1"\n': "pull_l1",
    f'{MINE}objective = "channel"\n': "channel",
    f'{MINE}objective = {{ name = "channel", layer = "mixed4c" }}\n': "channel",
    f'{MINE}objective = {{ name = "channel", channel = 1.5 }}\n': "channel",
    f'{MINE}objective = {{ name = "l2 + tv", layer = "mixed4c" }}\n': "layer",
    f'{MINE}objective = {{ name = "l3", layer = "mixed4c" }}\n': "l3",
    f"{MINE}objective.channel = 3\n": "channel",
    f"{MINE}terms = 3\n": "terms",
    f'{MINE}objective = "a"\nterms.a = {{ layer = "mixed4c" }}\n': "name",
    f'{MINE}objective = "a"\nterms.a = "l3"\n': "l3",
    f'{MINE}objective = "a-b"\nterms."a-b" = "l2"\n': "a-b",
    f"{BASED}objective.chanel = 3\n": "chanel",
    f"{BASED}objective.layer = 3\n": "layer",
    f'{BASED}objective = {{ name = "l2", chanel = 3 }}\n': "chanel",
    f'{BASED}objective = {{ name = "channel", channel = "3" }}\n': "channel",
    f"{BASED}ascent.rise = 99\n": "rise",
    f'{BASED}ascent = "smoth"\n': "smoth",
    f'{MINE}ascent = {{ name = "smooth", factors = [] }}\n': "factors",
    f'{MINE}ascent = {{ name = "smooth", factors = [1, 99] }}\n': "factors",
    f'{MINE}schedule = "pyramd"\n': "pyramd",
    f'{MINE}transforms = ["jiter"]\n': "jiter",
    f'{MINE}postfilters = [{{ name = "sharpen", amnt = 1 }}]\n': "amnt",
    f'{MINE}postfilters = [{{ name = "sharpen", amount = 99 }}]\n': "amount",
    f"{MINE}postfilters = [{{ amount = 1 }}]\n": "name",
    f"{MINE}postfilters = [3]\n": "postfilters",
    f'{MINE}postfilters = "sharpn"\n': "sharpn",
    '[models.own]\nhelp = "mine"\n': "models.own",
    '[models.own]\ntorchvision = "resnet18"\ntimm = "resnet18"\n': "models.own",
    '[models.own]\ntorchvision = "resnet18"\nminimum = 3\n': "minimum",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_the_loader_refuses_is_refused_once(tmp_path: Path, validator: Draft202012Validator, text: str) -> None:
    with pytest.raises(BadOption):
        load(tmp_path, text)
    (error,) = errors(validator, text)
    assert WRONG[text] in error


PLUGIN = """
from deepdream_plugins import FilterSpec, Option, hookimpl


@hookimpl
def deepdream_postfilters():
    depth = Option(name="depth", type=int, minimum=1, maximum=3, help="how deep")
    yield FilterSpec(name="carve", help="Carve it", apply=lambda pictures, _, *, depth: pictures, options=(depth,))
"""


def test_the_records_of_the_users_own_plugins_are_known(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "carve.py").write_text(PLUGIN)
    load(tmp_path, '[plugins]\nfolder = "mine"\n')
    validator = Draft202012Validator(config_schema(assemble(tmp_path / "config.toml")))
    assert errors(validator, f'{MINE}postfilters = [{{ name = "carve", depth = 2 }}]\n') == []
    for wrong in ('"carve"', '{ name = "carve", depth = 4 }', '{ name = "carve", depht = 2 }'):
        assert errors(validator, f"{MINE}postfilters = [{wrong}]\n") != []


def test_a_written_schema_is_stale_when_plugins_or_recipes_change(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("")
    assert not is_stale(path, assemble(path))  # there is none
    write_schema(path, assemble(path))
    assert not is_stale(path, assemble(path))
    path.write_text(MINE)
    assert is_stale(path, assemble(path))
    write_schema(path, assemble(path))
    assert not is_stale(path, assemble(path))
    assert sorted(each.name for each in tmp_path.iterdir()) == [FILE, "config.toml"]


@pytest.mark.parametrize("other", ["{}", "not JSON", '["a list"]'])
def test_what_is_no_schema_of_ours_is_not_replaced(tmp_path: Path, other: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text("")
    (tmp_path / FILE).write_text(other)
    with pytest.raises(BadOption, match="something else and was left as it is"):
        write_schema(path, assemble(path))
    assert (tmp_path / FILE).read_text() == other


def test_what_is_offered_is_described(validator: Draft202012Validator) -> None:
    """Taplo completes from properties and anyOf; each key must say what it is, or what its names are."""
    schema: dict[str, Any] = validator.schema  # type: ignore[assignment]
    tables = [schema["properties"][name] for name in ("daemon", "engine", "pictures", "plugins", "logging")]
    tables += [schema["properties"]["folders"]["items"], schema["$defs"]["recipe"]]
    for table in tables:
        for name, key in table["properties"].items():
            assert {"description", "anyOf", "$ref"} & key.keys(), name
    objective = schema["$defs"]["recipe"]["properties"]["objective"]
    assert "l2" in objective["anyOf"][0]["enum"]
    assert objective["properties"]["channel"]["description"]


@pytest.mark.skipif(shutil.which("taplo") is None, reason="Taplo is not installed")
def test_taplo_takes_the_template_and_names_the_line_of_a_mistake(tmp_path: Path) -> None:
    write_template(tmp_path)
    path = tmp_path / "config.toml"

    def lint() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["taplo", "lint", "--colors=never", path.name], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    assert lint().returncode == 0, lint().stderr
    lines = path.read_text().count("\n")
    with path.open("a") as file:
        file.write(f'{BASED}postfilters = ["sharpn"]\n')
    found = lint()
    assert found.returncode != 0
    assert f"{path.name}:{lines + 3}:" in found.stderr
    assert '"sharpn" is not one of' in found.stderr
