"""The real renderer: from the bytes of a photo to the bytes of its dream, with the embedded model."""

from __future__ import annotations

import io
import threading
import tracemalloc
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from deepdream_daemon.configuration.settings import EngineSettings
from deepdream_daemon.intake.companions import BadCompanion, Companion
from deepdream_daemon.pipeline.darkroom import Darkroom, PreparedPicture, RenderedPicture
from deepdream_daemon.pipeline.torch_threads import TorchThreads
from deepdream_engine.errors import BadPicture, Cancelled, DeepDreamError
from deepdream_engine.pictures import decode, read_provenance
from deepdream_engine.records import Dream, Outcome
from deepdream_plugins import RecipeBook, ResolvedRecipe, hookimpl, load_catalogue
from deepdream_plugins.builtin import dreamnet
from deepdream_plugins.records import Batch
from tests.corpus import good_pictures
from tests.daemon.stub import recipe_book

Outcomes = Iterator[tuple[int, Outcome]]


@pytest.fixture(scope="module")
def darkroom() -> Darkroom:
    return Darkroom(EngineSettings(device="cpu"), max_megapixels=1, host=recipe_book().catalogue.host)


def recipe(**table: object) -> ResolvedRecipe:
    quick = {"octaves": 2, "steps": 2, "margin": 8, "objective": {"layer": "mixed3b"}, **table}
    return RecipeBook(load_catalogue()).resolve("classic", [(quick, lambda *keys: "test")])


def photo(width: int = 90, height: int = 60, format: str = "PNG") -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (height // 10, width // 10, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(out, format)
    return out.getvalue()


def develop(darkroom: Darkroom, data: bytes, chosen: ResolvedRecipe, seed: int = 1) -> bytes:
    prepared = darkroom.prepare(data, chosen, seed, {})
    ((index, rendered),) = darkroom.dream(iter([prepared]), on_progress=lambda *_: None, should_stop=lambda: False)
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
    assert (engine["device"], engine["precision"]) == ("cpu", "fp32")
    assert engine["tile_px"] > 0
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
        iter([darkroom.prepare(photo(), chosen, 1, {})]), on_progress=lambda *_: None, should_stop=lambda: False
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
        darkroom.prepare(photo(1100, 1000), recipe(), 1, {})


def test_one_picture_that_fails_leaves_its_batch_alone(darkroom: Darkroom) -> None:
    small = darkroom.prepare(photo(30, 20), recipe(), 1, {})
    good = darkroom.prepare(photo(), recipe(), 1, {})
    outcomes = dict(darkroom.dream(iter([small, good]), on_progress=lambda *_: None, should_stop=lambda: False))
    assert isinstance(outcomes[0], DeepDreamError)
    assert "at least 32" in str(outcomes[0])
    assert isinstance(outcomes[1], RenderedPicture)


def companion(name: str, data: bytes) -> Companion:
    return Companion(path=Path(f"photo.{name}.png"), sha256="", data=data)


def grey(level: int, width: int = 90, height: int = 60) -> bytes:
    out = io.BytesIO()
    Image.new("L", (width, height), level).save(out, "PNG")
    return out.getvalue()


def test_a_mask_beside_the_photo_keeps_the_rest_as_it_is(darkroom: Darkroom) -> None:
    out = io.BytesIO()
    half = Image.new("L", (90, 60), 0)
    half.paste(255, (0, 0, 45, 60))
    half.save(out, "PNG")
    prepared = darkroom.prepare(photo(), recipe(), 1, {"mask": companion("mask", out.getvalue())})
    ((_, rendered),) = darkroom.dream(iter([prepared]), on_progress=lambda *_: None, should_stop=lambda: False)
    assert isinstance(rendered, RenderedPicture)
    change = np.abs(decode(darkroom.finish(rendered, {}).data).pixels - decode(photo()).pixels) * 255
    assert change[:, :40].mean() > 1
    assert change[:, 50:].max() < 1.01


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"hello", "photo.mask.png: this mask is no good: not a picture"),
        (grey(0), "'photo.mask.png'"),
        (grey(255, 60, 60), "'photo.mask.png'"),
        (grey(255, 1100, 1000), "max_megapixels"),
    ],
)
def test_a_companion_that_is_no_good_is_named_with_what_to_do(darkroom: Darkroom, data: bytes, said: str) -> None:
    with pytest.raises(BadCompanion) as caught:
        darkroom.prepare(photo(), recipe(), 1, {"mask": companion("mask", data)})
    assert said in str(caught.value)
    assert "'photo.mask.png'" in caught.value.advice


def test_the_size_is_known_before_anything_is_decoded(darkroom: Darkroom) -> None:
    sizes = [darkroom.measure(photo(200, 150, format)) for format in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")]
    assert sizes == [pytest.approx(0.03)] * 6
    assert darkroom.measure(photo(1100, 1000)) == 0, "it will be refused"
    assert darkroom.measure(b"hello") == darkroom.measure(photo()[:20]) == 0


def test_neither_the_file_nor_the_pixels_before_the_filters_are_kept(darkroom: Darkroom) -> None:
    small = recipe(prefilters=[{"name": "resize", "longest_side": 64}])
    darkroom.prepare(photo(), small, 1, {})  # imports
    data = [photo(1000, 900, "BMP")]
    tracemalloc.start()
    try:
        prepared = darkroom.prepare(data.pop(), small, 1, {})
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert prepared.megapixels < 0.005
    assert kept < 1_000_000, "the pixels had 10.8 million bytes"


def test_a_dream_that_needs_no_source_any_more_does_not_keep_it(darkroom: Darkroom) -> None:
    for filters, is_kept in (([], False), ([{"name": "blend", "amount": 0.5}], True)):
        prepared = darkroom.prepare(photo(), recipe(postfilters=filters), 1, {})
        ((_, rendered),) = darkroom.dream(iter([prepared]), on_progress=lambda *_: None, should_stop=lambda: False)
        assert isinstance(rendered, RenderedPicture)
        assert (rendered.source is not None) == is_kept


def test_threads_beside_the_engine_use_one_core_and_leave_the_engine_its_own() -> None:
    numbers: dict[str, int] = {}
    threads = TorchThreads(3)
    dreams, stood_back = threading.Event(), threading.Event()

    def dream() -> None:
        threads.dream()
        dreams.set()
        assert stood_back.wait(60)
        numbers["dream"] = torch.get_num_threads()

    def finish() -> None:
        assert dreams.wait(60)
        threads.stand_back()
        numbers["finish"] = torch.get_num_threads()
        stood_back.set()

    def run(*targets: Callable[[], None]) -> None:
        workers = [threading.Thread(target=target) for target in targets]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)

    before = torch.get_num_threads()
    run(dream, finish)
    assert numbers == {"dream": 3, "finish": 1}

    def default() -> None:
        numbers["default"] = TorchThreads(None).number

    run(default)  # in a thread for which torch itself would say 1 by now
    torch.set_num_threads(before)
    assert numbers["default"] == before


def test_plugins_may_change_how_a_batch_is_run() -> None:
    host = load_catalogue().host
    seen: list[tuple[int, type]] = []

    class Wrapper:
        @hookimpl(wrapper=True)
        def deepdream_run_batch(self, batch: Batch) -> Generator[None, Outcomes, Outcomes]:
            outcomes = yield

            def told() -> Outcomes:
                for index, outcome in outcomes:
                    seen.append((index, type(outcome)))
                    yield index, outcome

            return told()

    assert host.register(Wrapper(), "wrapper").state == "active"
    darkroom = Darkroom(EngineSettings(device="cpu"), max_megapixels=1, host=host)
    prepared = [darkroom.prepare(photo(), recipe(), seed, {}) for seed in range(2)]
    outcomes = dict(darkroom.dream(iter(prepared), on_progress=lambda *_: None, should_stop=lambda: False))
    assert all(isinstance(outcome, RenderedPicture) for outcome in outcomes.values())
    assert sorted(seen) == [(0, Dream), (1, Dream)]
    with pytest.raises(Cancelled):
        dict(darkroom.dream(iter(prepared), on_progress=lambda *_: None, should_stop=lambda: True))
    assert dict(host.health.disabled) == {}


def test_pictures_that_are_ready_later_join_the_engine_at_work(darkroom: Darkroom) -> None:
    chosen = recipe()
    asked: list[int] = []
    ready = [darkroom.prepare(photo(), chosen, seed, {}) for seed in range(3)]

    def feed() -> Iterator[PreparedPicture | None]:
        for number, prepared in enumerate(ready):
            yield prepared
            asked.append(number)
            yield None

    outcomes = dict(darkroom.dream(feed(), on_progress=lambda *_: None, should_stop=lambda: False))
    assert asked == [0, 1, 2]
    assert all(isinstance(outcome, RenderedPicture) and outcome.seed == seed for seed, outcome in outcomes.items())
    alone = develop(darkroom, photo(), chosen, 2)
    rendered = outcomes[2]
    assert isinstance(rendered, RenderedPicture)
    assert np.abs(decode(alone).pixels - decode(darkroom.finish(rendered, {}).data).pixels).max() * 255 < 1.01
