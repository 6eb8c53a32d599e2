"""Checks of models: what the record says of the network is so, and it dreams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from deepdream_engine.engine import Engine
from deepdream_engine.errors import DeepDreamError
from deepdream_engine.network import LOGITS, LoadedNetwork
from deepdream_engine.records import DreamJob, Network, Objective, Program, Schedule
from deepdream_plugins.records import ModelSpec
from deepdream_plugins.testing.failing import Broken, calling
from deepdream_plugins.testing.tiny import a_picture, network_of

_FEW_TAPS = 3
"""So many of a model's taps are dreamt with, spread over all of them."""
_DIFFERENCE = 1e-3


def check_model(spec: ModelSpec, /) -> None:
    """Check that the network loads, that its taps, aliases and classes are those of the record, that pictures side by
    side do not change each other in it, and that the engine dreams with the taps at the smallest size.

    The weights are fetched if they are not there; ``ModelUnavailable`` passes through. Raises ``AssertionError`` with
    what to mend.
    """
    check_network(spec, lambda: spec.load(None))
    if spec.build is not None:
        _check_build(spec, spec.build)


def check_network(spec: ModelSpec, load: Callable[[], nn.Module]) -> None:
    """Check the network that ``load`` returns, with whatever values in it, against the record."""
    of = f"the model {spec.name!r}"
    with torch.random.fork_rng(devices=[]):
        with calling(f"{of}: load"):
            module: object = load()
        if not isinstance(module, nn.Module):
            raise Broken(f"{of}: load returned {type(module).__name__}, not a torch.nn.Module.")
        filled = _filled(module)
        network = replace(network_of(spec), key=("checked", spec.name), load=lambda: filled)
        taps = _check_names(spec, network, of)
        _check_classes(spec, filled, of)
        _check_apart(filled, spec, of)
        _check_dreams(network, taps, of)


def _filled(module: nn.Module) -> nn.Module:
    """Return the module itself, with random values if it was built without any."""
    if not any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        return module
    module.to_empty(device="cpu")
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            nn.init.normal_(tensor, std=0.02)
    for part in module.modules():
        reset = getattr(part, "reset_parameters", None)
        if reset is not None:
            reset()  # batch norms among them, whose variances must be positive
    return module


def _check_names(spec: ModelSpec, network: Network, of: str) -> Sequence[str]:
    """Find every tap and alias in the network; return those to dream with."""
    try:
        loaded = LoadedNetwork(network)
        for tap in (spec.default_tap, *(tap.name for tap in spec.taps), *spec.aliases):
            loaded.node_of(tap)
    except DeepDreamError as error:
        raise Broken(f"{of}: {error} Taps are names of submodules, as in named_modules().") from error
    listed = [tap.name for tap in spec.taps]
    if listed:
        real = spec.aliases.get(spec.default_tap, spec.default_tap)
        if real not in (*listed, LOGITS):
            raise Broken(f"{of}: taps does not list the default tap {real!r}; list all of them, or leave taps empty.")
        spread = listed[:: -(-len(listed) // _FEW_TAPS)]
        return list(dict.fromkeys([spec.default_tap, *spread]))
    return [spec.default_tap]


def _check_classes(spec: ModelSpec, module: nn.Module, of: str) -> None:
    if spec.classes is None:
        return
    with calling(f"{of}: classes"):
        count = len(spec.classes())
    with torch.no_grad(), calling(f"{of}: forward"):
        output: object = module.eval()(_normalised(spec, 1))
    if count and not (isinstance(output, Tensor) and output.shape[1:] == (count,)):
        raise Broken(
            f"{of}: classes names {count}, but the network's output has the shape "
            f"{tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__}; it must be (N, {count})."
        )


def _check_apart(module: nn.Module, spec: ModelSpec, of: str) -> None:
    """Compare a picture's output alone and beside others: batch statistics would couple them."""
    pictures = _normalised(spec, 3)
    with torch.no_grad(), calling(f"{of}: forward"):
        together: object = module.eval()(pictures)
        alone: object = module(pictures[:1])
    if not isinstance(together, Tensor) or not isinstance(alone, Tensor):
        return  # of detectors, say: they are cut before their output
    difference = float((together[:1] - alone).abs().max())
    if not (difference <= _DIFFERENCE * max(1.0, float(alone.abs().max()))):
        raise Broken(
            f"{of}: what it sees in a picture depends on the pictures beside it. Use running statistics in its batch "
            f"norms (track_running_stats=True), and no operation over dimension 0."
        )


def _check_dreams(network: Network, taps: Sequence[str], of: str) -> None:
    engine = Engine(device="cpu", max_batch=1)
    picture = a_picture(network.min_side_px, network.min_side_px + 3)
    for tap in taps:
        objective = Objective(
            key=("strength", tap),
            taps=(tap,),
            score=lambda seen, _options, tap=tap: seen[tap].square().flatten(1).sum(dim=1),  # type: ignore[misc]
        )
        job = DreamJob(
            pixels=picture,
            program=Program(network=network, objective=objective),
            schedule=Schedule(octaves=1, steps=1, jitter_px=0),
        )
        try:
            (dream,) = engine.dream([job])
        except DeepDreamError as error:
            raise Broken(
                f"{of}: the engine could not dream with the tap {tap!r} on a picture of {network.min_side_px} pixels: "
                f"{error} If the picture is too small for it, raise min_side_px."
            ) from error
        if torch.equal(dream.pixels, picture):
            raise Broken(f"{of}: nothing moves with the tap {tap!r}.")


def _check_build(spec: ModelSpec, build: Callable[[], nn.Module]) -> None:
    of = f"the model {spec.name!r}"
    with torch.random.fork_rng(devices=[]), torch.device("meta"), calling(f"{of}: build on the meta device"):
        bare = build()
    loaded = spec.load(None)
    shapes, found = ({key: tuple(value.shape) for key, value in net.state_dict().items()} for net in (loaded, bare))
    odd = sorted(key for key in shapes.keys() | found.keys() if shapes.get(key) != found.get(key))
    if odd:
        raise Broken(f"{of}: build makes another network than load: {', '.join(odd[:3])} differ.")


def _normalised(spec: ModelSpec, count: int) -> Tensor:
    side = max(spec.min_side_px, 32)
    pictures = torch.stack([a_picture(side, side, seed=seed) for seed in range(count)])
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (spec.mean, spec.std))
    return (pictures - mean) / std
