"""The engines, one for each device, made when the first is asked for. Whoever borrows one has it alone."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deepdream_daemon.configuration.settings import EngineSettings

if TYPE_CHECKING:
    from deepdream_engine.engine import Engine


class Engines:
    """Safe to use from any thread."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._free: queue.SimpleQueue[Engine] | None = None
        self._made: list[Engine] = []
        self._making = threading.Lock()

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices. Raises ``BadOption`` if ``engine.device`` is not to be had."""
        from deepdream_engine.device import device_names

        return tuple(device_names(self._settings.device))

    @property
    def busy_seconds(self) -> float:
        """Seconds that they have computed so far."""
        return sum(engine.busy_seconds for engine in self._made)

    @contextmanager
    def borrowed(self) -> Iterator[Engine]:
        """Have one to oneself, as soon as one is free."""
        free = self._started()
        engine = free.get()
        try:
            yield engine
        finally:
            free.put(engine)

    def warm_up(self) -> None:
        """Make them now, and let each compute something, so that trouble with one shows before a picture is there."""
        import torch

        self._started()
        for engine in self._made:
            torch.ones(8, 8, device=engine.device.torch_device).square().sum().item()

    def _started(self) -> queue.SimpleQueue[Engine]:
        with self._making:
            if self._free is None:
                from deepdream_engine.engine import Engine

                # It announces every reduced precision, on a handler of its own if nothing has set up logging.
                logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)
                settings = self._settings
                free: queue.SimpleQueue[Engine] = queue.SimpleQueue()
                for device in self.devices:
                    engine = Engine(
                        device=device,
                        max_batch=settings.max_batch,
                        tile_px=settings.tile_px,
                        memory_gib=settings.memory_gib,
                        compile=settings.compile,
                    )
                    free.put(engine)
                    self._made.append(engine)
                self._free = free
            return self._free
