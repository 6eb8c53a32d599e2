"""The real renderer in the worker process: the same dreams as in this one, and a crash that costs one picture."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepdream_daemon.configuration.settings import EngineSettings, PictureSettings
from deepdream_daemon.intake.companions import BadCompanion, Companion
from deepdream_daemon.pipeline.darkroom import Darkroom
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.worker.workshop import Workshop
from deepdream_engine.errors import BadOption, BadPicture
from deepdream_engine.pictures import decode
from deepdream_plugins import RecipeBook, ResolvedRecipe, load_catalogue
from deepdream_plugins.selection import Selection
from tests.daemon.stub import Running, jobs_of, make_settings, outputs, recipe_book

ENGINE = EngineSettings(device="cpu", num_threads=1)
QUICK = {"octaves": 2, "steps": 2, "margin": 8, "objective": {"layer": "conv2"}}


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    made = Workshop(ENGINE, PictureSettings(max_megapixels=1), Selection())
    assert made.check()
    yield made
    made.close()


@pytest.fixture(scope="module")
def here() -> Darkroom:
    return Darkroom(ENGINE, 1, recipe_book().catalogue.host)


def recipe(**changes: object) -> ResolvedRecipe:
    where: Callable[..., str] = lambda *keys: f"side.toml: {'.'.join(map(str, keys))}"  # noqa: E731
    return recipe_book().resolve("classic", [({**QUICK, **changes}, where)])


def photo(width: int = 90, height: int = 60, mode: str = "RGB", format: str = "PNG") -> bytes:
    noise = np.random.default_rng(width).integers(0, 255, (height // 10, width // 10, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(out, format)
    return out.getvalue()


def dreamt(renderer: Renderer, data: bytes, chosen: ResolvedRecipe, **companions: Companion) -> bytes:
    prepared = renderer.prepare(data, chosen, 1, companions)
    ((_, outcome),) = renderer.dream(iter([prepared]), on_progress=lambda *_: None, should_stop=lambda: False)
    if isinstance(outcome, Exception):
        raise outcome
    return renderer.finish(outcome, {"job": "key"}).data


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_the_dream_is_the_same_byte_for_byte(shop: Workshop, here: Darkroom, mode: str) -> None:
    chosen = recipe(postfilters=[{"name": "blend", "amount": 0.5}])
    data = photo(mode=mode)
    assert dreamt(shop, data, chosen) == dreamt(here, data, chosen)


def test_a_mask_beside_the_photo_goes_along(shop: Workshop, here: Darkroom) -> None:
    half = Image.new("L", (90, 60), 0)
    half.paste(255, (0, 0, 45, 60))
    out = io.BytesIO()
    half.save(out, "PNG")
    mask = Companion(path=Path("photo.mask.png"), sha256="", data=out.getvalue())
    found = dreamt(shop, photo(), recipe(), mask=mask)
    assert found == dreamt(here, photo(), recipe(), mask=mask)
    change = np.abs(decode(found).pixels - decode(photo()).pixels) * 255
    assert change[:, :40].mean() > 1 > change[:, 50:].max()


def test_what_is_wrong_is_told_as_it_is_here(shop: Workshop, here: Darkroom) -> None:
    mask = Companion(path=Path("photo.mask.png"), sha256="", data=photo(60, 60))
    for kind, data, chosen, companions in (
        (BadPicture, b"hello", recipe(), {}),
        (BadPicture, photo()[:80], recipe(), {}),
        (BadPicture, photo(1100, 1000), recipe(), {}),
        (BadCompanion, photo(), recipe(), {"mask": mask}),
        (BadCompanion, photo(), recipe(), {"mask": replace(mask, data=b"hello")}),
        (BadOption, photo(), recipe(objective={"name": "channel", "layer": "conv2", "channel": 999}), {}),
    ):
        said = []
        for renderer in (shop, here):
            with pytest.raises(kind) as caught:
                dreamt(renderer, data, chosen, **companions)
            said.append((str(caught.value), getattr(caught.value, "advice", "")))
        assert said[0] == said[1]


def test_sizes_are_known_before_anything_is_decoded(shop: Workshop) -> None:
    assert shop.measure(photo(200, 150, format="JPEG")) == pytest.approx(0.03)
    assert shop.measure(photo(1100, 1000)) == shop.measure(b"hello") == 0


@pytest.mark.slow
def test_r09_a_picture_that_crashes_the_real_worker_is_quarantined_and_the_others_are_dreamt(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, engine=replace(ENGINE, max_batch=4), recipes={"classic": QUICK})
    book = RecipeBook(load_catalogue(), settings.recipes)
    renderer = Workshop(
        settings.engine, settings.pictures, Selection(), factory="tests.daemon.worker_stub:make_fragile"
    )
    for width in (60, 77, 80):
        (tmp_path / "in" / f"{width}.png").write_bytes(photo(width))
    with Running(settings, renderer, book) as running:
        running.wait_for(100, done=2, failed=1)
    renderer.close()
    assert sorted(path.name for path in outputs(tmp_path / "out")) == ["60.classic.png", "80.classic.png"]
    (record,) = outputs(tmp_path / "state" / "quarantine")
    assert "SIGSEGV" in json.loads(record.read_text())["reason"]
    (job,) = jobs_of(tmp_path, tmp_path / "in" / "80.png")
    assert job.attempts == 0
