"""Networks that the user has taught: every card of a models folder becomes a model like any other.

A card says which model's layers a network has, and which classes; weights are safetensors. So nothing of it is a
program, and the cards are read anew whenever a network is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption, unknown
from deepdream_engine.training.card import CARD, WEIGHTS, Card, read_card
from deepdream_plugins.hookspecs import MODELS, hookimpl
from deepdream_plugins.hosting.safety import open_to
from deepdream_plugins.records import ModelSpec
from deepdream_plugins.resolving.named_files import sha256

if TYPE_CHECKING:
    from torch import nn

    from deepdream_plugins.hosting.host import PluginHost


def find_cards(folders: Sequence[Path]) -> tuple[Path, ...]:
    """Return the cards of all taught models in ``folders``; of two models of one name the first folder's."""
    found: dict[str, Path] = {}
    for folder in folders:
        for card in sorted(folder.glob(f"*/{CARD}")) if folder.is_dir() else ():
            found.setdefault(card.parent.name, card.absolute())
    return tuple(found.values())


class TrainedModels:
    """The plugin of the models that ``cards`` are of; none may be reached through a ``watched`` folder, and none has a
    name that is ``taken`` by the model of another plugin, whose name is there."""

    def __init__(self, cards: Sequence[Path], watched: Sequence[Path], taken: Mapping[str, str]) -> None:
        self._cards = [card for card in cards if card.parent.name not in taken]
        self._watched = watched
        self.note = "; ".join(
            f"the model in {str(card.parent)!r} is left out, since the plugin {taken[card.parent.name]!r} has one of "
            f"that name: rename the folder"
            for card in cards
            if card.parent.name in taken
        )
        self._host: PluginHost | None = None

    @hookimpl
    def deepdream_host_ready(self, host: PluginHost) -> None:
        """Remember where the models are whose layers taught ones have."""
        self._host = host

    @hookimpl
    def deepdream_models(self) -> Iterator[ModelSpec]:
        """Yield a model for each card; what is wrong with one is told when it is used."""
        for path in self._cards:
            yield self._spec(path)

    def _spec(self, path: Path) -> ModelSpec:
        # A folder that is renamed renames its model.
        name = path.parent.name
        try:
            card = self._read(path)
        except BadOption as error:
            return ModelSpec(
                name=name,
                help=f"cannot be used: {error}",
                load=partial(self._load, path),
                default_tap="middle",
                weights=str(path.with_name(WEIGHTS)),
            )
        return ModelSpec(
            name=name,
            help=card.summary,
            load=partial(self._load, path),
            build=partial(self._build, path),
            default_tap=card.default_tap,
            weights=str(path.with_name(card.weights)),
            mean=card.mean,
            std=card.std,
            min_side_px=card.min_side_px,
            aliases=card.aliases,
            classes=partial(self._classes, path),
            identity=partial(self._identity, path),
            side_px=card.side_px,
        )

    def _read(self, path: Path) -> Card:
        if folder := open_to(path, self._watched):
            raise BadOption(
                f"{str(path)!r} is reached through the watched folder {str(folder)!r}, where whoever drops files could "
                f"put another network in its place. Move the models folder elsewhere."
            )
        return read_card(path)

    def _classes(self, path: Path) -> Sequence[str]:
        return self._read(path).classes

    def _identity(self, path: Path) -> str:
        place = f"model {path.parent.name!r}"
        return f"{sha256(str(path), place)} {sha256(str(path.with_name(self._read(path).weights)), place)}"

    def _build(self, path: Path) -> nn.Module:
        card = self._read(path)
        architecture = self._architecture(card, path)
        return _with_head(bare(architecture), architecture, len(card.classes))[0]

    def _load(self, path: Path, weights: Path | None) -> nn.Module:
        from deepdream_plugins.weights import fit, read_state_dict

        card = self._read(path)
        file = weights or path.with_name(card.weights)
        untaught = with_classes(self._architecture(card, path), len(card.classes))[0]
        return fit(untaught, read_state_dict(file), model=path.parent.name, source=repr(str(file)))

    def _architecture(self, card: Card, path: Path) -> ModelSpec:
        assert self._host is not None
        models = self._host.records(MODELS)
        if card.architecture not in models:
            raise BadOption(
                f"model {path.parent.name!r} has the layers of another: {unknown('model', card.architecture, models)} "
                f"Put [models.{card.architecture}] back into the configuration, as it was when this one was taught."
            )
        spec: ModelSpec = models[card.architecture].spec
        return spec


def with_classes(
    spec: ModelSpec, classes: int, weights: Path | None = None, *, taught: bool = False
) -> tuple[nn.Module, str, str]:
    """Return the network of ``spec`` with a new classifier for so many classes, none for 0, and the classifier's path.

    If ``taught``, its layers have the weights of ``spec``, or of the file ``weights``, whose digest is the third;
    otherwise any.
    """
    from deepdream_engine.network import weights_digest

    module = spec.load(weights) if taught else with_any_values(bare(spec))
    digest = weights_digest(module) if taught else ""
    return *_with_head(module, spec, classes), digest


def _with_head(module: nn.Module, spec: ModelSpec, classes: int) -> tuple[nn.Module, str]:
    from deepdream_engine.training.heads import head_of, replace_head

    path = head_of(module, spec.name, max(spec.min_side_px, spec.side_px))
    return replace_head(module, path, classes), path


def bare(spec: ModelSpec) -> nn.Module:
    """Return the network of ``spec`` with any values in it, or on the ``meta`` device; nothing is fetched if it can be
    helped."""
    if spec.build is None:
        return spec.load(None)
    module = spec.build()
    # What is no part of a state dict would be lost with the meta device.
    lost = any(each.is_meta and name not in module.state_dict() for name, each in module.named_buffers())
    return spec.load(None) if lost else module


def with_any_values(module: nn.Module) -> nn.Module:
    """Return ``module`` on the CPU; what was on the ``meta`` device is zero."""
    import torch

    if any(each.is_meta for each in (*module.parameters(), *module.buffers())):
        module.to_empty(device="cpu")
        with torch.no_grad():
            # What an empty tensor has in it may lead out of bounds where it is a table of places.
            for each in (*module.parameters(), *module.buffers()):
                each.zero_()
    return module


def from_random(module: nn.Module, name: str) -> nn.Module:
    """Give all parts of ``module`` new random weights, as its layers begin by default; return it."""
    for path, part in module.named_modules():
        reset: Callable[[], object] | None = getattr(part, "reset_parameters", None)
        if reset is not None:
            reset()
        elif any(True for _ in part.parameters(recurse=False)):
            raise BadOption(
                f"model {name!r} cannot begin with random weights: nothing tells how {path!r} begins. Begin with its "
                f"own: start = 'weights'."
            )
    return module
