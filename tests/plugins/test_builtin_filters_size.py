"""The built-in filters that move pixels: what they cut, scale and put together, and that all of it goes along."""

from __future__ import annotations

import pytest
import torch

from deepdream_plugins import RecipeBook
from deepdream_plugins.resolving.filtering import Finish, Start
from tests.plugins.filter_runs import CATALOGUE, pictures, run


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(40, 100, (20, 50)), (101, 33, (50, 16)), (50, 20, (50, 20)), (1, 1000, (1, 50)), (7, 7, (7, 7))],
)
@pytest.mark.parametrize("before", [True, False])
def test_resize_shrinks_to_the_longest_side_and_never_enlarges(
    height: int, width: int, expected: tuple[int, int], before: bool
) -> None:
    assert run("resize", pictures(height, width), longest_side=50, before=before).shape[-2:] == expected


@pytest.mark.parametrize(
    ("scale", "longest_side", "expected"), [(2, 0, (20, 60)), (0.5, 0, (5, 15)), (4, 60, (20, 60)), (0.01, 0, (1, 1))]
)
def test_resize_scales_up_to_the_longest_side(scale: float, longest_side: int, expected: tuple[int, int]) -> None:
    assert run("resize", pictures(10, 30), scale=scale, longest_side=longest_side).shape[-2:] == expected


def test_resize_does_not_alias() -> None:
    stripes = (torch.arange(200) % 2).float().expand(1, 3, 200, 200)
    inner = run("resize", stripes, longest_side=70)[..., 5:-5]
    assert (inner - 0.5).abs().max() < 0.1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (90, 200)),
        ({"aspect": "1:1"}, (90, 90)),
        ({"aspect": "16:9"}, (90, 160)),
        ({"aspect": "9:16"}, (90, 51)),
        ({"aspect": "3:1"}, (67, 200)),
        ({"width": 50}, (90, 50)),
        ({"width": 500, "height": 30}, (30, 200)),
        ({"width": 80, "aspect": "16:9"}, (45, 80)),
        ({"width": 80, "height": 20, "aspect": "1:2"}, (20, 10)),
    ],
)
def test_crop_cuts_the_largest_part_of_the_aspect_within_the_size(
    options: dict[str, object], expected: tuple[int, int]
) -> None:
    assert run("crop", pictures(90, 200), **options).shape[-2:] == expected


@pytest.mark.parametrize(
    ("anchor", "rows", "columns"),
    [
        ("centre", slice(2, 6), slice(5, 15)),
        ("top", slice(0, 4), slice(5, 15)),
        ("bottom", slice(4, 8), slice(5, 15)),
        ("left", slice(2, 6), slice(0, 10)),
        ("right", slice(2, 6), slice(10, 20)),
        ("top-left", slice(0, 4), slice(0, 10)),
        ("top-right", slice(0, 4), slice(10, 20)),
        ("bottom-left", slice(4, 8), slice(0, 10)),
        ("bottom-right", slice(4, 8), slice(10, 20)),
    ],
)
def test_crop_keeps_what_the_anchor_says(anchor: str, rows: slice, columns: slice) -> None:
    given = pictures(8, 20)
    for before in (True, False):
        cut = run("crop", given, width=10, height=4, anchor=anchor, before=before)
        assert torch.equal(cut, given[..., rows, columns])


def test_crop_offers_every_aspect_in_both_directions() -> None:
    choices = next(option for option in CATALOGUE.postfilters["crop"].spec.options if option.name == "aspect").choices
    turned = {":".join(reversed(aspect.split(":"))) for aspect in choices[1:]}
    assert turned == set(choices[1:])
    for aspect in choices[1:]:
        height, width = run("crop", pictures(600, 600), aspect=aspect).shape[-2:]
        across, down = map(float, aspect.split(":"))
        assert width / height == pytest.approx(across / down, rel=0.01)


def test_side_by_side_shows_the_source_and_the_dream_a_gap_apart() -> None:
    dream, source = pictures(8, 20), pictures(8, 20, 2)
    result = run("side_by_side", dream, source, gap=3, gap_level=51)  # wide pictures go one below the other
    assert result.shape == (1, 3, 19, 20)
    assert torch.equal(result[:, :, :8], source)
    assert (result[:, :, 8:11] == 51 / 255).all()
    assert torch.equal(result[:, :, 11:], dream)
    tall = run("side_by_side", dream.mT, source.mT, gap=3, gap_level=51, first="dream")
    assert torch.equal(tall[..., :8], dream.mT)
    assert torch.equal(tall[..., 11:], source.mT)
    assert run("side_by_side", dream, source, gap=0, direction="across").shape == (1, 3, 8, 40)


def test_the_transparency_and_the_masks_are_cropped_before_the_dream_as_the_picture_is() -> None:
    photo = pictures(9, 21)[0]
    crop = {"name": "crop", "aspect": "16:9", "anchor": "right"}
    recipe = RecipeBook(CATALOGUE).resolve("classic", [({"prefilters": [crop]}, lambda *keys: "test")])
    begun = recipe.begin(Start(pixels=photo, seed=1, alpha=photo[0], masks={"a.mask": photo[1:2], ":mask": photo[2:]}))
    assert torch.equal(begun.pixels, photo[:, :, 5:])
    assert begun.alpha is not None
    assert torch.equal(begun.alpha, begun.pixels[0])
    assert torch.equal(begun.masks["a.mask"], begun.pixels[1:2])
    assert torch.equal(begun.masks[":mask"], begun.pixels[2:])


def test_what_moves_pixels_before_the_dream_says_so() -> None:
    assert [name for name, owned in CATALOGUE.prefilters.items() if owned.spec.moves] == ["crop", "resize"]


def finished(postfilters: list[object]) -> Finish:
    """What a dream of 8 × 20 pixels with transparency becomes."""
    recipe = RecipeBook(CATALOGUE).resolve("classic", [({"postfilters": postfilters}, lambda *keys: "test")])
    dream, source = pictures(8, 20)[0], pictures(8, 20, 2)[0]
    return recipe.finish(Finish(dream=dream, source=source, seed=1, alpha=source[0].clone()))


def test_the_source_and_the_transparency_are_cropped_with_the_dream() -> None:
    done = finished([{"name": "crop", "width": 5, "anchor": "right"}])
    assert torch.equal(done.dream, pictures(8, 20)[0, :, :, 15:])
    assert torch.equal(done.source, pictures(8, 20, 2)[0, :, :, 15:])
    assert done.alpha is not None
    assert torch.equal(done.alpha, done.source[0])


def test_filters_after_a_pair_see_the_source_on_both_sides() -> None:
    done = finished([{"name": "side_by_side", "gap": 4, "direction": "across"}, {"name": "blend", "amount": 1}])
    source = pictures(8, 20, 2)[0]
    for columns in (slice(0, 20), slice(24, 44)):
        torch.testing.assert_close(done.dream[..., columns], source)
        assert done.alpha is not None
        torch.testing.assert_close(done.alpha[:, columns], source[0])
    assert (done.alpha[:, 20:24] == 1).all()  # a white gap is opaque
