"""The table ``video`` of a recipe: how the frames of a clip follow from each other."""

from __future__ import annotations

from typing import Any

import pytest

from deepdream_engine.errors import BadOption
from deepdream_engine.motion.coherence import Coherence
from deepdream_plugins import RecipeBook, ResolvedRecipe, load_catalogue
from deepdream_plugins.resolving.moving_keys import VIDEO

BOOK = RecipeBook(load_catalogue())


def resolve(**video: object) -> ResolvedRecipe:
    overrides = [({"video": video}, lambda *keys: "--set " + ".".join(map(str, keys)))] if video else []
    return BOOK.resolve("classic", overrides)


def test_a_recipe_says_how_frames_follow_from_each_other() -> None:
    recipe = resolve(carry=0.5, chunk=48)
    assert recipe.video == {"carry": 0.5, "steps": 0.125, "lock": "mean", "chunk": 48}
    again = BOOK.from_dict(recipe.to_dict())
    assert again == recipe
    assert again.fingerprint() == recipe.fingerprint() != resolve().fingerprint()


def test_a_recipe_that_says_nothing_of_clips_is_the_recipe_that_it_was() -> None:
    assert not resolve().video
    assert "video" not in resolve().to_dict()


def test_what_is_not_said_is_as_the_engine_has_it() -> None:
    defaults: dict[str, Any] = {option.name: option.default for option in VIDEO if option.name != "chunk"}
    assert Coherence(**defaults) == Coherence()


@pytest.mark.parametrize(("video", "told"), [({"cary": 0.5}, "carry"), ({"carry": 1}, "0.99"), ({"lock": "x"}, "mean")])
def test_mistakes_are_told_with_their_place(video: dict[str, object], told: str) -> None:
    with pytest.raises(BadOption, match=r"--set video\.") as error:
        resolve(**video)
    assert told in str(error.value)
