"""Networks of one's own that change under their name: dreams are made anew, and engines load again; and where their
files may not lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from deepdream_engine import Engine
from deepdream_engine.errors import BadOption
from deepdream_plugins import RecipeBook, ResolvedRecipe, Selection, load_catalogue
from deepdream_plugins.toml_source import TomlSource
from tests.plugins.own_networks import Small, export, script, seeded

BUILDER = 'builder = "tests.plugins.own_networks:small"'


def resolved(folder: Path, table: str, *watched: Path) -> ResolvedRecipe:
    """A recipe with the network of ``[models.mine]``, as a configuration in ``folder`` that says so would resolve
    it."""
    source = TomlSource.parse(f"[models.mine]\n{table}", "config.toml")
    selection = Selection(models=source.data["models"], base_dir=folder, watched=watched)
    own = {"model": "mine", "objective": {"name": "l2", "layer": "stem"}, "octaves": 1, "steps": 1, "prefilters": []}
    return RecipeBook(load_catalogue(selection, source.where), base_dir=folder).resolve(
        "classic", [(own, lambda *keys: "test")]
    )


def reseeded(seed: int) -> Small:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Small().eval()


def saved_weights(path: Path, seed: int) -> Path:
    save_file(reseeded(seed).state_dict(), path)
    return path


@pytest.mark.parametrize(
    "change",
    [
        'weights = "random"',
        "arguments = { classes = 7 }",
        "mean = [0.4, 0.4, 0.4]",
        "input_range = [0, 255]",
        "min_side_px = 64",
        'default_tap = "stages.0"',
        'classes = ["a", "b", "c", "d", "e"]',
    ],
)
def test_a_recipe_is_another_one_once_the_table_of_its_network_changes(change: str, tmp_path: Path) -> None:
    plain = resolved(tmp_path, BUILDER)
    changed = resolved(tmp_path, f"{BUILDER}\n{change}")
    assert changed.fingerprint() != plain.fingerprint()
    assert changed.program().network.key != plain.program().network.key


def test_what_a_network_is_said_to_be_does_not_change_it(tmp_path: Path) -> None:
    plain = resolved(tmp_path, BUILDER)
    assert resolved(tmp_path, f'{BUILDER}\nhelp = "mine"').fingerprint() == plain.fingerprint()
    assert resolved(tmp_path, BUILDER).program().network == plain.program().network


@pytest.mark.parametrize(
    ("table", "name", "save"),
    [
        ('file = "net.pt"', "net.pt", lambda path, seed: script(path, reseeded(seed))),
        (f'{BUILDER}\nweights = "w.safetensors"', "w.safetensors", saved_weights),
    ],
)
def test_a_recipe_is_another_one_once_a_file_of_its_network_is_replaced(
    table: str, name: str, save: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    path = save(tmp_path / name, 0)
    recipe = resolved(tmp_path, table)
    before = recipe.fingerprint(), recipe.program().network.key
    content = path.read_bytes()
    save(path, 1)
    os.utime(path, ns=(1, 1))  # for file systems with coarse clocks
    assert recipe.fingerprint() != before[0]
    assert recipe.program().network.key != before[1]
    assert resolved(tmp_path, table).fingerprint() == recipe.fingerprint()
    path.write_bytes(content)
    assert (recipe.fingerprint(), recipe.program().network.key) == before, "it is the content that counts"
    path.unlink()
    with pytest.raises(BadOption, match=r"^config\.toml:\d: models\.mine\.\w+: .*cannot be read"):
        recipe.fingerprint()


def test_a_network_that_is_moved_stays_the_same(tmp_path: Path) -> None:
    path = export(tmp_path / "net.pt2", seeded())
    before = resolved(tmp_path, 'file = "net.pt2"').fingerprint()
    path.rename(tmp_path / "other.pt2")
    assert resolved(tmp_path, 'file = "other.pt2"').fingerprint() == before


def test_classes_in_a_file_belong_to_the_network(tmp_path: Path) -> None:
    table = f'{BUILDER}\nclasses = "names.txt"'
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n")
    before = resolved(tmp_path, table).fingerprint()
    assert resolved(tmp_path, f'{BUILDER}\nclasses = ["a", "b", "c", "d", "e"]').fingerprint() == before
    (tmp_path / "names.txt").write_text("a\nb\nd\nc\ne\n")
    assert resolved(tmp_path, table).fingerprint() != before


def test_weights_that_the_recipe_names_belong_to_it(tmp_path: Path) -> None:
    path = saved_weights(tmp_path / "w.safetensors", 0)
    recipe = RecipeBook(load_catalogue(Selection())).resolve(
        "classic", [({"model": {"name": "dreamnet", "weights": str(path)}}, lambda *keys: "test")]
    )
    before = recipe.fingerprint()
    saved_weights(path, 1)
    os.utime(path, ns=(1, 1))
    assert recipe.fingerprint() != before


def test_an_engine_dreams_with_the_new_file_and_not_with_the_one_that_it_has_loaded(tmp_path: Path) -> None:
    engine = Engine(device="cpu")
    recipe = resolved(tmp_path, f'{BUILDER}\nweights = "{saved_weights(tmp_path / "w.safetensors", 0)}"')
    picture = torch.rand(3, 61, 83, generator=torch.Generator().manual_seed(0)) / 2 + 0.25

    def dream(chosen: ResolvedRecipe) -> torch.Tensor:
        return engine.dream([chosen.job(picture, seed=1)])[0].pixels

    first = dream(recipe)
    assert torch.equal(dream(recipe), first)
    saved_weights(tmp_path / "w.safetensors", 1)
    os.utime(tmp_path / "w.safetensors", ns=(1, 1))
    second = dream(recipe)
    assert (second - first).abs().max() > 1e-3
    assert torch.equal(second, Engine(device="cpu").dream([recipe.job(picture, seed=1)])[0].pixels)


def test_an_identity_that_fails_is_told_with_its_plugin(folder: Path, write_plugin: Callable[[str, str], Path]) -> None:
    write_plugin(
        "odd",
        """
        from deepdream_plugins import ModelSpec, hookimpl

        @hookimpl
        def deepdream_models():
            for name, identity in (("number", lambda: 3), ("broken", lambda: 1 / 0)):
                yield ModelSpec(name=name, help="h", load=lambda w: None, default_tap="0", weights="none",
                                identity=identity)
        """,
    )
    book = RecipeBook(load_catalogue(Selection(folder=folder)))
    for model, said in (("number", "'odd' returned int; identity must return a string"), ("broken", "ZeroDivision")):
        recipe = book.resolve("classic", [({"model": model}, lambda *keys: "test")])
        with pytest.raises(BadOption, match=said):
            recipe.fingerprint()


@pytest.mark.parametrize(
    ("key", "table"),
    [
        ("file", 'file = "{}"'),
        ("weights", f'{BUILDER}\nweights = "{{}}"'),
        ("classes", f'{BUILDER}\nclasses = "{{}}"'),
    ],
)
def test_no_file_of_a_network_may_lie_where_pictures_are_dropped(key: str, table: str, tmp_path: Path) -> None:
    watched = tmp_path / "in"
    (watched / "deep").mkdir(parents=True)
    path = watched / "deep" / "net.txt"
    path.write_text("a\n")
    says = rf"^config\.toml:\d: models\.mine\.{key}: .*net\.txt' is reached through the watched folder .*in'.* Move it"
    with pytest.raises(BadOption, match=says):
        resolved(tmp_path, table.format("in/deep/net.txt"), tmp_path / "elsewhere", watched)
    assert resolved(tmp_path, table.format("in/deep/net.txt"), tmp_path / "elsewhere").fingerprint()


def test_links_do_not_hide_a_watched_folder(tmp_path: Path) -> None:
    watched, own = tmp_path / "in", tmp_path / "own"
    watched.mkdir()
    own.mkdir()
    for folder in (watched, own):
        (folder / "w.safetensors").touch()
    (tmp_path / "to-the-file").symlink_to("in/w.safetensors")
    (tmp_path / "to-the-folder").symlink_to(watched, target_is_directory=True)
    (tmp_path / "twice").symlink_to("to-the-folder/w.safetensors")
    (watched / "out").symlink_to(own, target_is_directory=True)  # whoever drops files could point it elsewhere
    (tmp_path / "through").symlink_to("in/out/w.safetensors")
    for path in ("to-the-file", "to-the-folder/w.safetensors", "twice", "in/out/w.safetensors", "through"):
        with pytest.raises(BadOption, match="reached through the watched folder"):
            resolved(tmp_path, f'{BUILDER}\nweights = "{path}"', watched)
    (tmp_path / "fine").symlink_to("own/w.safetensors")
    (tmp_path / "linked").symlink_to(watched, target_is_directory=True)
    for path in ("fine", "own/w.safetensors", "in/../own/w.safetensors"):
        assert resolved(tmp_path, f'{BUILDER}\nweights = "{path}"', watched).fingerprint()
    with pytest.raises(BadOption, match=r"reached through the watched folder .*linked"):
        resolved(tmp_path, f'{BUILDER}\nweights = "in/w.safetensors"', tmp_path / "linked")
