"""Journeys in recipes: what may be said, what is wrong with it and where, and the presets against straight lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from deepdream_engine import Engine
from deepdream_engine.errors import BadOption
from deepdream_engine.motion.journey import InMemory, frame_seed
from deepdream_engine.motion.timeline import Moment
from deepdream_plugins.catalogue import Catalogue, load_catalogue
from deepdream_plugins.recipes import RecipeBook, parse_set
from deepdream_plugins.resolving.moving import JourneyRecipe
from deepdream_plugins.resolving.resolved import ResolvedRecipe
from deepdream_plugins.selection import Selection

TERMS = {"edges": {"name": "l2", "layer": "conv2"}, "eyes": {"name": "channel", "layer": "mixed4d", "channel": 3}}
PRESETS = ("article", "google-zoom", "google-zoom-dreamnet")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(Selection())


@pytest.fixture(scope="module")
def book(catalogue: Catalogue) -> RecipeBook:
    return RecipeBook(catalogue)


def resolved(catalogue: Catalogue, journey: Any, *changes: str, **keys: Any) -> ResolvedRecipe:
    """Return the recipe x with this journey."""
    book = RecipeBook(catalogue, {"x": {"base": "classic", "journey": journey, **keys}})
    return book.resolve(
        "x", [(parse_set(change), lambda *path: f"--set {'.'.join(map(str, path))}") for change in changes]
    )


def journey_of(recipe: ResolvedRecipe) -> JourneyRecipe:
    assert recipe.journey is not None
    return recipe.journey


def factors(recipe: ResolvedRecipe, moment: Moment) -> dict[str, float]:
    return {term.label: term.factor for term in journey_of(recipe).still(recipe, moment).terms}


def wrong(catalogue: Catalogue, journey: Any, **keys: Any) -> str:
    with pytest.raises(BadOption) as caught:
        resolved(catalogue, journey, **keys)
    return str(caught.value)


def test_a_journey_without_segments_dreams_the_recipes_own_objective(catalogue: Catalogue) -> None:
    recipe = resolved(catalogue, {"frames": 12, "zoom": 1.01})
    timeline = journey_of(recipe).timeline
    assert (timeline.frames, timeline.at(5).motion.zoom) == (12, 1.01)
    assert journey_of(recipe).still(recipe, timeline.at(5)).terms == recipe.terms


def test_a_recipe_without_a_journey_has_none_and_says_nothing_of_it(book: RecipeBook) -> None:
    recipe = book.resolve("classic")
    assert recipe.journey is None
    assert not {"journey", "film"} & set(recipe.to_dict())


def test_segments_take_from_the_journey_what_they_do_not_say(catalogue: Catalogue) -> None:
    recipe = resolved(catalogue, {"zoom": 1.03, "rotate": 2, "segments": [{"zoom": [1.0, 1.1]}, {"rotate": 0}]})
    first, second = journey_of(recipe).timeline.segments
    assert (first.zoom, first.degrees) == ((1.0, 1.1), (2.0,))
    assert (second.zoom, second.degrees) == ((1.03,), (0.0,))


def test_what_is_set_on_top_holds_for_all_segments(catalogue: Catalogue) -> None:
    journey = {"frames": 100, "segments": [{"zoom": 1.1, "length": 0.5}, {}]}
    recipe = resolved(catalogue, journey, "journey.frames=10", "journey.zoom=1.01")
    segments = journey_of(recipe).timeline.segments
    assert [(segment.frames, segment.zoom, segment.fade) for segment in segments] == [(5, (1.01,), 1), (10, (1.01,), 2)]


def test_a_fade_weighs_both_segments_in_one_program_whatever_its_place(catalogue: Catalogue) -> None:
    journey = {"frames": 10, "fade": 0.4, "segments": [{"objective": "edges"}, {"objective": "edges - 3 * eyes"}]}
    recipe = resolved(catalogue, journey, terms=TERMS)
    made = journey_of(recipe)
    early, late = (made.still(recipe, made.timeline.at(number)) for number in (6, 9))
    assert early.program() == late.program()
    assert hash(early.program().objective.key) == hash(late.program().objective.key)
    shares = made.timeline.at(6).shares
    told = factors(recipe, made.timeline.at(6))
    assert told == pytest.approx(
        {"s1_l2": shares[0].share, "s2_edges": shares[1].share / 4, "s2_eyes": -3 * shares[1].share / 4}
    )
    assert sum(map(abs, told.values())) == pytest.approx(1)


def test_weights_and_step_sizes_follow_their_keyframes(catalogue: Catalogue) -> None:
    segment = {"objective": "edges + eyes", "weights": {"eyes": [0, 2]}, "step_size": [0.5, 1.5], "easing": "linear"}
    recipe = resolved(catalogue, {"frames": 5, "segments": [segment]}, terms=TERMS, step_size=0.7)
    made = journey_of(recipe)
    assert [factors(recipe, made.timeline.at(n))["eyes"] for n in range(5)] == [0, 0.5, 1, 1.5, 2]
    sizes = [made.still(recipe, made.timeline.at(n)).schedule.step_size for n in range(5)]
    assert sizes == pytest.approx([0.5, 0.75, 1.0, 1.25, 1.5])


def test_lists_for_each_octave_keep_those_of_the_largest(catalogue: Catalogue) -> None:
    journey = {"frames": 2, "segments": [{"octaves": 2}, {"octaves": 4, "steps": 3}]}
    recipe = resolved(catalogue, journey, steps=[9, 6, 3], step_size=[3.0, 2.0, 1.0])
    made = journey_of(recipe)
    first, second = (made.still(recipe, made.timeline.at(number)).schedule for number in (0, 3))
    assert (first.octaves, first.steps, first.step_size) == (2, (6, 3), (2.0, 1.0))
    assert (second.octaves, second.steps, second.step_size) == (4, 3, (3.0, 3.0, 2.0, 1.0))


@pytest.mark.parametrize(
    "journey",
    [
        {"way": "loop", "frames": 20, "kernel": "bicubic"},
        {
            "start": "noise",
            "segments": [{"objective": "edges"}, {"objective": "edges + 0.5 * eyes", "weights": {"eyes": 2}}],
        },
        {
            "segments": [
                {"objective": {"name": "l2", "layer": "mixed5a"}, "length": 0.3, "centre_x": [0.2, 0.8], "steps": 2}
            ]
        },
        {"segments": [{"objective": "a + b", "terms": {"a": {"name": "l2"}, "b": {"name": "mean", "layer": "conv2"}}}]},
    ],
)
def test_a_journey_is_what_it_was_when_it_is_read_back(catalogue: Catalogue, journey: Mapping[str, Any]) -> None:
    recipe = resolved(catalogue, journey, terms=TERMS, objective="edges + l2(layer = 'mixed4b')", film={"quality": 50})
    told = json.loads(json.dumps(recipe.to_dict()))
    again = RecipeBook(catalogue).from_dict(told)
    assert again == recipe
    assert again.fingerprint() == recipe.fingerprint()


def test_another_timeline_is_another_recipe(catalogue: Catalogue) -> None:
    one, other = (resolved(catalogue, {"frames": count}) for count in (10, 11))
    assert one.fingerprint() != other.fingerprint()


@pytest.mark.parametrize(
    ("journey", "place", "told"),
    [
        ({"zom": 1}, "journey.zom", "Did you mean 'zoom'"),
        ({"zoom": 0}, "journey.zoom", "from 0.25 to 4"),
        ({"frames": 0}, "journey.frames", "from 1 to 100000"),
        ({"segments": []}, "journey.segments", "not a list of segments"),
        ({"segments": [3]}, "journey.segments[0]", "not a table"),
        ({"segments": [{}, {"zooom": 1}]}, "journey.segments[1].zooom", "Did you mean 'zoom'"),
        ({"segments": [{"length": 0}]}, "journey.segments[0].length", "from 0.001"),
        ({"segments": [{"zoom": [1.0, "fast"]}]}, "journey.segments[0].zoom[1]", "not a number"),
        ({"segments": [{"fade": 1.5}]}, "journey.segments[0].fade", "from 0 to 1"),
        ({"segments": [{"objective": {"name": "l2", "layer": "conv9"}}]}, "segments[0].objective.layer", "'conv2'"),
        ({"segments": [{"objective": "edgs + eyes"}]}, "journey.segments[0].objective", "edges"),
        ({"segments": [{"terms": {"a": "l2"}}]}, "journey.segments[0].terms", "write objective"),
        ({"segments": [{"objective": "edges", "weights": {"eyes": 1}}]}, "segments[0].weights.eyes", "term of this"),
        ({"way": "loop", "fade": 0}, "journey.way", "Change its fade"),
        ({"way": "loop", "fade": 0.9}, "journey.way", "at most half"),
        ({"frames": 100000, "segments": [{"length": 11}]}, "journey.frames", "the most is 1000000"),
        (7, "journey", "not a table"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(catalogue: Catalogue, journey: Any, place: str, told: str) -> None:
    error = wrong(catalogue, journey, terms=TERMS, objective="edges + eyes")
    assert f"x.{place}" in error or place in error
    assert told in error


def test_octaves_above_the_picture_leave_one_for_the_picture(catalogue: Catalogue) -> None:
    assert "octaves_above" in wrong(catalogue, {"segments": [{"octaves": 1}]}, octaves_above=1)


def test_terms_that_only_segments_use_do_not_stand_in_the_stills_way(catalogue: Catalogue) -> None:
    recipe = resolved(catalogue, {"segments": [{"objective": "edges + eyes"}]}, terms=TERMS)
    assert [term.label for term in recipe.terms] == [""]
    assert journey_of(resolved(catalogue, {"segments": [{}]}, terms=TERMS)).segments[0].terms == recipe.terms


def test_options_of_films_are_checked(catalogue: Catalogue) -> None:
    error = wrong(catalogue, {"frames": 1}, film={"codec": "h265"})
    assert "film.codec" in error
    assert "hevc" in error


def test_the_article_goes_through_the_networks_layers_from_low_to_high(book: RecipeBook) -> None:
    recipe = book.resolve("article")
    made = journey_of(recipe)
    layers = [str(segment.terms[0].objective.options["layer"]) for segment in made.segments]
    known = [*(tap.name for tap in recipe.model.spec.taps), "logits"]
    assert recipe.model.spec.name == "dreamnet"
    assert layers == sorted(layers, key=known.index)
    assert len(set(layers)) == len(layers) >= 6
    assert all(segment.frames == 150 for segment in made.timeline.segments)
    assert all(made.timeline.at(number).motion.zoom > 1 for number in range(0, made.timeline.frames, 10))


@pytest.mark.parametrize("name", PRESETS)
def test_the_frames_of_a_preset_scale(book: RecipeBook, name: str) -> None:
    whole = journey_of(book.resolve(name)).timeline
    few = journey_of(book.resolve(name, [({"journey": {"frames": 5}}, lambda *_: "--set")])).timeline
    assert few.frames == 5 * len(whole.segments)
    assert few.segments[0].zoom == whole.segments[0].zoom


def test_google_zoom_is_the_notebooks_loop(book: RecipeBook) -> None:
    """Straight down: dream, shrink the view by s about the middle with ``order=1``, dream again."""
    changes: dict[str, Any] = {
        "model": "dreamnet",
        "objective": {"layer": "mixed3b"},
        "precision": "fp64",
        "octaves": 2,
        "steps": 2,
        "jitter": 4,
        "journey": {"frames": 4},
    }
    recipe = book.resolve("google-zoom", [(changes, lambda *_: "test")])
    engine = Engine(device="cpu")
    first = torch.rand((3, 48, 64), generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    film = []
    made = journey_of(recipe).production(recipe, first, 7, {}, InMemory())
    while not made.done:
        asked = made.next_job()
        assert asked is not None
        made.receive(asked[0], engine.dream([asked[1]])[0].pixels)
        still = made.next_still()
        assert still is not None
        film.append(still.pixels)

    frame, share = first.numpy(), 0.05
    for number in range(4):
        (dream,) = engine.dream([recipe.job(torch.from_numpy(frame), frame_seed(7, number))])
        frame = dream.pixels.numpy()
        shown = film[number]
        assert shown is not None
        assert np.abs(frame - shown.numpy()).max() * 255 < 2
        _, height, width = frame.shape
        offset = [(height - 1) * share / 2, (width - 1) * share / 2]
        frame = np.stack(
            [
                ndimage.affine_transform(plane, [1 - share, 1 - share], offset, order=1, mode="nearest")
                for plane in frame
            ]
        ).clip(0, 1)
