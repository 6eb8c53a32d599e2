"""Published recipes have the published figures; each has a counterpart on the embedded network, which works offline."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from deepdream_engine import Engine, Network
from deepdream_engine.network import LoadedNetwork
from deepdream_engine.pictures import Picture
from deepdream_plugins import RecipeBook, ResolvedRecipe, load_catalogue

CATALOGUE = load_catalogue()
BOOK = RecipeBook(CATALOGUE)
Terms = Mapping[str, float]
"""What is maximised: ``objective layer`` to its factor."""


@dataclass(frozen=True)
class Row:
    """One row of published figures; ``step_size`` in 8-bit levels."""

    model: str
    terms: Terms
    octaves: int
    octave_scale: float
    steps: int
    step_size: float
    jitter: int
    ascent: str = "mean_abs"
    carry: str = "detail"


def row(model: str, objective: str, *figures: float, **others: str) -> Row:
    return Row(model, {objective: 1.0}, *figures, **others)  # type: ignore[arg-type]


GOOGLENET_4C = ("googlenet", "l2 inception4c")
PUBLISHED = {
    "google": row(*GOOGLENET_4C, 4, 1.4, 10, 1.5, 32),
    "google-low": row("googlenet", "l2 inception3b.branch3.0.bn", 4, 1.4, 10, 1.5, 32),
    "google-guided": row("googlenet", "guide inception3b", 4, 1.4, 10, 1.5, 32),
    "highres": row("googlenet", "mean_square inception4c", 5, 1.4, 10, 1.5, 256 // 2),
    "tf": row("googlenet", "mean_square inception4c", 4, 1.4, 10, 1.5, 512 // 2),
    "tf-lapnorm": row(
        "googlenet", "channel inception4d.branch2.0.bn", 3, 1.4, 10, 1.0, 512 // 2, ascent="lapnorm", carry="picture"
    ),
    "tf-tutorial": Row(
        "inception_v3",
        {"mean Mixed_6a": 1.0, "mean Mixed_6c": 1.0},
        *(5, 1.3, 50, 0.01 * 255 / 2, 512),
        ascent="std",
        carry="picture",
    ),
    "keras": Row(
        "inception_v3",
        {
            "mean_square Mixed_6b": 1.0,
            "mean_square Mixed_6c": 1.5,
            "mean_square Mixed_6d": 2.0,
            "mean_square Mixed_6e": 2.5,
        },
        *(3, 1.4, 20, 0.01 * 255 / 2, 0),
    ),
    "hvass": row("googlenet", "mean_square inception4b", 4 + 1, 1 / 0.7, 10, 3.0, 0, ascent="smooth", carry="picture"),
    "neural-dream": row(
        "googlenet", "l2 inception4d.branch2.0.bn", 2, 1 / 0.6, 50, 1.5, 32, ascent="adam", carry="picture"
    ),
    "pytorch-deepdream": row(
        "vgg16", "mean_square features.22", 4, 1.8, 10, 0.09 * 0.225 * 255, 32, ascent="smooth", carry="picture"
    ),
    "deepdream-video": row(*GOOGLENET_4C, 4, 1.5, 5, 1.5, 32),
    "deepdream-anim": row(*GOOGLENET_4C, 4, 1.5, 10, 1.5, 32),
    "lucid": row("googlenet", "channel inception4a.branch4.1.bn", 1, 1.4, 512, 0.05 * 255, 0, ascent="adam"),
}


def terms_of(recipe: ResolvedRecipe) -> Terms:
    return {f"{term.objective.spec.name} {term.objective.options['layer']}": term.factor for term in recipe.terms}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_figures_are_the_published_ones(name: str) -> None:
    recipe, expected = BOOK.resolve(name), PUBLISHED[name]
    schedule = recipe.schedule
    figures = Row(
        recipe.model.spec.name,
        terms_of(recipe),
        schedule.octaves,
        pytest.approx(schedule.octave_scale, rel=1e-5),  # type: ignore[arg-type]
        schedule.steps,  # type: ignore[arg-type]
        pytest.approx(schedule.step_size, rel=0.01),  # type: ignore[arg-type]
        schedule.jitter_px,  # type: ignore[arg-type]
        recipe.ascent.spec.name,
        schedule.carry,
    )
    assert figures == expected
    assert (schedule.margin_px, schedule.lock, recipe.postfilters) == (0, "none", ())
    assert len(recipe.terms) == 1 or not recipe.balance, "publications add raw scores"


def test_what_only_one_publication_has() -> None:
    resolved = {name: BOOK.resolve(name) for name in PUBLISHED}
    schedules = {name: recipe.schedule for name, recipe in resolved.items()}
    assert {name: s.octaves_above for name, s in schedules.items() if s.octaves_above} == {"tf-tutorial": 2}
    assert {name: s.repeats for name, s in schedules.items() if s.repeats > 1} == {"neural-dream": 10}
    assert {name: s.stop_score for name, s in schedules.items() if s.stop_score is not None} == {"keras": 15}
    assert {name: s.carry_blend for name, s in schedules.items() if s.carry_blend} == {"hvass": 0.2}
    assert {name: recipe.canvas for name, recipe in resolved.items() if recipe.canvas != "pixels"} == {
        "lucid": "fourier"
    }
    assert {term.objective.options["border"] for term in resolved["keras"].terms} == {2}
    assert resolved["tf-lapnorm"].ascent.options == {"levels": 4}
    assert resolved["tf-lapnorm"].terms[0].objective.options["channel"] == 139
    assert resolved["hvass"].ascent.options == {
        **{"rise": 4.0, "floor": 0.5, "factors": (1.0, 2.0, 0.5)},
        **{"colours": True, "radius_px": 0, "centre": False},
    }
    gordic = resolved["pytorch-deepdream"].ascent.options
    assert gordic["floor"] == pytest.approx(0.5 + 2 / 10)  # its smoothing, and its steps count from 1
    assert (gordic["rise"], gordic["colours"], gordic["radius_px"], gordic["centre"]) == (2.0, False, 4, True)
    assert [(each.spec.name, *each.options.values()) for each in resolved["lucid"].transforms] == [
        *[("pad", 12, "constant"), ("jitter", 8), ("scale", 0.1), ("rotate", 10.0), ("jitter", 4)]
    ]
    sides = {
        name: [value for key, value in each.options.items() if "side" in key]
        for name, recipe in resolved.items()
        for each in recipe.prefilters
    }
    assert sides == {
        **{"tf-lapnorm": [438], "tf-tutorial": [500], "neural-dream": [512]},
        **{"pytorch-deepdream": [600], "lucid": [128]},
    }
    assert resolved["google-guided"].companions() == {"guide": True, "mask": False}


@pytest.mark.parametrize("model", ["googlenet", "inception_v3", "vgg16"])
def test_the_published_layers_are_in_the_model(model: str) -> None:
    spec = CATALOGUE.models[model].spec

    def build() -> nn.Module:
        assert spec.build is not None
        return spec.build().to_empty(device="cpu")

    network = LoadedNetwork(Network(key=model, name=model, load=build))
    layers = {term.split(" ")[1] for row in PUBLISHED.values() if row.model == model for term in row.terms}
    assert layers
    for layer in layers:
        assert network.node_of(layer)


def test_the_channels_are_in_their_layers() -> None:
    modules = dict(torchvision.models.googlenet(weights=None, init_weights=False).named_modules())
    for name in ("tf-lapnorm", "lucid"):
        options = BOOK.resolve(name).terms[0].objective.options
        assert int(str(options["channel"])) < modules[str(options["layer"])].num_features


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_counterpart_does_the_same_with_the_embedded_network(name: str) -> None:
    published, ours = BOOK.resolve(name), BOOK.resolve(f"{name}-dreamnet")
    assert ours.model.spec.name == "dreamnet"
    assert [term.objective.spec.name for term in ours.terms] == [term.objective.spec.name for term in published.terms]
    for same in ("ascent", "transforms", "canvas", "balance"):
        assert getattr(ours, same) == getattr(published, same)
    assert ours.schedule.carry == published.schedule.carry


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(device="cpu")


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_counterpart_dreams_offline(name: str, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a counterpart asked for the internet")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    short = {"steps": 1, "repeats": 1}
    recipe = BOOK.resolve(f"{name}-dreamnet", [(short, lambda *keys: "test")])
    picture = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1))
    guide = np.random.default_rng(2).random((48, 64, 3), dtype=np.float32)
    source = recipe.prefilter(picture, 1)
    wanted = {"guide": Picture(pixels=guide, format="PNG")} if recipe.companions().get("guide") else {}
    (dream,) = engine.dream([recipe.job(source, 1, wanted)])
    result = recipe.postfilter(dream.pixels, source, 1)
    assert result.shape == source.shape
    assert (result - source).abs().mean() > 1e-4
