"""The decoders together: bytes of any file become a picture, or one clear reason why not, whatever the file does.

A picture that ends its decoder is tried once more in a new one, unless that one was new: the picture before may have
left it broken. The second time it is the picture's own fault, or the machine's.
"""

from __future__ import annotations

import contextlib
import errno
import queue
import threading
from collections import Counter
from typing import Any

from deepdream_daemon.configuration.settings import PictureSettings
from deepdream_daemon.decoding.decoder import (
    GONE,
    NO_MEMORY,
    NO_START,
    SLOW,
    TOO_LARGE,
    Decoder,
    Died,
    Refused,
    Request,
)
from deepdream_daemon.decoding.picture import SharedPicture, picture_over
from deepdream_daemon.decoding.shared import SharedArray
from deepdream_daemon.intake.sources import limit_bytes
from deepdream_engine.errors import BadPicture, Cancelled
from deepdream_engine.pictures.decode import inspect

SERVED = 200
"""So many pictures a decoder sees before another takes its place, and with it whatever they left in it."""
BYTES_PER_PIXEL = 64
"""What any format may take for each pixel: twice the most that was measured, that of WebP with transparency."""
FILE_TIMES = 4
"""And for each byte of the file, which some decoders copy."""
LEAST_BYTES = 128 << 20


class Decoders:
    """Decodes in ``processes`` processes, which start when they are needed. Safe to use from several threads.

    ``deaths`` counts what they died of, by the words of ``decoder``. ``module`` has their ``main``.
    """

    def __init__(
        self, pictures: PictureSettings, processes: int, *, module: str = "deepdream_daemon.decoding.process"
    ) -> None:
        self.deaths: Counter[str] = Counter()
        self._module = module
        self._pictures = pictures
        self._free: queue.LifoQueue[Decoder | None] = queue.LifoQueue()  # the last one used is warm
        for _ in range(processes):
            self._free.put(None)
        self._lock = threading.Lock()
        self._living: set[Decoder] = set()
        self._is_closed = False

    def decode(self, data: bytes) -> SharedPicture:
        """Return the picture that ``data`` are, its pixels in shared memory.

        Raises ``BadPicture`` for whatever is wrong with the file, ``MemoryError`` or ``OSError`` if the machine makes
        trouble, and ``Cancelled`` once the decoders are closed.
        """
        name, megapixels = inspect(data, max_megapixels=self._pictures.max_megapixels)
        request = Request(
            data=data,
            max_megapixels=self._pictures.max_megapixels,
            memory_bytes=self._memory_bytes(megapixels, len(data)),
            seconds=self._pictures.decode_seconds,
        )
        try:
            answer = self._asked(request)
        except Died as death:
            raise _blame(death, name, request) from death
        if isinstance(answer, Refused):
            is_tight = request.memory_bytes < _usual_bytes(megapixels, len(data))
            hint = " If it is whole, it may need more memory than [pictures] decode_gib allows." if is_tight else ""
            raise BadPicture(answer.reason + hint)
        shared, facts = answer
        return picture_over(shared, facts)

    def measure(self, data: bytes) -> float:
        """Return how many megapixels the header of ``data`` tells of; 0 for what :meth:`decode` refuses by it."""
        try:
            return inspect(data, max_megapixels=self._pictures.max_megapixels)[1]
        except BadPicture:
            return 0.0

    def pids(self) -> list[int]:
        """Return the processes that there are."""
        with self._lock:
            return sorted(decoder.pid for decoder in self._living)

    def close(self) -> None:
        """End all of them; pictures that are being decoded are ``Cancelled``."""
        with self._lock:
            self._is_closed = True
            living = list(self._living)
        for decoder in living:
            decoder.close()
        free: list[Decoder | None] = []
        with contextlib.suppress(queue.Empty):
            while True:
                free.append(self._free.get_nowait())
        for idle in free:
            if idle is not None:
                self._bury(idle)
            self._free.put(None)  # for those who still ask

    def _asked(self, request: Request) -> tuple[SharedArray, dict[str, Any]] | Refused:
        """Ask a free decoder, and a new one if it dies of it."""
        decoder = self._free.get()
        try:
            if decoder is not None:
                with contextlib.suppress(Died):
                    return self._ask(decoder, request)
                self._bury(decoder)
            decoder = self._new()
            return self._ask(decoder, request)
        except BaseException as error:
            if decoder is not None:
                self._bury(decoder)
                decoder = None
            if self._is_closed and isinstance(error, Exception):
                raise _closed() from error
            raise
        finally:
            if decoder is not None and (decoder.served >= SERVED or self._is_closed):
                self._bury(decoder)
                decoder = None
            self._free.put(decoder)

    def _ask(self, decoder: Decoder, request: Request) -> tuple[SharedArray, dict[str, Any]] | Refused:
        try:
            return decoder.decode(request)
        except Died as death:
            self.deaths[death.how] += death.how != GONE
            raise

    def _new(self) -> Decoder:
        with self._lock:
            if self._is_closed:
                raise _closed()
            most = self._pictures.max_megapixels
            decoder = Decoder(self._module, self._memory_bytes(most, limit_bytes(most)))
            self._living.add(decoder)
            return decoder

    def _bury(self, decoder: Decoder) -> None:
        decoder.bury()
        with self._lock:
            self._living.discard(decoder)

    def _memory_bytes(self, megapixels: float, file_bytes: int) -> int:
        """Return what a picture may take on top of what its decoder has."""
        if self._pictures.decode_gib is not None:
            return int(self._pictures.decode_gib * (1 << 30))
        return _usual_bytes(megapixels, file_bytes)


def _usual_bytes(megapixels: float, file_bytes: int) -> int:
    return LEAST_BYTES + FILE_TIMES * file_bytes + int(BYTES_PER_PIXEL * megapixels * 1e6)


def _closed() -> Cancelled:
    return Cancelled("no more pictures are decoded")


def _blame(death: Died, name: str, request: Request) -> Exception:
    """Return the error of a picture that no decoder survives, or of a machine that cannot decode."""
    if death.how == NO_MEMORY:
        return MemoryError(str(death))
    if death.how in {NO_START, GONE}:
        return OSError(errno.EAGAIN, str(death))
    if death.how == SLOW:
        return BadPicture(
            f"this {name} cannot be decoded: {death}. Export it again, or raise [pictures] decode_seconds."
        )
    if death.how == TOO_LARGE:
        mebibytes = request.memory_bytes / (1 << 20)
        return BadPicture(
            f"this {name} cannot be decoded: {death} ({mebibytes:,.0f} MiB). Export it again, or raise "
            "[pictures] decode_gib."
        )
    return BadPicture(
        f"this {name} cannot be decoded: {death}. It is damaged, or made to do harm: export it again, or delete it."
    )
