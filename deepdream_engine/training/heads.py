"""The classifier at a network's end: found by running it, and replaced by one for other classes, or by none."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from deepdream_engine.errors import BadOption

_KINDS = (nn.Linear, nn.Conv2d)


class Headless(nn.Identity):
    """Where a classifier was: what it would have read is the network's output. A new one may take its place."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self._head = (copy.deepcopy(head).to("meta"),)  # in a tuple: it is no part of the network

    @property
    def head(self) -> nn.Module:
        """A classifier such as was here, of no weights."""
        return self._head[0]


def logits_of(output: object) -> Tensor:
    """Return the class scores ``(N, K)`` of what a network returns, some of which return more than them."""
    if isinstance(output, tuple | list):
        output = output[0]
    elif isinstance(output, dict):
        output = next(iter(output.values()))
    assert isinstance(output, Tensor)
    return output


def head_of(module: nn.Module, name: str, side_px: int) -> str:
    """Return the path of the layer that makes class scores, or of where one was; raises ``BadOption`` if there is none
    of a known kind."""
    gone: list[str] = [path for path, part in module.named_modules() if isinstance(part, Headless)]
    if gone:
        return gone[0]
    ran: list[str] = []
    hooks = [
        part.register_forward_hook(lambda _part, _given, _made, path=path: ran.append(path))
        for path, part in module.named_modules()
        if isinstance(part, _KINDS)
    ]
    was_training = module.training
    module.eval()
    device = next((each.device for each in module.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            scores = logits_of(module(torch.zeros(2, 3, side_px, side_px, device=device)))
    except Exception as error:
        raise BadOption(f"model {name!r} cannot be run to find its classifier: {error}") from error
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()
    for path in reversed(ran):
        if scores.ndim == 2 and _outputs(module.get_submodule(path)) == scores.shape[1]:
            return path
    raise BadOption(
        f"model {name!r} has no classifier to replace: it must end in a linear layer or a convolution with an output "
        f"for each class. Choose another: deepdream models"
    )


def replace_head(module: nn.Module, path: str, classes: int) -> nn.Module:
    """Give ``module`` a new, untaught classifier for so many classes, on its device, or none for 0; return it."""
    device = next(module.parameters()).device
    old = module.get_submodule(path)
    old = old.head if isinstance(old, Headless) else old
    new: nn.Module
    if not classes:
        new = Headless(old)
    elif isinstance(old, nn.Linear):
        new = nn.Linear(old.in_features, classes, bias=old.bias is not None, device=device)
    else:
        assert isinstance(old, nn.Conv2d)
        new = nn.Conv2d(
            old.in_channels,
            classes,
            kernel_size=old.kernel_size,  # type: ignore[arg-type]
            stride=old.stride,  # type: ignore[arg-type]
            padding=old.padding,  # type: ignore[arg-type]
            bias=old.bias is not None,
            device=device,
        )
    if classes:
        with torch.no_grad():
            weight = new.weight
            assert isinstance(weight, Tensor)
            weight.normal_(0, 0.01)
            if isinstance(new.bias, Tensor):
                new.bias.zero_()
    parent, _, last = path.rpartition(".")
    setattr(module.get_submodule(parent), last, new)
    for each in module.modules():  # some know the number by heart, and reshape by it
        if classes and getattr(each, "num_classes", None) == _outputs(old):
            each.num_classes = classes  # type: ignore[assignment]
    return module


def _outputs(layer: nn.Module) -> int:
    if isinstance(layer, nn.Linear):
        return layer.out_features
    return layer.out_channels if isinstance(layer, nn.Conv2d) else -1
