"""The real renderer: from the bytes of a photo to the bytes of its dream, with the embedded model."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from deepdream_daemon.configuration.settings import EngineSettings
from deepdream_daemon.pipeline.darkroom import Darkroom, RenderedPicture
from deepdream_engine.errors import BadPicture, DeepDreamError
from deepdream_engine.pictures import decode, read_provenance
from deepdream_plugins import RecipeBook, ResolvedRecipe, load_catalogue
from deepdream_plugins.builtin import dreamnet
from tests.corpus import good_pictures


@pytest.fixture(scope="module")
def darkroom() -> Darkroom:
    return Darkroom(EngineSettings(device="cpu"), max_megapixels=1)


def recipe(**table: object) -> ResolvedRecipe:
    quick = {"octaves": 2, "steps": 2, "margin": 8, "objective": {"layer": "mixed3b"}, **table}
    return RecipeBook(load_catalogue()).resolve("classic", [(quick, lambda *keys: "test")])


def photo(width: int = 90, height: int = 60, format: str = "PNG") -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (height // 10, width // 10, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(out, format)
    return out.getvalue()


def develop(darkroom: Darkroom, data: bytes, chosen: ResolvedRecipe, seed: int = 1) -> bytes:
    prepared = darkroom.prepare(data, chosen, seed)
    ((index, rendered),) = darkroom.dream([prepared], on_progress=lambda *_: None, should_stop=lambda: False)
    assert index == 0
    assert isinstance(rendered, RenderedPicture)
    return darkroom.finish(rendered, {"job": "key"}).data


def test_the_dream_differs_from_the_photo_and_knows_how_it_was_made(darkroom: Darkroom) -> None:
    chosen = recipe()
    data = develop(darkroom, photo(), chosen)
    dream, source = decode(data), decode(photo())
    assert dream.pixels.shape == source.pixels.shape
    assert np.abs(dream.pixels - source.pixels).mean() * 255 > 1
    made_by = read_provenance(data)
    assert made_by is not None
    assert made_by["recipe"] == chosen.to_dict()
    assert made_by["seed"] == 1
    assert made_by["job"] == "key"
    engine = made_by["engine"]
    assert isinstance(engine, dict)
    assert (engine["device"], engine["tile_px"]) == ("cpu", 1536)
    model = made_by["model"]
    assert isinstance(model, dict)
    assert model["name"] == "dreamnet"
    assert len(model["weights_sha256"]) == 64


def test_the_same_bytes_come_out_again(darkroom: Darkroom) -> None:
    assert develop(darkroom, photo(), recipe()) == develop(darkroom, photo(), recipe())


def test_a_dream_does_not_tell_where_weights_lie(darkroom: Darkroom, tmp_path: Path) -> None:
    weights = tmp_path / "private" / "mine.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(dreamnet.WEIGHTS.read_bytes())
    data = develop(darkroom, photo(), recipe(model={"name": "dreamnet", "weights": str(weights)}))
    made_by = read_provenance(data)
    assert made_by is not None
    assert made_by["recipe"]["model"] == {"name": "dreamnet", "weights": "mine.safetensors"}  # type: ignore[index, call-overload]
    assert "private" not in str(made_by)


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ({"layer": "features.99"}, "test: objective.layer: unknown layer of model 'squeezenet1_0' 'features.99'"),
        ({"name": "channel", "layer": "features.3", "channel": 999}, "test: objective.channel: channel 999"),
    ],
)
def test_what_the_engine_refuses_has_its_place_in_the_recipe(
    darkroom: Darkroom, objective: dict[str, object], said: str, tmp_path: Path
) -> None:
    weights = tmp_path / "weights.pth"
    torch.save(torchvision.models.squeezenet1_0(weights=None).state_dict(), weights)
    model = {"name": "squeezenet1_0", "weights": str(weights)}
    where: Callable[..., str] = lambda *keys: f"test: {'.'.join(map(str, keys))}"  # noqa: E731
    chosen = RecipeBook(load_catalogue()).resolve("classic", [({"model": model, "objective": objective}, where)])
    ((_, outcome),) = darkroom.dream(
        [darkroom.prepare(photo(), chosen, 1)], on_progress=lambda *_: None, should_stop=lambda: False
    )
    assert isinstance(outcome, DeepDreamError)
    assert str(outcome).startswith(said)


def test_filters_run_before_and_after(darkroom: Darkroom) -> None:
    chosen = recipe(prefilters=[{"name": "resize", "longest_side": 64}], postfilters=[{"name": "blend", "amount": 1}])
    dream = decode(develop(darkroom, photo(), chosen))
    assert dream.pixels.shape == (43, 64, 3)
    small = decode(develop(darkroom, photo(), recipe(prefilters=[{"name": "resize", "longest_side": 64}])))
    assert np.abs(dream.pixels - small.pixels).mean() > 1 / 255  # blended to the source again


def test_every_kind_of_good_picture_is_dreamt(darkroom: Darkroom, tmp_path: Path) -> None:
    chosen = recipe(octaves=1, steps=1, margin=0)
    for path in good_pictures(tmp_path, 50):
        data = path.read_bytes()
        dream, source = decode(develop(darkroom, data, chosen)), decode(data)
        assert dream.pixels.shape == source.pixels.shape, path
        assert (dream.alpha is None) == (source.alpha is None) or dream.format in ("JPEG", "BMP"), path


def test_a_picture_over_the_limit_is_refused_before_it_is_decoded(darkroom: Darkroom) -> None:
    with pytest.raises(BadPicture, match="max_megapixels"):
        darkroom.prepare(photo(1100, 1000), recipe(), 1)


def test_one_picture_that_fails_leaves_its_batch_alone(darkroom: Darkroom) -> None:
    small = darkroom.prepare(photo(30, 20), recipe(), 1)
    good = darkroom.prepare(photo(), recipe(), 1)
    outcomes = dict(darkroom.dream([small, good], on_progress=lambda *_: None, should_stop=lambda: False))
    assert isinstance(outcomes[0], DeepDreamError)
    assert "at least 32" in str(outcomes[0])
    assert isinstance(outcomes[1], RenderedPicture)
