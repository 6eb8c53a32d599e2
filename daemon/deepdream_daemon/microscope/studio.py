"""Where the microscope's pictures are made: one engine, the recipe that draws one channel or class out of noise."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_daemon.configuration.assembly import Assembly
from deepdream_daemon.oneshot.once import settings_of
from deepdream_daemon.pipeline.torch_threads import TorchThreads
from deepdream_engine import __version__
from deepdream_engine.errors import BadOption, DeepDreamError, UnknownTap
from deepdream_engine.pictures import OutputOptions, Picture, encode
from deepdream_engine.records import Dream, DreamJob, Failure, Network
from deepdream_plugins.records import Batch, ModelSpec
from deepdream_plugins.resolving.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_engine.engine import Engine

BASE = "lucid-dreamnet"
LOGITS = "logits"
_LUCID_PX = 128
_QUALITY = 92
CHANNEL_NOISE = tuple({"spread": spread, "falloff": 1.0} for spread in (90.0, 180.0, 255.0))
"""What a picture of a channel is drawn from; the next, if the channel sees nothing in it. Its gradient is zero where a
channel is silent: in faint or white noise many low ones woke at the borders alone, and their pictures excited them less
than photos did."""
CLASS_NOISE = tuple({"spread": spread, "falloff": 0.0} for spread in (10.0, 60.0, 200.0))
"""What a picture of a class is drawn from, likewise. From that of channels, another network recognised 102 pictures of
196 classes, from this one 136 (``tests/benchmarks/bench_recognition.py``)."""
ATTEMPTS = len(CHANNEL_NOISE)
_IS_ZERO = "gradient is zero everywhere"
_CALM = 1.0
"""How much roughness counts against a picture of a class, beside the class: with it another network knows more of them
(``tests/benchmarks/bench_recognition.py``). Channels keep theirs: those of edges are known by it."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is looked for: channel ``number`` of ``layer``; of the layer ``logits``, that is a class."""

    layer: str
    number: int
    name: str

    @property
    def is_class(self) -> bool:
        """Whether it is a class of the network's."""
        return self.layer == LOGITS


class Studio:
    """Pictures of ``side_px`` squared that excite channels of ``model``, by the recipe ``changes`` change."""

    def __init__(self, assembly: Assembly, model: str, side_px: int, changes: Sequence[str] = ()) -> None:
        self._assembly = assembly
        self.spec: ModelSpec = assembly.catalogue.models[model].spec
        self.side_px = max(side_px, self.spec.min_side_px)
        self.changes = tuple(changes)
        self._settings = settings_of(changes)
        self._engine: Engine | None = None

    def recipe(self, subject: Subject, attempt: int = 0) -> ResolvedRecipe:
        """Return the recipe that draws ``subject`` out of noise, the wider, the later the ``attempt``."""
        objective: Any = {"name": "channel", "layer": subject.layer, "channel": subject.number}
        noise = CHANNEL_NOISE
        if subject.is_class:
            noise = CLASS_NOISE
            objective = f"channel(layer = '{LOGITS}', channel = {subject.number}) - {_CALM} * tv"
        own = {
            "model": {"name": self.spec.name},
            "objective": objective,
            "prefilters": [{"name": "noise", "side": self.side_px, "level": 127.5, **noise[attempt]}],
            "transforms": self._transforms(),
        }
        return self._assembly.book.resolve(BASE, [(own, _place), *self._settings])

    def _transforms(self) -> list[dict[str, Any]]:
        """lucid's, for pictures of another size than its own."""
        pad, more, less = (max(1, round(px * self.side_px / _LUCID_PX)) for px in (12, 8, 4))
        return [
            {"name": "pad", "pixels": pad, "mode": "constant"},
            {"name": "jitter", "pixels": more},
            {"name": "scale", "amount": 0.1},
            {"name": "rotate", "degrees": 10},
            {"name": "jitter", "pixels": less},
        ]

    def job(self, subject: Subject, seed: int, attempt: int = 0) -> DreamJob:
        """Return the engine's job for a picture of ``subject``."""
        import torch

        recipe = self.recipe(subject, attempt)
        blank = torch.full((3, self.side_px, self.side_px), 0.5)
        return recipe.job(recipe.prefilter(blank, seed), seed)

    def identity(self) -> str:
        """Return what tells pictures from those that were made otherwise: recipe, network, version."""
        both = (self.recipe(Subject(layer=layer, number=0, name="")) for layer in (self.spec.default_tap, LOGITS))
        return hashlib.sha256(json.dumps([__version__, *(each.fingerprint() for each in both)]).encode()).hexdigest()

    def model_settings(self) -> dict[str, Any]:
        """Return what the changes say of the model beside its name, as they say it, such as ``{"weights": "b.pt"}``."""
        tables = (change["model"] for change, _ in self._settings if isinstance(change.get("model"), dict))
        return {key: value for table in tables for key, value in table.items() if key != "name"}

    @property
    def network(self) -> Network:
        """The network that is looked into."""
        return self.recipe(Subject(layer=self.spec.default_tap, number=0, name="")).program().network

    @property
    def weights_sha256(self) -> str:
        """The digest of the network's weights as they are now; the network is loaded for it."""
        from deepdream_engine.microscope.eyes import Eyes

        return Eyes(self.engine, self.network, ()).weights_sha256

    @property
    def engine(self) -> Engine:
        """The engine, made on first use; raises ``BadOption`` for a device that is not there."""
        if self._engine is None:
            from deepdream_engine.engine import Engine

            logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)
            settings = self._assembly.settings.engine
            TorchThreads(settings.num_threads).dream()
            self._engine = Engine(
                device=settings.device,
                max_batch=settings.max_batch,
                tile_px=settings.tile_px,
                memory_gib=settings.memory_gib,
                compile=settings.compile,
            )
        return self._engine

    def dream(
        self, jobs: Iterator[DreamJob | None], on_progress: Callable[[int, float], None] = lambda _i, _f: None
    ) -> Iterator[tuple[int, Dream | DeepDreamError]]:
        """Yield the dream of each of ``jobs``, or its error, as it is done."""
        batch = Batch(engine=self.engine, jobs=jobs, on_progress=on_progress, should_stop=lambda: False)
        for index, outcome in self._assembly.catalogue.host.run_batch(batch):
            yield index, outcome.error if isinstance(outcome, Failure) else outcome

    def encoded(self, pixels: Tensor, recipe: ResolvedRecipe, seed: int, weights_sha256: str) -> bytes:
        """Return a dream ``(3, H, W)`` as a JPEG that tells how it was made."""
        import torch

        made_by = {
            "deepdream": __version__,
            "recipe": recipe.to_dict(paths=False),
            "seed": seed,
            "model": {"name": self.spec.name, "weights_sha256": weights_sha256},
            "engine": {"device": self.engine.device.name, "torch": torch.__version__},
        }
        nothing = Picture(pixels=np.empty((0, 0, 3), np.float32), format="JPEG")
        options = OutputOptions(format="jpeg", quality=_QUALITY)
        return encode(pixels.permute(1, 2, 0).numpy(), nothing, options, made_by)

    def class_names(self) -> list[str]:
        """Return the first name of every class, if the model names them."""
        return [] if self.spec.classes is None else [line.split(",")[0].strip() for line in self.spec.classes()]

    def class_count(self) -> int:
        """Return how many classes the network tells apart, 0 if its output is of none; one whose model does not name
        them is loaded and asked."""
        if self.spec.classes is not None:
            return len(self.class_names())
        import torch

        from deepdream_engine.microscope.eyes import Eyes

        try:
            eyes = Eyes(self.engine, self.network, (LOGITS,))
        except UnknownTap:  # what it returns has no channels
            return 0
        (seen,) = eyes.see(torch.full((1, 3, self.side_px, self.side_px), 0.5))
        logits = seen[LOGITS]
        return logits.shape[1] if logits.ndim == 2 else 0


def sees_nothing(outcome: object) -> bool:
    """Return whether a picture failed because nothing in its noise excites the subject."""
    return isinstance(outcome, BadOption) and _IS_ZERO in str(outcome)


def seed_of(identity: str, subject: Subject, attempt: int = 0) -> int:
    """Return the seed of a picture, whatever else is made beside it."""
    text = f"{identity}:{subject.layer}:{subject.number}:{attempt}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])


def _place(*keys: object) -> str:
    return ".".join(map(str, keys))
