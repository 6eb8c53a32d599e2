"""A renderer without torch, and the daemon around it: what the tests of the daemon's promises run.

A picture is ``PICTURE <text>``; a dream is ``DREAM <text> <provenance> END``, so that a torn one is
recognised. Words in the text make trouble: ``bad`` cannot be decoded, ``poison`` fails all that is in flight with it,
``slow`` takes a while. Run as a module, it is a real daemon in a process of its own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepdream_daemon.configuration.settings import EngineSettings, FolderSettings, Settings
from deepdream_daemon.configuration.sinks import FolderSink, FolderSinks
from deepdream_daemon.intake.companions import Companion
from deepdream_daemon.journal.journal import JobRecord, Journal
from deepdream_daemon.pipeline.film_orders import FilmFile, FilmOrder
from deepdream_daemon.pipeline.rendering import Encoded, Progress, Renderer
from deepdream_daemon.running.background import Background, GivenUp
from deepdream_daemon.running.daemon import Daemon
from deepdream_engine.errors import BadPicture, Cancelled, DeepDreamError, EngineFault
from deepdream_plugins.catalogue import load_catalogue
from deepdream_plugins.events import Delivery
from deepdream_plugins.hosting.health import Health
from deepdream_plugins.recipes import RecipeBook
from deepdream_plugins.records import SinkSpec
from deepdream_plugins.resolving.configured import Configured
from deepdream_plugins.resolving.resolved import ResolvedRecipe

SLOW_SECONDS = 30.0


@dataclass(frozen=True)
class StubPrepared:
    """A decoded stub picture, followed by its companions."""

    text: bytes
    batch_key: str
    megapixels: float = 0.1


class StubRenderer:
    """Dreams text, taking in whatever the feed has and finishing one after the other, the first that came first;
    ``before_*`` hooks let a test do harm at the right moment. ``batches`` has, for each run, how many it was handed.
    """

    devices: tuple[str, ...] = ("stub",)

    def __init__(self, dream_seconds: float = 0.0) -> None:
        self.dream_seconds = dream_seconds
        self.busy_seconds = 0.0
        self.batches: list[int] = []
        self.most_in_flight = 0
        self.prepared = 0
        self.before_prepare: Callable[[bytes], None] = lambda data: None
        self.before_dream: Callable[[bytes], None] = lambda text: None
        self.before_finish: Callable[[bytes], None] = lambda text: None

    def close(self) -> None:
        """There is nothing to end."""

    def troubles(self) -> Mapping[str, str]:
        """Nothing keeps all pictures waiting."""
        return {}

    def running(self) -> Sequence[tuple[str, str, float]]:
        """No stranger's code runs elsewhere."""
        return ()

    def share_health(self, health: Health) -> None:
        """All plugins are in this process."""

    def wait_until_ready(self) -> None:
        """It is ready from the beginning."""

    def measure(self, data: bytes) -> float:
        """Say how large it is: as told by ``megapixels=N`` in the text."""
        found = re.search(rb"megapixels=(\d+)", data)
        return float(found[1]) if found else 0.1

    def prepare(
        self, data: bytes, recipe: ResolvedRecipe, seed: int, companions: Mapping[str, Companion]
    ) -> StubPrepared:
        """Decode a stub picture."""
        self.prepared += 1
        self.before_prepare(data)
        if not data.startswith(b"PICTURE ") or b"bad" in data:
            raise BadPicture("not a picture that the stub can decode.")
        beside = b"".join(b" %s=%s" % (name.encode(), found.data) for name, found in companions.items())
        return StubPrepared(data[8:] + beside, recipe.name, self.measure(data))

    def prepare_film(
        self,
        order: FilmOrder,
        data: bytes | None,
        recipe: ResolvedRecipe,
        seed: int,
        companions: Mapping[str, Companion],
    ) -> StubPrepared:
        """Films are made by :class:`tests.daemon.film_stub.FilmStub`."""
        raise BadPicture("the stub makes no films.")

    def finish_film(self, rendered: Any, provenance: Mapping[str, object]) -> FilmFile:
        """Nor are there any."""
        raise NotImplementedError

    def dream(
        self, feed: Iterator[StubPrepared | None], *, on_progress: Progress, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[int, bytes | DeepDreamError]]:
        """Dream what the feed hands out."""
        flying: dict[int, StubPrepared] = {}
        run = len(self.batches)
        self.batches.append(0)
        is_over = False
        while flying or not is_over:
            while not is_over:
                try:
                    taken = next(feed)
                except StopIteration:
                    is_over = True
                    break
                if taken is None:
                    break
                flying[self.batches[run]] = taken
                self.batches[run] += 1
            self.most_in_flight = max(self.most_in_flight, len(flying))
            if any(b"poison" in picture.text for picture in flying.values()):
                raise RuntimeError("poisoned")
            if not flying:
                continue
            index = min(flying)
            picture = flying[index]
            self.before_dream(picture.text)
            begun = time.monotonic()
            until = begun + (SLOW_SECONDS if b"slow" in picture.text else self.dream_seconds)
            while time.monotonic() < until:
                if should_stop():
                    raise Cancelled("the stub was asked to stop")
                time.sleep(0.01)
            self.busy_seconds += time.monotonic() - begun
            on_progress(index, 1.0)
            del flying[index]
            fault = EngineFault("the stub has a fault") if b"fault" in picture.text else None
            yield index, fault or b"DREAM " + picture.text

    def finish(self, rendered: bytes, provenance: Mapping[str, object]) -> Encoded:
        """Write the dream down."""
        self.before_finish(rendered)
        return Encoded(rendered + b"\n" + json.dumps(provenance).encode() + b"\nEND\n", ".jpg")


def is_whole_dream(path: Path) -> bool:
    """Tell whether an output is a dream from its first byte to its last."""
    data = path.read_bytes()
    return data.startswith(b"DREAM ") and data.endswith(b"\nEND\n")


def key_of(path: Path) -> str:
    """Return the job key inside an output."""
    key: str = json.loads(path.read_bytes().split(b"\n")[-3])["job"]
    return key


_book: list[RecipeBook] = []


def recipe_book() -> RecipeBook:
    """Return the built-in recipes, loaded once."""
    if not _book:
        _book.append(RecipeBook(load_catalogue()))
    return _book[0]


def make_settings(root: Path, **changes: Any) -> Settings:
    """Return settings for ``root/in`` → ``root/out`` with quick times, the folders made."""
    for name in ("in", "out"):
        (root / name).mkdir(exist_ok=True, parents=True)
    values: dict[str, Any] = {
        "path": None,
        "state": root / "state",
        "folders": (FolderSettings(input=root / "in", output=root / "out"),),
        "settle_seconds": 0.1,
        "rescan_seconds": 0.5,
        "engine": EngineSettings(max_batch=8),
    }
    return Settings(**(values | changes))


def sinks_for(settings: Settings, *specs: SinkSpec, owner: str = "tests") -> FolderSinks:
    """Return sinks without options for all folders of ``settings``."""
    sinks = tuple(
        FolderSink(name=spec.name, written="", sink=Configured(spec=spec, owner=owner, options={})) for spec in specs
    )
    return {folder.input: sinks for folder in settings.folders}


def diary(path: Path) -> SinkSpec:
    """Return a sink that writes a line for each dream into the file ``path``: its name and which attempt it was."""

    def deliver(delivery: Delivery) -> None:
        with path.open("a") as file:
            file.write(f"{Path(delivery.output).name} {delivery.attempt}\n")
            file.flush()
            os.fsync(file.fileno())

    return SinkSpec(name="diary", help="Keeps a diary.", deliver=deliver)


class Running:
    """A daemon in a thread of this process, stopped at the end of a ``with``."""

    def __init__(
        self,
        settings: Settings,
        renderer: Renderer | None = None,
        book: RecipeBook | None = None,
        sinks: FolderSinks | None = None,
        out_of_use: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = settings
        self.renderer = renderer or StubRenderer()
        self.daemon = Daemon(settings, book or recipe_book(), self.renderer, sinks=sinks, out_of_use=out_of_use)
        self.stop = threading.Event()
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.daemon.run(self.stop)
        except BaseException as error:  # noqa: BLE001  (raised again by the test)
            self.error = error

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(20)  # R15: within 15 s
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error

    def counts(self) -> Mapping[str, int]:
        """Return the jobs per state."""
        return self.daemon.snapshot().counts

    def wait_for(self, seconds: float = 60.0, **wanted: int) -> None:
        """Wait until as many jobs are in each state."""
        wait_until(
            lambda: all(self.counts()[state] == n for state, n in wanted.items()),
            seconds,
            self.daemon.snapshot,
        )


def wait_until(condition: Callable[[], bool], seconds: float = 60.0, what: Callable[[], object] = lambda: "") -> None:
    """Wait for a condition, and fail with ``what()`` when it does not come true in time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s: {what()}"
        time.sleep(0.02)


def drop(path: Path, text: str) -> Path:
    """Drop a stub picture."""
    path.write_bytes(b"PICTURE " + text.encode())
    return path


def outputs(root: Path) -> list[Path]:
    """Return all visible files below ``root``."""
    return sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))


def jobs_of(root: Path, photo: Path) -> list[JobRecord]:
    """Return the jobs of a picture, as another process sees them."""
    journal = Journal.open(root / "state", read_only=True)
    try:
        return journal.of_path(photo)
    finally:
        journal.close()


def temps(root: Path) -> list[str]:
    """Return the temp files below ``root``."""
    return [name for _, _, names in os.walk(root) for name in names if name.startswith(".")]


def command(root: Path, dream_seconds: float = 0.0, **changes: Any) -> list[str]:
    """Return the command that runs this module as a daemon on ``root``."""
    return [sys.executable, "-m", "tests.daemon.stub", str(root), str(dream_seconds), json.dumps(changes)]


def environment(**more: str) -> dict[str, str]:
    """Return the environment for :func:`command`: it imports what this process imports."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(part or "." for part in sys.path), **more}


def main() -> None:
    """Run a daemon on the folder of the first argument until SIGTERM."""
    root, dream_seconds, changes = Path(sys.argv[1]), float(sys.argv[2]), json.loads(sys.argv[3])
    if "state" in changes:
        changes["state"] = Path(changes["state"])
    written = changes.pop("diary", None)
    if "folder" in changes:
        said = {key: Path(value) if key == "processed" else value for key, value in changes.pop("folder").items()}
        changes["folders"] = (FolderSettings(input=root / "in", output=root / "out", **said),)
    settings = make_settings(root, **changes)
    try:
        sinks = sinks_for(settings, diary(Path(written))) if written else None
        background = Background(Daemon(settings, recipe_book(), StubRenderer(dream_seconds), sinks=sinks))
        signal.signal(signal.SIGTERM, lambda *_: background.stop.set())
        with background:
            while background.runs(0.2) and not background.stop.is_set():
                pass
    except GivenUp:
        os._exit(0)
    except DeepDreamError as error:
        print(error, file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    main()
