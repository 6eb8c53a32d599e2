"""What fits: how large a tile and a pass may be, where canvases live, and what running out of memory has taught.

Device memory is set by the tile and the number of windows in a pass, never by the picture.
"""

from __future__ import annotations

from collections.abc import Hashable

import psutil
import torch

from deepdream_engine.device import Device
from deepdream_engine.host_memory import hand_back, keep_blocks
from deepdream_engine.pyramid import Size

_TILES_PX = (1536, 1280, 1024, 768, 512, 384, 256)
"""Few sizes, so that the tile, which large dreams depend on, changes with the free memory only where it must."""
SMALLEST_TILE_PX = 256
_SHARE_OF_FREE = 0.6
_CANVAS_SHARE = 0.25
_PASS_PX = 1 << 18
"""An accelerator's passes always hold so many windows as have this many pixels (but at least one), filled up with black
ones, so that each picture is computed by the same kernels, alone or among others. More would fill a large GPU better,
but a folder of mixed sizes rarely has many windows of one shape at a time: with 4 << 20, nine of ten windows were
filler."""
_GIB = 1 << 30
_SIGNS = ("can't allocate memory", "out of memory", "ALLOC_FAILED")


class Memory:
    """The memory policy of one device; ``key`` is whatever passes of equal cost have in common.

    ``tile_px`` of ``None`` is chosen from the budget, which is ``memory_gib`` or, if that is ``None``, a share of what
    is free now.
    """

    def __init__(self, device: Device, *, max_batch: int, tile_px: int | None, memory_gib: float | None) -> None:
        self._device = device
        self._max_batch = max_batch
        self._tile_px = tile_px
        self.budget_bytes = _SHARE_OF_FREE * _free_bytes(device) if memory_gib is None else memory_gib * _GIB
        self._tiles: dict[Hashable, int] = {}
        self._most: dict[tuple[Hashable, Size], int] = {}
        self._canvas_bytes = 0.0
        if device.torch_device.type == "cpu":
            keep_blocks()

    @property
    def pictures(self) -> int:
        """How many pictures may be in flight.

        On a CPU it is one: convolutions there choose their order of summation by the batch's size, which dreaming
        amplifies to another picture within some 20 steps. Batches of 8 were quicker for thumbnails only (2 × at
        128 × 96 pixels; 0.45 × at 410 × 231, where they no longer fit the cache).
        """
        return 1 if self._device.torch_device.type == "cpu" else self._max_batch

    @property
    def granule_px(self) -> int:
        """Windows have sides that are multiples of this. On accelerators it makes windows of equal shape from views of
        different size; on a CPU, where they share no passes, a window is exactly its view."""
        return 1 if self._device.torch_device.type == "cpu" else 64

    def tile_px(self, key: Hashable, bytes_per_pixel: float) -> int:
        """Return the side of the largest tile that fits."""
        if key not in self._tiles:
            room = (1 - _CANVAS_SHARE) * self.budget_bytes / bytes_per_pixel
            fitting = (tile for tile in _TILES_PX if tile * tile <= room)
            self._tiles[key] = self._tile_px or next(fitting, SMALLEST_TILE_PX)
        return self._tiles[key]

    def windows(self, key: Hashable, size: Size, bytes_per_pixel: float) -> int:
        """Return how many windows of ``size`` make a pass."""
        if (key, size) not in self._most:
            room = (1 - _CANVAS_SHARE) * self.budget_bytes / bytes_per_pixel
            fitting = int(min(room, _PASS_PX) // (size[0] * size[1]))
            self._most[key, size] = max(1, min(self.pictures, fitting))
        return self._most[key, size]

    def ran_out(self, key: Hashable, size: Size, rows: int, tile_px: int) -> bool:
        """Learn that a pass of ``rows`` windows of ``size`` did not fit; return whether less can be tried."""
        self.free()
        if rows > 1:
            self._most[key, size] = rows // 2
            return True
        if self._tiles[key] < tile_px:
            return True  # another picture has learnt it already
        if tile_px // 2 < SMALLEST_TILE_PX:
            return False
        self._tiles[key] = tile_px // 2
        return True

    def take_canvas(self, size_bytes: float) -> torch.device:
        """Return where a canvas with all that belongs to it shall live: on the device, or on the host if it is
        large."""
        if (
            self._device.torch_device.type == "cpu"
            or self._canvas_bytes + size_bytes > _CANVAS_SHARE * self.budget_bytes
        ):
            return torch.device("cpu")
        self._canvas_bytes += size_bytes
        return self._device.torch_device

    def give_canvas_back(self, size_bytes: float, home: torch.device) -> None:
        """Count a canvas out again."""
        if home.type != "cpu":
            self._canvas_bytes -= size_bytes

    def rest(self) -> None:
        """Nothing is in flight for now: hand back the host's memory, which others may want meanwhile. An accelerator's
        stays: taking it anew would be slow."""
        if self._device.torch_device.type == "cpu":
            hand_back()

    def free(self) -> None:
        """Hand back what the allocator keeps."""
        match self._device.torch_device.type:
            case "cuda":
                torch.cuda.empty_cache()
            case "mps":
                torch.mps.empty_cache()
            case _:
                hand_back()


def _free_bytes(device: Device) -> float:
    match device.torch_device.type:
        case "cuda":
            return float(torch.cuda.mem_get_info(device.torch_device)[0])
        case "mps":
            return float(torch.mps.recommended_max_memory())
        case _:
            return float(psutil.virtual_memory().available)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` is an allocation that failed: on a GPU, in one of its libraries, or on the CPU, whose allocator
    has no type for it."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
    )
