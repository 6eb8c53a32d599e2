"""Weights from files: read without ever running code from them, and fitted to a module with a clear complaint.

A model plugin's ``load`` calls :func:`read_state_dict` (or :func:`fetch_state_dict`) and :func:`fit`.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_engine.errors import BadOption, ModelUnavailable, nearest

if TYPE_CHECKING:
    from torch import Tensor, nn

CHECKPOINT_KEYS = ("state_dict", "model_state_dict", "model")
"""Under which of a checkpoint's entries its weights may be, the first that is there."""

_SHOWN = 3
_TORCH_BEFORE_ZIP = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
"""How files of torch.save began before PyTorch 1.6."""


class DoesNotFit(BadOption):
    """Weights are of another network than the model; ``state`` are they, by the names in their file.

    Whoever calls a model's ``load`` gets a plain ``BadOption``, which also names the model that they look like.
    """

    def __init__(self, message: str, state: Mapping[str, Tensor]) -> None:
        super().__init__(message)
        self.state = state


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the tensors of ``path``: safetensors, or a state dict saved by ``torch.save``.

    A checkpoint that holds its weights under one of :data:`CHECKPOINT_KEYS` is accepted. Raises ``BadOption`` for
    anything else.
    """
    import torch
    from safetensors.torch import load_file

    try:
        state: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except FileNotFoundError:
        siblings = [p.name for p in path.parent.glob("*")] if path.parent.is_dir() else []
        raise BadOption(f"weights: there is no file {str(path)!r}.{nearest(path.name, siblings)}") from None
    except Exception as error:  # an unpickler that is fed with anything else raises anything
        raise BadOption(
            f"weights: {str(path)!r} cannot be read ({_reason(path, error)}). Valid: a safetensors file, or a state "
            f"dict saved with torch.save; whole pickled models are refused because loading one runs its code."
        ) from error
    if isinstance(state, Mapping):
        state = next((state[key] for key in CHECKPOINT_KEYS if isinstance(state.get(key), Mapping)), state)
    if strange := _strange(state):
        raise BadOption(
            f"weights: {str(path)!r} holds no state dict (a mapping from names to tensors), neither itself nor under "
            f"{', '.join(map(repr, CHECKPOINT_KEYS))}: {strange}. Save one: torch.save(network.state_dict(), FILE)"
        )
    return dict(state)


def _strange(state: object) -> str:
    """Return why ``state`` is no mapping from names to tensors, or nothing if it is one."""
    import torch

    if not isinstance(state, Mapping):
        return f"it is {type(state).__name__}"
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            return f"{key!r} in it is {type(value).__name__}"
    return ""


def _reason(path: Path, error: Exception) -> str:
    """Say what is wrong with a file of weights: what torch says of it is about its own insides, or advises to load it
    without protection."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if not path.stat().st_size:
        return "it is empty"
    if path.suffix == ".safetensors":
        return "it is no safetensors file, or only a part of one"
    with path.open("rb") as opened:
        head = opened.read(len(_TORCH_BEFORE_ZIP))
    is_zip = zipfile.is_zipfile(path)
    if not is_zip and not head.startswith(b"PK") and head != _TORCH_BEFORE_ZIP:
        return "it is no file of torch.save"
    if isinstance(error, pickle.UnpicklingError):
        return "it holds more than tensors, such as a whole pickled model"
    return "it is a ZIP file, but none of torch.save, or damaged" if is_zip else "only a part of it is there"


def fetch_state_dict(url: str, model: str) -> dict[str, Tensor]:
    """Return the weights published at ``url`` out of torch's cache; fetch them first if they are not there.

    The hash in the file's name is checked on arrival, if there is one. This is what torchvision's ``get_state_dict``
    does, without the line that it prints into the daemon's log. Raises ``ModelUnavailable``, naming ``model``.
    """
    import http.client  # which brings ssl; whoever only lists models waits for neither

    import torch
    from torch.hub import HASH_REGEX, download_url_to_file

    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not file.exists():
        expected = HASH_REGEX.search(file.name)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            download_url_to_file(url, str(file), expected.group(1) if expected else None, progress=False)
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            raise ModelUnavailable(
                f"the weights of model {model!r} are not on this machine and could not be fetched ({error}). "
                f"Fetch {url} and put it at {str(file)!r}, or name a file with model = {{ name = {model!r}, "
                f"weights = 'FILE' }}, or use the embedded model: model = 'dreamnet'."
            ) from error
        except RuntimeError as error:
            raise ModelUnavailable(
                f"the weights of model {model!r} arrived damaged: {error}. They will be fetched again; to go on "
                f"without them, use the embedded model: model = 'dreamnet'."
            ) from error
    return read_state_dict(file)


def readings(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Mapping[str, Tensor]]]:
    """Yield the ways to read the names in ``state``, each with what it leaves out before them: nothing, then all that
    they have in common, part by part, such as what Lightning, ``torch.compile`` and DDP put there."""
    prefix = ""
    yield prefix, state
    while True:
        rests = [key.removeprefix(prefix).partition(".") for key in state]
        if len({first for first, _, _ in rests}) != 1 or not all(rest for _, _, rest in rests):
            return
        prefix += f"{rests[0][0]}."
        yield prefix, {key.removeprefix(prefix): value for key, value in state.items()}


def fit(
    module: nn.Module,
    state: Mapping[str, Tensor],
    *,
    model: str,
    source: str,
    optional: Callable[[str], bool] = lambda _key: False,
) -> nn.Module:
    """Load ``state`` into ``module`` as float32 and return it; of its :func:`readings` the one that fits.

    Keys for which ``optional`` answers true may be missing or left over. Raises ``BadOption`` that names the first
    keys which do not match ``model``'s.
    """
    own = module.state_dict()
    found = [(prefix, read, _complaints(own, read, optional)) for prefix, read in readings(state)]
    prefix, read, complaints = min(found, key=lambda each: sum(map(len, each[2].values())))
    told = [
        f"{what} {', '.join(keys[:_SHOWN])}{f' and {len(keys) - _SHOWN} more' if len(keys) > _SHOWN else ''}"
        for what, keys in complaints.items()
        if keys
    ]
    if told:
        without = f" Its names were read without {prefix!r} before them." if prefix else ""
        raise DoesNotFit(
            f"weights: {source} is not for model {model!r}: it {'; it '.join(told)}.{without} Choose the model that "
            f"these weights were saved from, or other weights.",
            state,
        )
    kept = {key: value.float() if value.is_floating_point() else value for key, value in read.items() if key in own}
    module.load_state_dict(kept, strict=False)
    return module.eval()


def _complaints(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], optional: Callable[[str], bool]
) -> Mapping[str, list[str]]:
    """Return what of ``state`` does not match the network's ``own``, by what is wrong."""
    return {
        "lacks": [
            key for key in own if key not in state and not key.endswith("num_batches_tracked") and not optional(key)
        ],
        "has unknown": [key for key in state if key not in own and not optional(key)],
        "differs in shape:": [
            f"{key} is {tuple(state[key].shape)} in place of {tuple(own[key].shape)}"
            for key in own
            if key in state and state[key].shape != own[key].shape
        ],
    }
