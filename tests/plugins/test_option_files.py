"""Options that name files, and what a filter checks when its recipe is read: placed errors, and dreams made anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from deepdream_engine.errors import BadOption
from deepdream_plugins import RecipeBook, load_catalogue
from deepdream_plugins.resolving.resolved import ResolvedRecipe
from deepdream_plugins.toml_source import dotted

CATALOGUE = load_catalogue()


def resolved(folder: Path, *postfilters: dict[str, object]) -> ResolvedRecipe:
    """Return ``classic`` with these filters, as a configuration in ``folder`` would."""
    override = ({"postfilters": list(postfilters)}, lambda *keys: f"config.toml:3: {dotted(*keys)}")
    return RecipeBook(CATALOGUE, base_dir=folder).resolve("classic", [override])


def painted(path: Path, level: int) -> Path:
    Image.new("L", (4, 4), level).save(path)
    return path


def test_a_file_is_found_beside_the_configuration_and_used(tmp_path: Path) -> None:
    painted(tmp_path / "mask.png", 0)
    dream, source = torch.rand(2, 3, 9, 9)
    recipe = resolved(tmp_path, {"name": "blend", "mask": "mask.png", "amount": 1.0})
    torch.testing.assert_close(recipe.postfilter(dream, source, seed=1), source)
    painted(tmp_path / "white.png", 255)
    recipe = resolved(tmp_path, {"name": "blend", "mask": str(tmp_path / "white.png"), "amount": 1.0})
    torch.testing.assert_close(recipe.postfilter(dream, source, seed=1), dream)


def test_a_file_that_is_not_there_is_named_with_its_place(tmp_path: Path) -> None:
    painted(tmp_path / "mask.png", 0)
    with pytest.raises(BadOption, match=r"config\.toml:3: .*mask: 'mask\.pgn'.* Did you mean 'mask\.png'\?"):
        resolved(tmp_path, {"name": "blend", "mask": "mask.pgn"})


def test_a_recipe_is_another_one_once_the_files_content_changes(tmp_path: Path) -> None:
    mask = painted(tmp_path / "mask.png", 0)
    recipe = resolved(tmp_path, {"name": "blend", "mask": "mask.png"})
    before = recipe.fingerprint()
    assert resolved(tmp_path, {"name": "blend", "mask": "mask.png"}).fingerprint() == before
    painted(mask, 255)
    assert recipe.fingerprint() != before
    mask.unlink()
    with pytest.raises(BadOption, match=r"config\.toml:3: .*mask: .*mask\.png"):
        recipe.fingerprint()


def test_a_published_recipe_tells_no_paths(tmp_path: Path) -> None:
    painted(tmp_path / "mask.png", 0)
    recipe = resolved(tmp_path, {"name": "blend", "mask": "mask.png"})
    assert recipe.to_dict()["postfilters"][0]["mask"] == str(tmp_path / "mask.png")
    assert str(tmp_path) not in str(recipe.to_dict(paths=False))
    assert recipe.to_dict(paths=False)["postfilters"][0]["mask"] == "mask.png"


def test_what_a_filter_refuses_is_said_when_the_recipe_is_read(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"^config\.toml:3: [^ ]*font: font 'none\.ttf' cannot be used"):
        resolved(tmp_path, {"name": "watermark", "text": "dream", "font": "none.ttf"})
