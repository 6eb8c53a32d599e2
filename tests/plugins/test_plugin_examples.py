"""The example plugins work as a newcomer would copy, install and run them, and the tutorial shows them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest
import torch

from deepdream_daemon.configuration.config import parse_settings
from deepdream_daemon.configuration.sinks import resolve_sinks
from deepdream_engine.engine import Engine
from deepdream_plugins import Batch, Catalogue, RecipeBook, Selection, load_catalogue
from deepdream_plugins.events import DaemonStarted, DaemonStopping, JobFailed, JobFinished, JobProgress, JobStarted
from deepdream_plugins.hookspecs import HOOKS
from deepdream_plugins.resolving.filtering import Start
from deepdream_plugins.testing import a_delivery, check_sink
from deepdream_plugins.toml_source import TomlSource

PLUGINS = Path(__file__).parents[2] / "plugins"
EXAMPLES = PLUGINS / "examples"
PACKAGE = EXAMPLES / "deepdream-contrast"
README = (PLUGINS / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def loaded(folder: Path) -> Catalogue:
    """The catalogue with the example files copied into a folder of one's own."""
    for path in EXAMPLES.glob("*.py"):
        shutil.copyfile(path, folder / path.name)
        (folder / path.name).chmod(0o644)
    catalogue = load_catalogue(Selection(folder=folder))
    assert [plugin for plugin in catalogue.plugins if plugin.state == "failed"] == []
    return catalogue


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the example package."""
    source, target = tmp_path_factory.mktemp("source") / "p", tmp_path_factory.mktemp("site")
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--target", str(target), str(source)], check=True)
    return target


def test_the_post_filter_tones_a_picture(loaded: Catalogue) -> None:
    recipe = RecipeBook(loaded).resolve(
        "classic", [({"postfilters": [{"name": "duotone", "warmth": 0.5}]}, lambda *keys: "test")]
    )
    dream = torch.rand(3, 9, 13)
    red, green, blue = recipe.postfilter(dream, dream, seed=1)
    torch.testing.assert_close(red, dream.mean(dim=0))
    torch.testing.assert_close(green, red * 0.9)
    torch.testing.assert_close(blue, red * 0.7)


def test_the_pre_filter_crops_to_a_square(loaded: Catalogue) -> None:
    recipe = RecipeBook(loaded).resolve("classic", [({"prefilters": ["square"]}, lambda *keys: "test")])
    picture = torch.rand(3, 9, 14)
    begun = recipe.begin(Start(pixels=picture, seed=1, alpha=picture[1]))
    assert torch.equal(begun.pixels, picture[:, :, 2:11])
    assert begun.alpha is not None
    assert torch.equal(begun.alpha, begun.pixels[1])


def test_the_model_answers_to_strokes_and_reads_weights(loaded: Catalogue, tmp_path: Path) -> None:
    spec = loaded.models["gabor"].spec
    net = spec.load(None)
    assert {tap.name for tap in spec.taps} <= {name for name, _ in net.named_modules()}
    flat = net(torch.full((1, 3, 32, 32), 0.5))[..., 8:-8, 8:-8]
    stripes = net((torch.arange(32) % 5 < 2).float().expand(1, 3, 32, 32))[..., 8:-8, 8:-8]
    assert flat.abs().max() < 1e-3 < 0.1 < stripes.max()
    torch.save(net.state_dict(), tmp_path / "same.pt")
    again = spec.load(tmp_path / "same.pt")
    assert torch.equal(again.state_dict()["strokes.weight"], net.state_dict()["strokes.weight"])


def test_the_model_dreams(loaded: Catalogue) -> None:
    table = {"model": "gabor", "octaves": 2, "steps": 2, "jitter": 2}
    recipe = RecipeBook(loaded).resolve("classic", [(table, lambda *keys: "test")])
    picture = torch.rand(3, 40, 56, generator=torch.Generator().manual_seed(1)) / 2 + 0.25
    (dream,) = Engine(device="cpu").dream([recipe.job(picture, seed=1)])
    assert dream.pixels.shape == picture.shape
    assert (dream.pixels - picture).abs().max() > 1 / 255


def test_the_transform_mirrors_and_the_ascent_goes_by_the_sign(loaded: Catalogue) -> None:
    table = {"octaves": 1, "steps": 1, "margin": 0, "step_size": 2, "ascent": "sign", "transforms": ["mirror"]}
    recipe = RecipeBook(loaded).resolve("classic", [(table, lambda *keys: "test")])
    picture = torch.rand(3, 40, 56, generator=torch.Generator().manual_seed(1)) / 2 + 0.25
    job = recipe.job(picture, seed=1)
    views = {
        bool(torch.equal(job.transforms[0](picture[None], torch.Generator().manual_seed(s)), picture[None]))
        for s in range(9)
    }
    assert views == {True, False}
    (dream,) = Engine(device="cpu").dream([job])
    changed = ((dream.pixels - picture) * 255).abs()
    assert ((changed - 2).abs() < 1e-3).float().mean() > 0.9


def test_the_installed_objective_scores_each_picture_with_a_gradient(site: Path) -> None:
    code = """
        import sys, torch
        from deepdream_plugins import RecipeBook, Selection, load_catalogue

        off = [plugin for plugin in load_catalogue().plugins if plugin.name == "contrast"]
        assert [plugin.state for plugin in off] == ["off"], off
        assert "deepdream_contrast" not in sys.modules

        catalogue = load_catalogue(Selection(enable=("contrast",)))
        assert catalogue.objectives["contrast"].owner == "contrast"
        table = {"objective": {"name": "contrast", "balance": 0.8}}
        recipe = RecipeBook(catalogue).resolve("classic", [(table, lambda *keys: "test")])
        job = recipe.job(torch.rand(3, 8, 8), 1)
        assert job.options == {"balance": 0.8}
        objective = job.program.objective
        (tap,) = objective.taps
        seen = torch.rand(2, 5, 4, 4, requires_grad=True)
        balance = torch.tensor([0.8, 0.2])
        def score(seen, balance):
            return objective.score({tap: seen}, {**objective.static, "balance": balance})
        before = score(seen, balance)
        (gradient,) = torch.autograd.grad(before.sum(), seen)
        assert before.shape == (2,)
        assert (score(seen + gradient, balance) > before).all()
        assert torch.allclose(score(seen[1:], balance[1:]), before[1:])
    """
    paths = ":".join([str(site), *sys.path])
    subprocess.run([sys.executable, "-c", dedent(code)], check=True, env={"PYTHONPATH": paths})


def test_the_examples_are_as_short_as_promised() -> None:
    assert len((EXAMPLES / "duotone.py").read_text().splitlines()) < 15
    assert len((PACKAGE / "src/deepdream_contrast/__init__.py").read_text().splitlines()) < 30


def test_the_tutorial_shows_every_example_as_it_is() -> None:
    shown = blocks("python") + blocks("toml")
    for path in [*EXAMPLES.rglob("*.py"), *EXAMPLES.rglob("*.toml")]:
        assert path.read_text(encoding="utf-8") in shown, f"README.md does not show {path.name} as it is"


def test_the_tutorials_own_code_runs(loaded: Catalogue, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)  # the code speaks of the folder "plugins"
    examples = [path.read_text(encoding="utf-8") for path in EXAMPLES.rglob("*.py")]
    own = [block for block in blocks("python") if block not in examples]
    assert own
    for block in own:
        exec(compile(block, "README.md", "exec"), {})


def configurations() -> list[str]:
    return [block for block in blocks("toml") if "build-system" not in tomllib.loads(block)]


@pytest.mark.parametrize("text", configurations())
def test_the_tutorials_configurations_are_valid(
    text: str, loaded: Catalogue, folder: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(site)
    source = TomlSource.parse(text, "README.md")
    named = source.data.get("plugins", {}).get("enable", [])
    assert set(named) <= {"contrast", "sepia_toning"}
    enable = ("contrast",)  # sepia_toning is what the reader has just made
    watched = (tmp_path / "in").resolve()
    catalogue = load_catalogue(
        Selection(enable=enable, folder=folder, watched=(watched,), models=source.data.get("models", {})), source.where
    )
    assert [plugin.reason for plugin in catalogue.plugins if plugin.state == "failed"] == []
    assert RecipeBook(catalogue, source.data.get("recipes", {}), source.where).check() == {}
    for name in ("in", "out"):
        (tmp_path / name).mkdir(exist_ok=True)
    path = tmp_path / "config.toml"
    path.write_text(text)
    settings = parse_settings(source, path)
    assert all(resolve_sinks(settings, catalogue, source.where).values())
    sys.modules.pop("deepdream_contrast", None)


def test_the_tutorial_speaks_of_every_hook_with_an_example_or_a_reference() -> None:
    reference = (PLUGINS / "REFERENCE.md").read_text(encoding="utf-8")
    shown = "".join(path.read_text(encoding="utf-8") for path in [*EXAMPLES.rglob("*.py")])
    for hook in HOOKS:
        assert f"### `{hook}(" in reference, f"REFERENCE.md lacks {hook}"
        assert f"`{hook}`" in README or f"def {hook}(" in README, f"README.md lacks {hook}"
        assert f"def {hook}(" in shown, f"no example has {hook}"


def test_the_schedule_takes_half_the_steps_on_large_pictures(loaded: Catalogue) -> None:
    table = {"schedule": {"name": "gentle", "megapixels": 0.01}, "steps": 7, "octaves": 1}
    recipe = RecipeBook(loaded).resolve("classic", [(table, lambda *keys: "test")])
    assert recipe.job(torch.rand(3, 101, 100), seed=1).schedule.steps == 3
    assert recipe.job(torch.rand(3, 100, 100), seed=1).schedule.steps == 7


def test_the_sink_frames_a_dream_and_does_so_again(loaded: Catalogue, tmp_path: Path) -> None:
    from PIL import Image

    spec = loaded.sinks["polaroid"].spec
    check_sink(spec)
    Image.new("RGB", (300, 200), "red").save(tmp_path / "photo.classic.png")
    delivery = replace(
        a_delivery(tmp_path / "made"), output=str(tmp_path / "photo.classic.png"), output_folder=str(tmp_path)
    )
    for _ in range(2):
        spec.deliver(delivery, width=150, border=10)
    (made,) = (tmp_path / "polaroids").iterdir()
    with Image.open(made) as polaroid:
        assert polaroid.size == (170, 140)
        assert polaroid.getpixel((85, 60))[0] > 200 > 50 > polaroid.getpixel((85, 60))[1]
        assert min(polaroid.getpixel((85, 125))) > 240


def test_the_choice_of_recipe_goes_by_the_name(loaded: Catalogue) -> None:
    assert loaded.host.recipe_for("/in/Midnight sky.jpg", "/in") == ("deep", "night")
    assert loaded.host.recipe_for("/in/noon.jpg", "/in") is None


def test_the_stopwatch_times_a_run_and_changes_nothing(loaded: Catalogue, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    recipe = RecipeBook(loaded).resolve("classic", [({"octaves": 1, "steps": 1}, lambda *keys: "test")])
    job = recipe.job(torch.rand(3, 40, 56), seed=1)
    batch = Batch(engine=Engine(device="cpu"), jobs=[job, job], on_progress=lambda *_: None, should_stop=lambda: False)
    assert sorted(index for index, _ in loaded.host.run_batch(batch)) == [0, 1]
    assert "2 pictures in" in caplog.text


def test_the_diary_keeps_what_finished_and_what_failed_for_good(
    loaded: Catalogue, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = [module for name, module in sys.modules.items() if name.startswith("deepdream_file_diary")]
    (diary,) = (module for module in modules if module.__file__ == str(folder / "diary.py"))
    monkeypatch.setattr(diary, "DIARY", tmp_path / "dreams.jsonl")
    about = {"job": 1, "path": "/in/a.jpg", "folder": "/in", "recipe": "deep"}
    loaded.host.tell(JobFinished(**about, output="/out/a.jpg", seconds=2.0))
    loaded.host.tell(JobFailed(**about, error="no", advice="none", final=False))
    loaded.host.tell(JobFailed(**about, error="no", advice="none", final=True))
    loaded.host.settle(5)
    lines = [json.loads(line) for line in (tmp_path / "dreams.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["JobFinished", "JobFailed"]


def test_the_careful_one_names_what_did_not_load_and_tests_itself(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copyfile(EXAMPLES / "careful.py", folder / "careful.py")
    (folder / "broken.py").write_text("import nothing_of_that_name\n")
    host = load_catalogue(Selection(folder=folder)).host
    assert "not loaded: broken" in caplog.text
    assert host.has_self_test("careful")
    host.self_test("careful")


def test_the_lamp_tells_of_the_daemons_work(loaded: Catalogue, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "lamp")
    about = {"job": 1, "path": "/in/a.jpg", "folder": "/in", "recipe": "deep"}
    told = [
        DaemonStarted(version="1", pid=1, folders=("/in", "/more")),
        JobStarted(**about, attempt=1),
        JobProgress(**about, fraction=0.25),
        DaemonStopping(queued=3),
    ]
    for event in told:
        loaded.host.tell(event)
    loaded.host.settle(5)
    lines = [record.getMessage() for record in caplog.records if record.name == "lamp"]
    assert lines == [
        "on, for 2 folders",
        "dreaming /in/a.jpg",
        " 25 % of /in/a.jpg",
        "off, with 3 left for the next time",
    ]


def test_the_tutorials_commands_make_the_package_that_it_speaks_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What they make passes its own tests: test_scaffold.py.
    (block,) = blocks("sh")
    make, change, install, test = (shlex.split(line, comments=True) for line in block.splitlines())
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, "-m", "deepdream_daemon", *make[1:]], check=True, capture_output=True)
    package = tmp_path / change[1]
    assert tomllib.loads((package / "pyproject.toml").read_text())["project"]["entry-points"]["deepdream.plugins"] == {
        "sepia_toning": "deepdream_sepia_toning"
    }
    assert install == ["pip", "install", "--editable", ".[test]"]
    assert test == ["pytest"]
