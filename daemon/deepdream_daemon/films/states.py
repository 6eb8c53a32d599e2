"""The state of a production as bytes: tensors exactly as they are, all else as JSON beside them, in one safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

State = dict[str, Any]
"""Tensors, numbers, texts, and lists or tables of these, by name."""
_REST = "rest"


def state_bytes(state: Mapping[str, Any]) -> bytes:
    """Return ``state`` as bytes, from which :func:`read_state` makes an equal one."""
    from safetensors.torch import save

    tensors = {name: _tensor(value) for name, value in state.items() if is_numeric_array(value)}
    rest = {name: value for name, value in state.items() if name not in tensors}
    return bytes(save(tensors, {_REST: json.dumps(rest)}))


def read_state(data: bytes) -> State:
    """Return what :func:`state_bytes` was given, with tensors on the CPU; raises ``ValueError`` for other bytes."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return {**json.loads(header["__metadata__"][_REST]), **tensors}
    except (SafetensorError, LookupError) as error:
        raise ValueError(f"not the state of a film: {error}") from error


def held(state: Mapping[str, Any]) -> State:
    """Return ``state`` as it is now, whatever its owner does with the tensors afterwards."""
    return {name: _tensor(value).clone() if is_numeric_array(value) else value for name, value in state.items()}


def is_numeric_array(value: Any) -> bool:
    """Tell a tensor or an array from a number and the rest."""
    return hasattr(value, "detach") or isinstance(value, np.ndarray)


def _tensor(value: Any) -> Any:
    import torch

    tensor = value.detach().cpu() if hasattr(value, "detach") else torch.from_numpy(np.ascontiguousarray(value))
    return tensor.contiguous()
