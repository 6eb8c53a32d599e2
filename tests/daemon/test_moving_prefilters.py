"""Pre-filters that move pixels take the photo's transparency and masks along: pixel by pixel, at odd sizes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from deepdream_daemon.configuration.settings import EngineSettings
from deepdream_daemon.intake.companions import BadCompanion, Companion
from deepdream_daemon.pipeline.darkroom import Darkroom, RenderedPicture
from deepdream_engine.errors import BadOption, EngineFault
from deepdream_engine.pictures import decode
from deepdream_plugins import FilterSpec, RecipeBook, ResolvedRecipe, hookimpl, load_catalogue
from deepdream_plugins.records import FilterContext
from deepdream_plugins.resolving.filtering import Start

Levels = NDArray[np.uint8]
WIDTH, HEIGHT = 91, 67
CROP = {"name": "crop", "width": 51, "height": 43, "anchor": "bottom-right"}
INSIDE = (slice(HEIGHT - 43, None), slice(WIDTH - 51, None))


class Moving:
    """A turn, a cut that shows it everything, one that does not say what it does, and one that looks first."""

    @hookimpl
    def deepdream_prefilters(self) -> list[FilterSpec]:
        def dark_cut(pictures: torch.Tensor, _context: FilterContext) -> torch.Tensor:
            return pictures[..., : 40 + int(pictures.mean() * 20)]

        return [
            FilterSpec(name="turn", help="h", apply=lambda p, _: torch.rot90(p, 1, (2, 3)), moves=True),
            FilterSpec(name="strip", help="h", apply=lambda p, _: p[:, :, :40]),
            FilterSpec(name="half", help="h", apply=lambda p, _: p[:, :, ::2, ::2]),
            FilterSpec(name="negative", help="h", apply=lambda p, _: 1 - p),
            FilterSpec(name="dark_cut", help="h", apply=dark_cut, moves=True),
        ]


@pytest.fixture(scope="module")
def darkroom() -> Darkroom:
    return Darkroom(EngineSettings(device="cpu"), max_megapixels=1, host=load_catalogue().host)


@pytest.fixture(scope="module")
def book() -> RecipeBook:
    catalogue = load_catalogue()
    assert catalogue.host.register(Moving(), "moving").state == "active"
    return RecipeBook(catalogue)


def recipe(book: RecipeBook, *prefilters: object, **table: object) -> ResolvedRecipe:
    quick = {"octaves": 1, "steps": 2, "margin": 8, "objective": {"layer": "mixed3b"}, **table}
    return book.resolve("classic", [({**quick, "prefilters": list(prefilters)}, lambda *keys: "test")])


def noise(*channels: int, seed: int = 0) -> Levels:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, *channels), np.uint8)


def png(levels: Levels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(levels).save(out, "PNG")
    return out.getvalue()


def beside(levels: Levels) -> Mapping[str, Companion]:
    return {"mask": Companion(path=Path("photo.mask.png"), sha256="", data=png(levels))}


def levels_of(values: object) -> Levels:
    return np.asarray(np.rint(np.asarray(values) * 255), np.uint8)


def test_transparency_and_masks_are_cropped_with_the_picture(darkroom: Darkroom, book: RecipeBook) -> None:
    photo = noise(4)
    for chosen, of_terms in (
        (recipe(book, CROP), False),
        (recipe(book, CROP, objective={"name": "l2", "layer": "mixed3b", "mask": ""}), True),
    ):
        prepared = darkroom.prepare(png(photo), chosen, 1, beside(photo[..., 1]))
        job = prepared.job
        assert np.array_equal(levels_of(job.pixels), photo[*INSIDE, :3].transpose(2, 0, 1))
        assert np.array_equal(levels_of(prepared.picture.alpha), photo[*INSIDE, 3])
        mask = job.planes["mask"] if of_terms else job.mask
        assert mask is not None
        assert (job.mask is None) == of_terms
        assert np.array_equal(levels_of(mask), photo[*INSIDE, 1][None]), "the mask is the picture's green"


def test_the_dream_has_the_cropped_transparency_and_stays_within_the_cropped_mask(
    darkroom: Darkroom, book: RecipeBook
) -> None:
    photo, mask = noise(4), np.zeros((HEIGHT, WIDTH), np.uint8)
    photo[..., 3] |= 1  # of what is invisible an encoder may keep anything
    mask[40:, :65] = 255
    prepared = darkroom.prepare(png(photo), recipe(book, CROP), 1, beside(mask))
    ((_, rendered),) = darkroom.dream(iter([prepared]), on_progress=lambda *_: None, should_stop=lambda: False)
    assert isinstance(rendered, RenderedPicture)
    dream = decode(darkroom.finish(rendered, {}).data)
    assert dream.pixels.shape == (43, 51, 3)
    assert np.array_equal(levels_of(dream.alpha), photo[*INSIDE, 3])
    change = np.abs(levels_of(dream.pixels).astype(int) - photo[*INSIDE, :3]).max(axis=2)
    assert change[mask[INSIDE] == 0].max() == 0
    assert change[mask[INSIDE] == 255].mean() > 1


def test_filters_that_move_and_filters_that_do_not_run_in_their_order(darkroom: Darkroom, book: RecipeBook) -> None:
    photo = noise(4)
    prepared = darkroom.prepare(png(photo), recipe(book, "turn", "negative", CROP, "turn"), 1, beside(photo[..., 2]))
    expected = np.rot90(np.rot90(photo)[-43:, -51:])
    assert np.array_equal(levels_of(prepared.job.pixels), 255 - expected[..., :3].transpose(2, 0, 1))
    assert np.array_equal(levels_of(prepared.picture.alpha), expected[..., 3])
    assert prepared.job.mask is not None
    assert np.array_equal(levels_of(prepared.job.mask[0]), expected[..., 2])


@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (1, 1), (33, 64)])
def test_resizing_takes_transparency_and_mask_along(
    darkroom: Darkroom, book: RecipeBook, size: tuple[int, int]
) -> None:
    """A grey picture whose transparency and mask are the same grey: they stay the same."""
    grey = np.asarray(Image.fromarray(noise()).resize(size))
    photo = np.dstack([grey] * 4)
    filters = [CROP, {"name": "resize", "longest_side": 40}]
    prepared = darkroom.prepare(png(photo), recipe(book, *filters), 1, beside(np.maximum(grey, 1)))
    red, mask = prepared.job.pixels[0], prepared.job.mask
    assert max(red.shape) <= 40
    assert prepared.picture.alpha is not None
    assert mask is not None
    torch.testing.assert_close(torch.from_numpy(prepared.picture.alpha), red)
    torch.testing.assert_close(mask[0], red, atol=1.01 / 255, rtol=0)


def test_a_mask_of_another_size_fits_the_whole_photo_first(darkroom: Darkroom, book: RecipeBook) -> None:
    """One of a third of the photo's size, white on the right."""
    mask = np.zeros((22, 30), np.uint8)
    mask[:, 20:] = 255
    job = darkroom.prepare(png(noise(3)), recipe(book, {**CROP, "anchor": "left"}), 1, beside(mask[:, ::-1])).job
    assert job.mask is not None
    assert job.mask.shape == (1, 43, 51)
    assert (job.mask[..., :28] > 0.99).all()
    assert (job.mask[..., 33:] < 0.01).all()


def test_a_mask_of_the_shape_of_the_pre_filtered_picture_is_used_as_it_is(
    darkroom: Darkroom, book: RecipeBook, tmp_path: Path
) -> None:
    drawn = noise()[:43, :43]
    (tmp_path / "round.png").write_bytes(png(drawn))
    square = {"name": "crop", "aspect": "1:1", "width": 43}
    for chosen, companions in (
        (recipe(book, square, mask=str(tmp_path / "round.png")), {}),
        (recipe(book, square), beside(drawn)),
    ):
        job = darkroom.prepare(png(noise(3)), chosen, 1, companions).job
        assert job.mask is not None
        assert np.array_equal(levels_of(job.mask[0]), drawn)


def test_a_mask_that_the_recipe_names_goes_through_the_filters_too(
    darkroom: Darkroom, book: RecipeBook, tmp_path: Path
) -> None:
    drawn = noise(seed=2)
    (tmp_path / "mask.png").write_bytes(png(drawn))
    job = darkroom.prepare(png(noise(3)), recipe(book, CROP, mask=str(tmp_path / "mask.png")), 1, {}).job
    assert job.mask is not None
    assert np.array_equal(levels_of(job.mask[0]), drawn[INSIDE])


def test_a_mask_of_which_nothing_white_is_left_is_refused(darkroom: Darkroom, book: RecipeBook) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:10] = 255
    with pytest.raises(BadCompanion, match=r"black everywhere.*photo\.mask\.png"):
        darkroom.prepare(png(noise(3)), recipe(book, CROP), 1, beside(mask))
    with pytest.raises(BadCompanion, match=r"the mask has 20 × 80 pixels, another shape than the picture's 51 × 43"):
        darkroom.prepare(png(noise(3)), recipe(book, CROP), 1, beside(np.full((80, 20), 255, np.uint8)))


def test_a_guide_is_not_moved(darkroom: Darkroom, book: RecipeBook) -> None:
    guide = {"guide": Companion(path=Path("photo.guide.png"), sha256="", data=png(noise(3)))}
    job = darkroom.prepare(png(noise(3)), recipe(book, CROP, objective="guide"), 1, guide).job
    assert job.guides["guide"].shape == (3, HEIGHT, WIDTH)


def test_what_is_prepared_does_not_keep_what_was_cut_off(darkroom: Darkroom, book: RecipeBook) -> None:
    photo = noise(4)
    top = {"name": "crop", "height": 40, "anchor": "top"}  # whole rows: a view of them is contiguous
    prepared = darkroom.prepare(png(photo), recipe(book, top), 1, beside(photo[..., 1]))
    mask, alpha = prepared.job.mask, prepared.picture.alpha
    assert mask is not None
    assert alpha is not None
    for tensor in (mask, prepared.job.pixels, torch.from_numpy(alpha)):
        assert tensor.untyped_storage().nbytes() == tensor.nbytes
    base = alpha.base
    assert base is None or getattr(base, "nbytes", alpha.nbytes) == alpha.nbytes


def test_a_filter_that_changes_the_shape_and_does_not_say_that_it_moves_leaves_nothing_to_guess(
    darkroom: Darkroom, book: RecipeBook
) -> None:
    said = "the pre-filter 'strip' of the plugin 'moving' changed the size from 91 × 67 to 91 × 40, and the picture's "
    with pytest.raises(EngineFault, match=f"{said}transparency does not go with it; .*moves=True"):
        darkroom.prepare(png(noise(4)), recipe(book, "strip"), 1, {})
    with pytest.raises(EngineFault, match=f"{said}mask does not go with it"):
        darkroom.prepare(png(noise(3)), recipe(book, "strip"), 1, beside(noise()))
    assert darkroom.prepare(png(noise(3)), recipe(book, "strip"), 1, {}).job.pixels.shape == (3, 40, 91)


def test_one_that_keeps_the_shape_has_transparency_and_masks_resized(darkroom: Darkroom, book: RecipeBook) -> None:
    prepared = darkroom.prepare(png(noise(4)), recipe(book, "half"), 1, beside(noise()))
    assert prepared.picture.alpha is not None
    assert prepared.job.mask is not None
    assert prepared.picture.alpha.shape == prepared.job.mask.shape[1:] == prepared.job.pixels.shape[1:] == (34, 46)


def test_one_that_looks_at_the_picture_to_choose_a_size_is_named(book: RecipeBook) -> None:
    start = Start(pixels=torch.ones(3, HEIGHT, WIDTH), seed=1, alpha=torch.zeros(HEIGHT, WIDTH))
    with pytest.raises(EngineFault, match=r"'dark_cut'.* made 60 × 67 pixels of the picture but 40 × 67 of its transp"):
        recipe(book, "dark_cut").begin(start)


def test_without_pre_filters_a_photo_begins_as_it_is(book: RecipeBook) -> None:
    start = Start(pixels=torch.rand(3, 5, 7), seed=3, alpha=torch.rand(5, 7), masks={"mask": torch.rand(1, 5, 7)})
    begun = recipe(book).begin(start)
    assert torch.equal(begun.pixels, start.pixels)
    assert begun.alpha is not None
    assert start.alpha is not None
    assert torch.equal(begun.alpha, start.alpha)
    assert torch.equal(begun.masks["mask"], start.masks["mask"])
    assert begun.seed == 3


def test_a_mask_that_is_missing_is_told_before_anything_is_filtered(darkroom: Darkroom, book: RecipeBook) -> None:
    chosen = recipe(book, CROP, objective={"name": "l2", "layer": "mixed3b", "mask": ""})
    with pytest.raises(BadOption, match="there is no mask beside the picture"):
        darkroom.prepare(png(noise(3)), chosen, 1, {})
