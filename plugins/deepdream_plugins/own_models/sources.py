"""Networks that are built by a program on this machine: torchvision's, timm's, anybody's function."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_engine.errors import BadOption, DeepDreamError, ModelUnavailable, nearest
from deepdream_plugins.own_models.builders import built_by
from deepdream_plugins.own_models.tables import ARGUMENTS, DEFAULT, RANDOM, OwnModel
from deepdream_plugins.weights import DoesNotFit, fetch_state_dict, fit, read_state_dict

if TYPE_CHECKING:
    from torch import Tensor, nn

_ANY_SIZE: tuple[dict[str, bool], ...] = (
    {"dynamic_img_size": True, "dynamic_img_pad": True},
    {"dynamic_img_size": True},
    {"strict_img_size": False},
    {},
)
"""What lets timm's transformers look at pictures of any size; convolutional networks know none of it."""


def without_values(own: OwnModel) -> nn.Module:
    """Return torchvision's or timm's network for looking at its layers; nothing is fetched."""
    import torch

    try:
        with torch.device("meta"):
            return _built(own)
    except (NotImplementedError, RuntimeError):  # some read values while they are built, which do not exist there
        return _built(own)


def with_values(own: OwnModel, weights: Path | None) -> nn.Module:
    """Return the network with the weights of a file, or else with those that its table says."""
    import torch

    chosen = own.weights if weights is None else weights
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = _built(own)
    if isinstance(chosen, Path):
        with _placed(own, "weights" if weights is None else None):
            return _fitted(module, read_state_dict(chosen), own, repr(str(chosen)))
    if chosen == RANDOM or own.kind == "builder":
        return module
    if own.kind == "timm":
        return _pretrained(module, own)
    return _fitted(module, *_published(own, chosen))


def _built(own: OwnModel) -> nn.Module:
    match own.kind:
        case "torchvision":
            return _torchvision(own)
        case "timm":
            return _timm(own)
    with _running(own):
        return built_by(own)


def _torchvision(own: OwnModel) -> nn.Module:
    import torchvision

    names = torchvision.models.list_models()
    if own.source not in names:
        place = own.where(own.kind)
        raise BadOption(
            f"{place}: torchvision has no model {own.source!r}.{nearest(own.source, names)} "
            f"All: python -c 'import torchvision; print(torchvision.models.list_models())'"
        )
    arguments = dict(own.arguments)
    if own.source in ("googlenet", "inception_v3"):
        # Their weights come from networks that normalise otherwise, and their own initialisation takes minutes.
        arguments = {"transform_input": True, "init_weights": False, **arguments}
    with _running(own):
        module: nn.Module = torchvision.models.get_model(own.source, weights=None, **arguments)
    return module


def _timm(own: OwnModel) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise BadOption(
            f"{own.where(own.kind)}: timm is not installed. Install it: pip install 'deepdream-daemon[timm]'"
        ) from error
    if ":" not in own.source and not timm.is_model(own.source.partition(".")[0]):
        names = timm.list_models()
        raise BadOption(
            f"{own.where(own.kind)}: timm has no model {own.source!r}.{nearest(own.source, names)} "
            f"All: python -c 'import timm; print(timm.list_models())'"
        )
    for extra in _ANY_SIZE:
        try:
            module: nn.Module = timm.create_model(own.source, pretrained=False, **{**extra, **own.arguments})
        except TypeError as error:
            if not any(name in str(error) for name in extra):
                raise _failed(own, error) from error
        except Exception as error:
            raise _failed(own, error) from error
        else:
            break
    for part in module.modules():
        if hasattr(part, "dynamic_img_pad") and "dynamic_img_pad" not in own.arguments:
            part.dynamic_img_pad = True  # type: ignore[assignment]
    if own.mean is None:
        config: Mapping[str, Any] = getattr(module, "pretrained_cfg", {})
        module.pixel_mean, module.pixel_std = config.get("mean"), config.get("std")  # type: ignore[assignment]
        if module.pixel_mean is None or module.pixel_std is None:
            del module.pixel_mean, module.pixel_std
    return module


def _published(own: OwnModel, chosen: str) -> tuple[Mapping[str, Tensor], OwnModel, str]:
    import torchvision

    sets = torchvision.models.get_model_weights(own.source)
    names = [member.name for member in sets]
    if chosen == DEFAULT and not names:
        raise BadOption(
            f"{own.where('weights')}: torchvision has no weights for {own.source!r}. Name a file, or {RANDOM!r}."
        )
    if chosen != DEFAULT and chosen not in names:
        raise BadOption(
            f"{own.where('weights')}: torchvision has no weights {chosen!r} for {own.source!r}."
            f"{nearest(chosen, names)} Valid: {', '.join([*names, DEFAULT, RANDOM])}, or a file."
        )
    member = sets.DEFAULT if chosen == DEFAULT else sets[chosen]
    return fetch_state_dict(member.url, own.name), own, str(member)


def _fitted(module: nn.Module, state: Mapping[str, Tensor], own: OwnModel, source: str) -> nn.Module:
    return fit(module, state, model=own.name, source=source, optional=_is_auxiliary)


def _is_auxiliary(key: str) -> bool:
    """Whether ``key`` belongs to a classifier that serves training only; some published files leave them out."""
    return key.startswith(("aux1.", "aux2.", "AuxLogits.", "aux_classifier."))


def _pretrained(module: nn.Module, own: OwnModel) -> nn.Module:
    """Give a network of timm its published weights: safetensors, or a state dict read with ``weights_only=True``."""
    from timm.models import load_pretrained

    config: Mapping[str, Any] = getattr(module, "pretrained_cfg", {})
    if not (config.get("hf_hub_id") or config.get("url") or config.get("file")):
        raise BadOption(
            f"{own.where(own.kind)}: timm has no weights for {own.source!r}. Name one that has a set of weights behind "
            f"a point, such as 'resnet50.a1_in1k', or set weights to a file or {RANDOM!r}."
        )
    try:
        load_pretrained(module)
    except Exception as error:
        raise ModelUnavailable(
            f"the weights of model {own.name!r} are not on this machine and could not be fetched ({_line(error)}). "
            f"Fetch them once with a connection, or set weights in [models.{own.name}] to a file of them."
        ) from error
    return module.eval()


@contextmanager
def _placed(own: OwnModel, key: str | None) -> Iterator[None]:
    """Give what is wrong with weights the place of ``key``, unless the recipe named them."""
    try:
        yield
    except BadOption as error:
        if key is None:
            raise
        told = f"{own.where(key)}: {str(error).removeprefix(f'{key}: ')}"
        raise (DoesNotFit(told, error.state) if isinstance(error, DoesNotFit) else BadOption(told)) from error


@contextmanager
def _running(own: OwnModel) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _failed(own, error) from error


def _failed(own: OwnModel, error: Exception) -> DeepDreamError:
    if isinstance(error, DeepDreamError):
        return error
    frames = traceback.extract_tb(error.__traceback__)
    # A line in torch tells less than the builder's own that led there.
    file = getattr(sys.modules.get(own.source.partition(":")[0]), "__file__", None) if own.kind == "builder" else None
    near = [frame for frame in frames if file is not None and Path(frame.filename).is_relative_to(Path(file).parent)]
    at = f" at {frame.filename}:{frame.lineno}" if (frame := next(reversed(near or frames), None)) else ""
    told = f", with the arguments {dict(own.arguments)!r}" if own.arguments else ""
    key = ARGUMENTS if own.arguments and isinstance(error, TypeError) else own.kind
    return BadOption(f"{own.where(key)}: {own.source!r} failed{told}: {_line(error)}{at}")


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]
