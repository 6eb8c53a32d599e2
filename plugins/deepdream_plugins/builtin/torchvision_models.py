"""ImageNet networks of torchvision: their weights are fetched on first use, or read from a file.

The published dreams were made with these; each entry names the tap to look at first and the names that other
DeepDream programs use for its taps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_plugins.hookspecs import hookimpl
from deepdream_plugins.records import ModelSpec
from deepdream_plugins.weights import fetch_state_dict, fit, read_state_dict

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class _Entry:
    """One builder of ``torchvision.models``; ``weights`` names a member of its weights enumeration."""

    name: str
    weights: str
    megabytes: int
    default_tap: str
    help: str
    min_side_px: int = 32
    side_px: int = 224
    aliases: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)


def _googlenet_aliases() -> dict[str, str]:
    """Names of the Caffe model (Google's notebook) and of TensorFlow's graph, for torchvision's."""
    parts = {
        "output": "",
        "1x1": ".branch1",
        "3x3_reduce": ".branch2.0",
        "3x3": ".branch2.1",
        "5x5_reduce": ".branch3.0",
        "5x5": ".branch3.1",
        "pool_proj": ".branch4.1",
    }
    blocks = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    caffe = {f"inception_{b}/{part}": f"inception{b}{node}" for b in blocks for part, node in parts.items()}
    tensorflow = {f"mixed{b}": f"inception{b}" for b in blocks}
    stem = {"conv1/7x7_s2": "conv1", "conv2/3x3_reduce": "conv2", "conv2/3x3": "conv3"}
    return {**caffe, **tensorflow, **stem}


def _vgg_aliases(convolutions: tuple[int, ...]) -> dict[str, str]:
    """``conv4_3``, ``relu4_3``, ``pool4`` for the places in ``features``."""
    place = count()
    aliases = {}
    for stage, number in enumerate(convolutions, start=1):
        for index in range(1, number + 1):
            aliases[f"conv{stage}_{index}"] = f"features.{next(place)}"
            aliases[f"relu{stage}_{index}"] = f"features.{next(place)}"
        aliases[f"pool{stage}"] = f"features.{next(place)}"
    return aliases


_KERAS_BLOCKS = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
_INCEPTION = {"transform_input": True, "init_weights": False}

_ENTRIES = (
    _Entry(
        "googlenet",
        "GoogLeNet_Weights.IMAGENET1K_V1",
        50,
        "inception4c",
        "GoogLeNet, the network of the first dreams: dogs, birds, pagodas",
        aliases=_googlenet_aliases(),
        arguments=_INCEPTION,
    ),
    _Entry(
        "inception_v3",
        "Inception_V3_Weights.IMAGENET1K_V1",
        104,
        "Mixed_6b",
        "Inception v3, the network of TensorFlow's and Keras' tutorials",
        min_side_px=75,
        side_px=299,
        aliases={f"mixed{index}": f"Mixed_{block}" for index, block in enumerate(_KERAS_BLOCKS)},
        arguments=_INCEPTION,
    ),
    _Entry(
        "vgg16",
        "VGG16_Weights.IMAGENET1K_V1",
        528,
        "features.22",
        "VGG-16, the favourite of style transfer and of many DeepDream programs (relu4_3)",
        aliases=_vgg_aliases((2, 2, 3, 3, 3)),
        arguments={"init_weights": False},
    ),
    _Entry(
        "vgg19",
        "VGG19_Weights.IMAGENET1K_V1",
        548,
        "features.24",
        "VGG-19: as VGG-16 with three more layers",
        aliases=_vgg_aliases((2, 2, 4, 4, 4)),
        arguments={"init_weights": False},
    ),
    _Entry(
        "resnet50",
        "ResNet50_Weights.IMAGENET1K_V1",
        98,
        "layer3",
        "ResNet-50, the residual network that others are compared with",
    ),
    _Entry(
        "squeezenet1_0",
        "SqueezeNet1_0_Weights.IMAGENET1K_V1",
        5,
        "features.10",
        "SqueezeNet 1.0: tiny, and yet eyes, dogs and feathers",
    ),
    _Entry(
        "squeezenet1_1",
        "SqueezeNet1_1_Weights.IMAGENET1K_V1",
        5,
        "features.11",
        "SqueezeNet 1.1: less than half the work of 1.0",
    ),
    _Entry(
        "densenet121",
        "DenseNet121_Weights.IMAGENET1K_V1",
        31,
        "features.denseblock3",
        "DenseNet-121: every layer of a block sees all before it",
    ),
    _Entry(
        "mobilenet_v3_large",
        "MobileNet_V3_Large_Weights.IMAGENET1K_V1",
        21,
        "features.12",
        "MobileNet v3 large, made for phones: little work per picture",
    ),
    _Entry(
        "convnext_tiny",
        "ConvNeXt_Tiny_Weights.IMAGENET1K_V1",
        109,
        "features.5",
        "ConvNeXt tiny, a convolutional network in the manner of a transformer",
    ),
    _Entry(
        "efficientnet_b0",
        "EfficientNet_B0_Weights.IMAGENET1K_V1",
        20,
        "features.5",
        "EfficientNet-B0, the smallest of its family",
    ),
)


@hookimpl
def deepdream_models() -> Iterator[ModelSpec]:
    """Yield them all; none is built or fetched before it is used."""
    for entry in _ENTRIES:
        yield ModelSpec(
            name=entry.name,
            help=entry.help,
            load=partial(_load, entry),
            build=partial(_build, entry),
            default_tap=entry.default_tap,
            weights=f"torchvision's {entry.weights}, {entry.megabytes} MB, fetched on first use",
            min_side_px=entry.min_side_px,
            aliases=entry.aliases,
            classes=classes,
            side_px=entry.side_px,
        )


def classes() -> Sequence[str]:
    """Return the 1000 classes of ImageNet as torchvision names them; its own list cannot be had without torch.

    Two that share a name in ImageNet, crane and maillot, have it as a synonym, or it would seem to be only another's.
    """
    return Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8").splitlines()


def _build(entry: _Entry) -> nn.Module:
    """Build the network without any values: they would take seconds, and for listing layers nobody reads them."""
    import torch
    import torchvision

    with torch.device("meta"):
        module: nn.Module = torchvision.models.get_model(entry.name, weights=None, **entry.arguments)
    return module


def _load(entry: _Entry, weights: Path | None) -> nn.Module:
    """Build the network and give it the weights of a file, or torchvision's."""
    import torchvision

    if weights is None:
        state, source = _fetch(entry), entry.weights
    else:
        state, source = read_state_dict(weights), repr(str(weights))
    module: nn.Module = torchvision.models.get_model(entry.name, weights=None, **entry.arguments)
    # The auxiliary classifiers serve training only; some published files leave them out.
    return fit(module, state, model=entry.name, source=source, optional=_is_auxiliary)


def _is_auxiliary(key: str) -> bool:
    return key.startswith(("aux1.", "aux2.", "AuxLogits."))


def _fetch(entry: _Entry) -> Mapping[str, Tensor]:
    """Return torchvision's weights."""
    import torchvision

    return fetch_state_dict(torchvision.models.get_weight(entry.weights).url, entry.name)
