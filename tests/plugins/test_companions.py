"""Guides and masks, named by the recipe or lying beside the photo: found, fitted to the picture, or refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepdream_engine import Engine
from deepdream_engine.errors import BadOption
from deepdream_engine.pictures import Picture
from deepdream_plugins import RecipeBook, ResolvedRecipe, load_catalogue
from deepdream_plugins.toml_source import TomlSource

BOOK = RecipeBook(load_catalogue())
Write = Callable[..., Path]


def recipe(**table: object) -> ResolvedRecipe:
    """The ``classic`` recipe with some keys changed, in one short octave."""
    short = {"octaves": 1, "steps": 1, "margin": 0, "jitter": 0}
    return BOOK.resolve("classic", [({**short, **table}, lambda *keys: f"c.toml:9: {'.'.join(map(str, keys))}")])


def grey(*rows: list[int], alpha: float | None = None) -> Picture:
    """A mask of a few large pixels, from 0 to 255."""
    pixels = np.repeat(np.array(rows, np.float32)[:, :, None] / 255, 3, axis=2)
    return Picture(pixels=pixels, format="PNG", alpha=None if alpha is None else np.full(pixels.shape[:2], alpha, "f4"))


@pytest.fixture
def photo() -> torch.Tensor:
    return torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(name, pixels)`` saves an 8-bit picture and returns its path."""

    def save(name: str, pixels: np.ndarray) -> Path:  # type: ignore[type-arg]
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name)
        return tmp_path / name

    return save


def noise(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3))


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ({}, {"mask": False}),
        ({"objective": "guide"}, {"guide": True, "mask": False}),
        ({"objective": {"name": "l2", "mask": ""}}, {"mask": True}),
        ({"objective": "guide(mask = '') + l2"}, {"guide": True, "mask": True}),
        ({"objective": "guide - guide_mean"}, {"guide": True, "mask": False}),
    ],
)
def test_a_recipe_tells_what_it_would_take_from_beside_the_photo(
    table: dict[str, object], wanted: dict[str, bool]
) -> None:
    assert recipe(**table).companions() == wanted


def test_files_of_the_recipe_leave_nothing_to_be_found(write: Write) -> None:
    guide, mask = str(write("g.png", noise())), str(write("m.png", noise()[..., 0]))
    assert recipe(objective={"name": "guide", "guide": guide}, mask=mask).companions() == {}


def test_paths_are_relative_to_the_configuration(write: Write, tmp_path: Path) -> None:
    write("g.png", noise())
    source = TomlSource.parse("[recipes.x]\nobjective = { name = 'guide', guide = 'g.png' }\nmask = 'g.png'", "c.toml")
    book = RecipeBook(load_catalogue(), source.data["recipes"], source.where, base_dir=tmp_path)
    made = book.resolve("x")
    assert made.terms[0].objective.options["guide"] == made.mask == str(tmp_path / "g.png")
    assert book.from_dict(made.to_dict()) == made
    told = made.to_dict(paths=False)
    assert (told["objective"]["guide"], told["mask"]) == ("g.png", "g.png")
    assert str(tmp_path) not in str(told)


def test_a_mask_is_grey_and_brought_to_the_pictures_size(photo: torch.Tensor) -> None:
    mask = recipe().job(photo, 1, {"mask": grey([0, 255, 255, 0], [0, 255, 255, 0], [0, 255, 255, 0])}).mask
    assert mask is not None
    assert mask.shape == (1, 48, 64)
    assert mask[:, :, :4].max() == 0
    assert mask[:, :, 28:36].min() == 1
    colour = Picture(pixels=np.tile(np.float32([1, 0, 0]), (3, 4, 1)), format="PNG")
    red = recipe().job(photo, 1, {"mask": colour}).mask
    assert red is not None
    torch.testing.assert_close(red, torch.full_like(red, 0.299))
    seen_through = recipe().job(photo, 1, {"mask": grey(*[[255] * 4] * 3, alpha=0.5)}).mask
    assert seen_through is not None
    torch.testing.assert_close(seen_through, torch.full_like(seen_through, 0.5))


def test_a_mask_of_one_colour_is_drawn_in_its_transparency(photo: torch.Tensor) -> None:
    alpha = np.zeros((48, 64), np.float32)
    alpha[:, 32:] = 1
    for level in (0.0, 0.5, 1.0):
        given = Picture(pixels=np.full((48, 64, 3), level, np.float32), format="PNG", alpha=alpha)
        mask = recipe().job(photo, 1, {"mask": given}).mask
        assert mask is not None
        torch.testing.assert_close(mask[0], torch.from_numpy(alpha))
    drawn = np.repeat(1 - alpha[:, :, None], 3, axis=2)
    with pytest.raises(BadOption, match="the mask is black everywhere"):  # white only where nothing is seen of it
        recipe().job(photo, 1, {"mask": Picture(pixels=drawn, format="PNG", alpha=alpha)})


def test_none_is_no_mask_whatever_lies_beside_the_photo(photo: torch.Tensor) -> None:
    made = recipe(mask="none", objective={"name": "l2", "mask": "none"})
    assert made.companions() == {}
    job = made.job(photo, 1, {"mask": grey([0, 255, 255, 0], [0, 255, 255, 0], [0, 255, 255, 0])})
    assert (job.mask, job.planes) == (None, {})
    assert made.to_dict(paths=False)["mask"] == "none"
    assert BOOK.from_dict(made.to_dict()) == made
    assert made.fingerprint() != recipe(objective="l2").fingerprint()


def test_a_fine_mask_is_averaged_and_not_sampled(photo: torch.Tensor) -> None:
    stripes = np.zeros((480, 640, 3), np.float32)
    stripes[:, ::3] = 1
    mask = recipe().job(photo, 1, {"mask": Picture(pixels=stripes, format="PNG")}).mask
    assert mask is not None
    assert (mask - 1 / 3).abs().max() < 0.1


def test_without_a_mask_there_is_none(photo: torch.Tensor) -> None:
    job = recipe().job(photo, 1)
    assert (job.mask, job.planes, job.guides) == (None, {}, {})


def test_a_mask_that_a_term_takes_is_not_the_recipes(photo: torch.Tensor) -> None:
    given = {"mask": grey([0, 255, 255, 0], [0, 255, 255, 0], [0, 255, 255, 0])}
    job = recipe(objective="l2(mask = '') - mean").job(photo, 1, given)
    assert job.mask is None
    assert {name: plane.shape for name, plane in job.planes.items()} == {"l2.mask": (1, 48, 64)}
    alone = recipe(objective={"name": "l2", "mask": ""}).job(photo, 1, given)
    assert alone.mask is None
    assert torch.equal(alone.planes["mask"], job.planes["l2.mask"])


def test_the_recipes_own_file_goes_before_the_companion(write: Write, photo: torch.Tensor) -> None:
    white = write("m.png", np.full((3, 4), 255))
    mask = recipe(mask=str(white)).job(photo, 1, {"mask": grey([0, 0, 0, 1])}).mask
    assert mask is not None
    assert mask.min() == 1


@pytest.mark.parametrize(
    ("rows", "columns", "fits"), [(3, 4, True), (30, 40, True), (100, 132, True), (100, 138, False)]
)
def test_a_mask_of_another_shape_is_refused_with_both_sizes(
    photo: torch.Tensor, rows: int, columns: int, fits: bool
) -> None:
    mask = Picture(pixels=np.ones((rows, columns, 3), np.float32), format="PNG")
    if fits:
        assert recipe().job(photo, 1, {"mask": mask}).mask is not None
        return
    with pytest.raises(BadOption, match=r"the mask has 138 × 100 pixels, another shape than the picture's 64 × 48"):
        recipe().job(photo, 1, {"mask": mask})


def test_a_black_mask_leaves_nothing_to_dream(write: Write, photo: torch.Tensor) -> None:
    black = str(write("m.png", np.zeros((3, 4))))
    for table, place in (
        ({"mask": black}, "c.toml:9: mask: the mask is black"),
        ({"objective": {"name": "l2", "mask": black}}, "c.toml:9: objective.mask: the mask is black"),
        (
            {"objective": "e", "terms": {"e": {"name": "l2", "mask": black}}},
            "c.toml:9: terms.e.mask: the mask is black",
        ),
    ):
        with pytest.raises(BadOption) as caught:
            recipe(**table).job(photo, 1)
        assert str(caught.value).startswith(place)
        assert "leaves nothing to dream" in str(caught.value)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (noise(31, 60), "the guide has 60 × 31 pixels; the model needs at least 32 on each side"),
        (np.full((40, 40, 3), 128), "the guide is of one colour"),
        (np.tile(np.array([200, 10, 10]), (40, 40, 1)), "the guide is of one colour"),
    ],
)
def test_a_guide_without_content_is_refused(write: Write, photo: torch.Tensor, pixels: np.ndarray, said: str) -> None:  # type: ignore[type-arg]
    guide = str(write("g.png", pixels))
    with pytest.raises(BadOption, match=f"c.toml:9: objective.guide: {said}"):
        recipe(objective={"name": "guide", "guide": guide}).job(photo, 1)


def test_a_guide_that_is_needed_and_missing_is_asked_for(photo: torch.Tensor) -> None:
    with pytest.raises(BadOption) as caught:
        recipe(objective="guide").job(photo, 1)
    assert str(caught.value).startswith("c.toml:9: objective: there is no guide beside the picture.")
    assert 'photo.guide.jpg or photo.guide.png, or name a file in the recipe: guide = "FILE"' in str(caught.value)


def test_a_file_that_is_no_picture_is_refused_at_its_place(tmp_path: Path, photo: torch.Tensor) -> None:
    (tmp_path / "g.png").write_bytes(b"no picture at all")
    made = recipe(objective={"name": "guide", "guide": str(tmp_path / "g.png")})
    with pytest.raises(BadOption, match=r"^c.toml:9: objective.guide: '.*g.png': not a picture"):
        made.job(photo, 1)
    (tmp_path / "g.png").unlink()
    for use in (lambda: made.job(photo, 1), made.fingerprint):
        with pytest.raises(BadOption, match=r"^c.toml:9: objective.guide: '.*g.png' cannot be read \(No such file"):
            use()


def test_the_fingerprint_follows_the_content_of_guides_and_masks(write: Write) -> None:
    guide, mask = write("g.png", noise(seed=1)), write("m.png", noise(seed=2))
    made = recipe(objective={"name": "guide", "guide": str(guide)}, mask=str(mask))
    prints = {made.fingerprint()}
    assert made.fingerprint() in prints
    for path in (guide, mask):
        write(path.name, noise(seed=3, height=41))
        prints.add(made.fingerprint())
    assert len(prints) == 3
    assert recipe().fingerprint() == recipe().fingerprint()
    assert hashlib.sha256(guide.read_bytes()).hexdigest() == hashlib.sha256(mask.read_bytes()).hexdigest()


def test_a_replaced_guide_is_decoded_anew(write: Write, photo: torch.Tensor) -> None:
    guide = write("g.png", noise(40, 60))
    made = recipe(objective={"name": "guide", "guide": str(guide)})
    assert made.job(photo, 1).guides["guide"].shape == (3, 40, 60)
    write("g.png", noise(44, 50))
    assert made.job(photo, 1).guides["guide"].shape == (3, 44, 50)


def test_a_dream_follows_its_guide_and_keeps_to_its_mask(write: Write, photo: torch.Tensor) -> None:
    engine = Engine(device="cpu")
    given = {"mask": grey([0, 255], [0, 255])}
    guides = [str(write(f"{seed}.png", noise(seed=seed))) for seed in (1, 2)]
    pixels = photo[:, :, :48]
    jobs = [recipe(objective={"name": "guide", "guide": guide}).job(pixels, 1, given) for guide in guides]
    assert jobs[0].program == jobs[1].program, "pictures with different guides share passes"
    one, two = engine.dream(jobs)
    for dream in (one, two):
        assert torch.equal(dream.pixels[..., :10], pixels[..., :10])
        assert (dream.pixels - pixels)[..., 38:].abs().max() > 0
    assert (one.pixels - two.pixels).abs().max() > 0
