"""The flag by which players turn a film: pixels are stored turned back, and an MP4's header says how to show them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ONE, _MINUS, _UNIT = 1 << 16, (1 << 32) - (1 << 16), 1 << 30
# The matrix of a track's header, by how many degrees it turns clockwise.
_MATRICES: Mapping[int, tuple[int, ...]] = {
    90: (0, _ONE, 0, _MINUS, 0, 0, 0, 0, _UNIT),
    180: (_MINUS, 0, 0, 0, _MINUS, 0, 0, 0, _UNIT),
    270: (0, _MINUS, 0, _ONE, 0, 0, 0, 0, _UNIT),
}
_UPRIGHT = (_ONE, 0, 0, 0, _ONE, 0, 0, 0, _UNIT)


def upright(pixels: NDArray[Any], rotation: int) -> NDArray[Any]:
    """Return what a player shows of the stored ``(H, W, C)``, turned ``rotation`` degrees clockwise."""
    return np.rot90(pixels, -(rotation // 90))


def stored(pixels: NDArray[Any], rotation: int) -> NDArray[Any]:
    """Return what is to be stored so that it is shown as ``pixels``."""
    return np.rot90(pixels, rotation // 90)


@contextmanager
def turned(chunk: Path, rotation: int) -> Iterator[Path]:
    """Yield a file like ``chunk``, an MP4 or MOV, whose header says to turn it; the muxer takes the flag from there."""
    if rotation == 0:
        yield chunk
        return
    data = chunk.read_bytes()
    old, new = _packed(_UPRIGHT), _packed(_MATRICES[rotation])
    header = data.find(b"tkhd", data.rfind(b"trak"))
    place = data.find(old, header, header + 128)
    if header < 0 or place < 0:
        raise BadOption(f"a film in {chunk.suffix} cannot say that it is to be turned by {rotation} degrees.")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack():
        copy = Path(folder) / chunk.name
        copy.write_bytes(data[:place] + new + data[place + len(old) :])
        yield copy


def _packed(matrix: tuple[int, ...]) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in matrix)
