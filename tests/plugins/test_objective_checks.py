"""Options that do not fit the layer are refused before the first step, by name, with what would do instead."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from deepdream_engine.errors import BadOption
from tests.seeing import SPECS, given, look_at, prepared

SHAPES = {"tap": (1, 5, 4, 6), "logits": (1, 10)}


def check(name: str, options: dict[str, Any]) -> None:
    checked = SPECS[name].check
    assert checked is not None
    checked(SHAPES, **{"layer": "tap"} | options)


@pytest.mark.parametrize(
    ("name", "good", "bad", "message"),
    [
        ("channel", {"channel": 4}, {"channel": 5}, "channel 5: the layer 'tap' has 5; choose one from 0 to 4."),
        (
            "channels",
            {"channels": (4, 0)},
            {"channels": (0, 7)},
            "channels 7: the layer 'tap' has 5; choose one from 0 to 4.",
        ),
        ("channels", {"channels": (4,)}, {"channels": ()}, "channels []: name at least one, from 0 to 4."),
        (
            "channel_range",
            {"first": 4, "last": 4},
            {"first": 5, "last": 5},
            "first 5: the layer 'tap' has 5; choose one from 0 to 4.",
        ),
        (
            "channel_range",
            {"first": 0, "last": 4},
            {"first": 0, "last": 9},
            "last 9: the layer 'tap' has 5; choose one from 0 to 4.",
        ),
        (
            "channel_range",
            {"first": 2, "last": 3},
            {"first": 3, "last": 2},
            "last 2: it comes before first, 3; choose from 3 to 4.",
        ),
        *(
            (name, {"k": 5}, {"k": 6}, "k 6: the layer 'tap' has 5 channels; choose from 1 to 5.")
            for name in ("strongest", "weakest", "random")
        ),
        (
            "mean_square",
            {"border": 1},
            {"border": 2},
            "border 2: on this picture the layer 'tap' has 4 × 6 cells, and none would be left; choose one from 0 to 1",
        ),
        (
            "direction",
            {"vector": (0, 0, 1, 0, 0), "cosine_power": 0.0},
            {"vector": (1, 2), "cosine_power": 0.0},
            "vector of 2 numbers: the layer 'tap' has 5 channels; give 5 numbers, one for each channel.",
        ),
        (
            "direction",
            {"vector": (0, 0, -1, 0, 0), "cosine_power": 0.0},
            {"vector": (0, 0, 0, 0, 0), "cosine_power": 0.0},
            "vector of zeros: it has no direction",
        ),
        (
            "direction",
            {"vector": (0, 0, 1, 0, 0), "cosine_power": 0.0},
            {"vector": (1,), "cosine_power": 0.0},
            "vector of 1 number: the layer",
        ),
        *(
            (
                name,
                {"layer": "logits", "label": 3},
                {"layer": "tap", "label": 3},
                "layer 'tap' has rows and columns, so its channels are not the classes; leave it out for the network's",
            )
            for name in ("class_logit", "class_probability")
        ),
        (
            "neuron",
            {"channel": 4, "x": 1.0, "y": 0.0},
            {"channel": 5, "x": 1.0, "y": 0.0},
            "channel 5: the layer 'tap' has 5; choose one from 0 to 4.",
        ),
        *(
            (
                name,
                {"layer": "logits", "label": 9},
                {"layer": "logits", "label": 10},
                "label 10: the layer 'logits' has 10 classes; choose one from 0 to 9.",
            )
            for name in ("class_logit", "class_probability")
        ),
        *(
            (
                name,
                options,
                options | {"layer": "logits"},
                "layer 'logits' has 10 values without places; choose one with rows and columns",
            )
            for name, options in (
                ("neuron", {"channel": 0, "x": 0.5, "y": 0.5}),
                ("mean_square", {"border": 1}),
                ("guide", {}),
                ("guide_gram", {}),
            )
        ),
    ],
)
def test_what_does_not_fit_is_refused(name: str, good: dict[str, Any], bad: dict[str, Any], message: str) -> None:
    check(name, good)
    with pytest.raises(BadOption, match=f"^{re.escape(message)}"):
        check(name, bad)


@pytest.mark.parametrize("name", ["guide", "guide_mean", "guide_gram"])
def test_a_guide_in_which_the_layer_sees_nothing_is_refused(name: str) -> None:
    look = look_at(torch.ones(1, 5, 4, 4), guide=torch.zeros(1, 5, 3, 3))
    with pytest.raises(BadOption, match=r"^guide: the layer 'tap' sees nothing in it; choose another guide or another"):
        prepared(name, look)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("l2", {}),
        ("mean", {}),
        ("mean_square", {"border": 0}),
        ("channel", {"channel": torch.tensor([3, 1])}),
        ("direction", {"unit": torch.eye(10)[:2], "cosine_power": torch.zeros(2)}),
        ("guide_mean", {"means": torch.ones(2, 10)}),
    ],
)
def test_what_needs_no_places_scores_a_layer_without_them(name: str, options: dict[str, Any]) -> None:
    logits = torch.linspace(-1, 4, 20).reshape(2, 10)
    scores = SPECS[name].score(given(torch.zeros(2, 3, 8, 8), logits=logits), layer="logits", **options)
    assert scores.shape == (2,)
    assert scores[0] != scores[1]
