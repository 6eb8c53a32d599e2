"""The stub renderer in a real worker process: what the tests of :mod:`deepdream_daemon.worker` run there.

Words in a picture end, or hold up, the worker: ``crash``, ``abort``, ``sigkill``, ``exit``, ``hang``, ``eat``
(memory). By themselves they do so while it is dreamt; as ``prepare-crash`` or ``finish-crash`` at that stage.
Each run, and how many pictures it began, is a line in the file that the environment names.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from deepdream_daemon.configuration.settings import EngineSettings, PictureSettings, Settings
from deepdream_daemon.pipeline.rendering import Progress
from deepdream_daemon.worker.process import darkroom
from deepdream_daemon.worker.serving import Bench
from deepdream_daemon.worker.workshop import Workshop
from deepdream_engine.errors import BadOption, DeepDreamError
from deepdream_plugins.selection import Selection
from tests.daemon.stub import StubPrepared, StubRenderer, recipe_book

DIARY = "DEEPDREAM_WORKER_DIARY"
MAKE = "tests.daemon.worker_stub:make"


def crash() -> None:
    """Read where nothing is."""
    ctypes.string_at(0)


def eat() -> None:
    """Take what memory there may be, and then what may not."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    taken = [bytearray(1 << 29) for _ in range(8)]
    raise AssertionError(f"there was room for {len(taken)} times 512 MiB")


HARM: dict[bytes, Callable[[], object]] = {
    b"crash": crash,
    b"abort": os.abort,
    b"sigkill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    b"exit": lambda: os._exit(7),
    b"hang": lambda: time.sleep(3600),
    b"eat": eat,
    b"disable-another": lambda: recipe_book().catalogue.host.health.disable("another", "it failed there"),
}


def harm(text: bytes, stage: bytes) -> None:
    """Do what the text asks for at this stage."""
    for word, act in HARM.items():
        if stage + word in text.split():
            act()


class Dangerous(StubRenderer):
    """A stub renderer that can be harmed."""

    def __init__(self) -> None:
        super().__init__(float(os.environ.get("DEEPDREAM_WORKER_SECONDS", "0")))
        self.before_prepare = lambda data: harm(data, b"prepare-")
        self.before_finish = lambda text: harm(text, b"finish-")

    def dream(
        self, feed: Iterator[StubPrepared | None], *, on_progress: Progress, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[int, bytes | DeepDreamError]]:
        """Take in all that there is, then die of it, as those do that are in a pass together."""
        seen: list[bytes] = []

        def watched() -> Iterator[StubPrepared | None]:
            for picture in feed:
                if picture is not None:
                    seen.append(picture.text)
                yield picture
                if picture is None:
                    for text in seen:
                        self._note(f"pass {len(seen)}")
                        harm(text, b"")

        self.before_dream = lambda text: harm(text, b"")
        self._note("run")
        yield from super().dream(watched(), on_progress=on_progress, should_stop=should_stop)
        self._note(f"over {len(seen)}")

    @staticmethod
    def _note(what: str) -> None:
        if path := os.environ.get(DIARY):
            with Path(path).open("a") as file:
                file.write(f"{os.getpid()} {what}\n")


def make(engine: EngineSettings, pictures: PictureSettings, selection: Selection) -> Bench:
    """Return the stub at its bench."""
    return Bench(renderer=Dangerous(), book=recipe_book())


def make_and_die(engine: EngineSettings, pictures: PictureSettings, selection: Selection) -> Bench:
    """Die at the start, as long as there is a file of that name."""
    if Path(os.environ["DEEPDREAM_WORKER_BROKEN"]).exists():
        print("the driver is not there", file=sys.stderr)
        crash()
    return make(engine, pictures, selection)


def make_and_talk(engine: EngineSettings, pictures: PictureSettings, selection: Selection) -> Bench:
    """Log something, and print something."""
    logging.getLogger("deepdream_plugins.talk").warning("a word from the %s", "factory")
    print("printed there", flush=True)
    return make(engine, pictures, selection)


def make_and_raise(engine: EngineSettings, pictures: PictureSettings, selection: Selection) -> Bench:
    """Raise at the start what a device that is not there does."""
    raise BadOption("engine.device: 'cuda:7' is not here. Valid: cpu.")


def make_fragile(engine: EngineSettings, pictures: PictureSettings, selection: Selection) -> Bench:
    """Return the real renderer, which crashes when a picture 77 pixels wide is dreamt."""
    bench = darkroom(engine, pictures, selection)
    dream: Callable[..., Any] = bench.renderer.dream

    def fragile(feed: Iterator[Any], **asked: Any) -> Any:
        def watched() -> Iterator[Any]:
            for prepared in feed:
                yield prepared
                if prepared is not None and prepared.job.pixels.shape[2] == 77:
                    crash()

        return dream(watched(), **asked)

    bench.renderer.dream = fragile  # type: ignore[method-assign]
    return bench


def workshop(settings: Settings, factory: str = MAKE, **engine: Any) -> Workshop:
    """Return a workshop with the stub in its worker."""
    return Workshop(settings.engine, settings.pictures, Selection(), factory=factory)
