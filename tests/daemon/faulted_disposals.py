"""Runs for R8: pictures are dreamt and disposed of in processes that die or fail at any fail-point, again and again,
while somebody may put another file in a picture's place; after each death the folders are looked at from outside.

Run as a module, with a folder, the first seed and how many lives are to have a fault, it prints the violations as JSON.
One process for all, which forks and has no threads, so that a life takes some hundredths of a second.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import random
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from deepdream_daemon.configuration.settings import Disposal, FolderSettings, Settings
from deepdream_daemon.disposal import aside, disposing, moving
from deepdream_daemon.disposal.disposing import Disposing, DreamAway, Kept
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.intake.selection import choose_recipe, derive_seed, job_key
from deepdream_daemon.journal.disposals import Order
from deepdream_daemon.journal.intake import NewJob, Taken
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline import originals, stages
from deepdream_daemon.pipeline.room import Room
from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.publishing import publish, recovery
from deepdream_daemon.publishing.recovery import recover, sweep
from tests.daemon.stub import StubRenderer, drop, is_whole_dream, make_settings, recipe_book

POLICIES: tuple[Disposal, ...] = ("move", "trash", "delete")
MODULES = (aside, disposing, moving, stages, publish, recovery)
FAULTS = ("SIGKILL", "SIGKILL", "SIGKILL", "ENOSPC", "EIO", "ESTALE", "EBUSY", "swap", "swap")
MOST_POINTS = {"": 46, "dispose.": 20}
"""A life passes about so many points, and so many that begin so."""


@dataclass
class Run:
    """One folder through several lives of a daemon, all of which but the last have a fault."""

    root: Path
    rng: random.Random
    policy: Disposal = "move"
    settings: Settings = field(init=False)
    photos: dict[Path, bytes] = field(default_factory=dict)
    swapped: dict[Path, bytes] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    lives: int = 0

    def __post_init__(self) -> None:
        self.policy = self.rng.choice(POLICIES)
        settings = make_settings(self.root, settle_seconds=0.0, min_free_gib=0.0)
        for name in ("processed", "trash"):
            (self.root / name).mkdir()
        folder = FolderSettings(
            input=self.root / "in",
            output=self.root / "out",
            source=self.policy,
            processed=self.root / "processed",
        )
        self.settings = replace(settings, folders=(folder,))
        (self.root / "in" / "deep").mkdir()
        for number, place in enumerate((".", "deep")):
            path = drop(self.root / "in" / place / "photo.jpg", f"sky {number}")
            self.photos[path] = path.read_bytes()
            if self.rng.random() < 0.5:
                path.with_name("photo.jpg.toml").write_text("octaves = 2\n")

    def go(self) -> list[str]:
        """Live and die a few times, then once to the end; return what went wrong."""
        self.lives = self.rng.randrange(1, 4)
        for _ in range(self.lives):
            kind, where = self.rng.choice(FAULTS), self.rng.choice(list(MOST_POINTS))
            nth = self.rng.randrange(1, MOST_POINTS[where])
            self._fork(_Fault(kind, nth, self._swap, where))
            if (self.root / "swapped").exists():
                self.swapped = {path: b"PICTURE another " + data[8:] for path, data in self.photos.items()}
            self._check(f"after {kind} at {where}{nth}")
        for _ in range(2):  # what was swapped is dreamt and disposed of as well
            self._fork(_Fault("", 0, lambda: None))
        self._check("at the end")
        self._check_end()
        return [f"{self.policy}: {violation}" for violation in self.violations]

    def _swap(self) -> None:
        """Put other files in the place of the pictures, as an editor does."""
        if not (self.root / "swapped").exists():
            (self.root / "swapped").touch()
            for path, data in self.photos.items():
                drop(self.root / "new", f"another {data[8:].decode()}").rename(path)

    def _fork(self, fault: _Fault) -> None:
        child = os.fork()
        if child == 0:
            try:
                self._live(fault)
            finally:
                os._exit(0)
        os.waitpid(child, 0)

    def _live(self, fault: _Fault) -> None:
        """Be a daemon, without its threads."""
        for module in MODULES:
            module.hit = fault.hit  # type: ignore[attr-defined]
        journal = Journal.open(self.settings.state)
        try:
            recover(journal, self.settings.folders)
        except OSError:
            return
        roots = Roots([self.root / "in"])
        token = f"{journal.instance}-{os.getpid()}"
        sweep([self.root / "out", self.root / "processed"], journal.instance, token)
        self._dream(journal, roots, token)
        self._dispose(journal, roots, token)

    def _dream(self, journal: Journal, roots: Roots, token: str) -> None:
        folder = self.settings.folders[0]
        for path in self.photos:
            if path.exists() and not journal.is_known(path, sources.fingerprint(path)):
                journal.record([_taken(path, folder)])
        renderer = StubRenderer()
        maker = stages.Stages(
            self.settings,
            book=recipe_book(),
            renderer=renderer,
            journal=journal,
            roots=roots,
            room=Room(100.0),
            token=token,
        )
        for claim in journal.claim(9, [folder.input]):
            task = Task(claim, folder)
            try:
                maker.develop(task)
                assert task.prepared is not None
                task.rendered = b"DREAM " + task.prepared.text  # type: ignore[attr-defined]
                maker.deliver(task)
            except sources.Changed as error:
                journal.withdraw(claim, str(error))
            except originals.Vanished:
                journal.vanish(claim)
            except (OSError, stages.OutputUnavailable):
                journal.put_back([claim.id], "a fault")

    def _dispose(self, journal: Journal, roots: Roots, token: str) -> None:
        folder = self.settings.folders[0]
        begun = {left.job for left in journal.begun_disposals()}
        for _ in aside.put_all_back(folder.input, journal.instance, begun.__contains__):
            pass
        trash = self.root / "trash"
        disposer = Disposing(journal, token, lambda path: path.rename(trash / f"{path.parent.name}-{path.name}"))
        for _ in range(2):
            for left in journal.due_disposals(now=1e12):
                try:
                    done = disposer.dispose(left, folder)
                except (Kept, DreamAway) as error:
                    journal.end_disposal(left, "given up", str(error), str(error))
                except OSError as error:
                    journal.put_off_disposal(left, str(error), due=0.0)
                else:
                    journal.end_disposal(left, "done", done.what)

    def _check(self, when: str) -> None:
        """R8, and that nothing is lost: what was dropped is somewhere, or its dream is."""
        journal = Journal.open(self.settings.state, read_only=True)
        try:
            dreams = {path: path.read_bytes() for path in (self.root / "out").rglob("*.jpg") if path.name[0] != "."}
            kept = {
                path: path.read_bytes() for name in ("in", "processed", "trash") for path in _files(self.root / name)
            }
            self.violations += [f"{when}: {path} is torn" for path in dreams if not is_whole_dream(path)]
            for path, data in [*self.photos.items(), *self.swapped.items()]:
                is_dreamt = any(b"DREAM " + data[8:] in dream for dream in dreams.values())
                jobs = [job for job in journal.of_path(path) if job.state == "done"]
                is_there = path.exists() and path.read_bytes() == data
                if not is_there and not (is_dreamt and jobs) and not self._is_replaced(path, data):
                    self.violations.append(f"{when}: {path} was touched before its dream was safe")
                if self.policy != "delete" and data not in kept.values() and not self._is_replaced(path, data):
                    self.violations.append(f"{when}: {path} is lost")
                if data == self.swapped.get(path) and data not in kept.values() and not is_dreamt:
                    self.violations.append(f"{when}: what was put in the place of {path} is lost")
        finally:
            journal.close()

    def _is_replaced(self, path: Path, data: bytes) -> bool:
        """Whether it was the user who removed it."""
        return path in self.swapped and data != self.swapped[path]

    def _check_end(self) -> None:
        left = [path for name in ("in", "out", "processed") for path in (self.root / name).rglob(".deepdream-*")]
        self.violations += [f"at the end: {path} is left" for path in left]
        if self.policy == "move":
            moved = [path.read_bytes() for path in _files(self.root / "processed") if path.suffix == ".jpg"]
            if not self.swapped and sorted(moved) != sorted(self.photos.values()):
                self.violations.append(f"at the end: {moved} were moved")
        if not self.swapped and (still := list(_files(self.root / "in"))):
            self.violations.append(f"at the end: {still} are still there")


@dataclass
class _Fault:
    """What happens at the ``nth`` point that is passed of those ``where`` it may."""

    kind: str
    nth: int
    swap: Callable[[], None]
    where: str = ""
    passed: int = 0

    def hit(self, name: str) -> None:
        self.passed += name.startswith(self.where)
        if self.passed != self.nth or not name.startswith(self.where):
            return
        if self.kind == "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()
        if self.kind == "swap":
            self.swap()
        elif self.kind:
            number = getattr(errno, self.kind)
            raise OSError(number, os.strerror(number), name)


def _taken(path: Path, folder: FolderSettings) -> Taken:
    source = sources.read(path, 1 << 20, keep=False)
    recipe = choose_recipe(folder, path, recipe_book())
    seed = derive_seed(source.sha256, recipe)
    key = job_key(source.sha256, path, recipe, seed)
    order = Order(folder.source, source.fingerprint)
    job = NewJob(key=key, folder=folder.input, sha256=source.sha256, recipe=recipe.name, seed=seed, order=order)
    return Taken(path=path, fingerprint=source.fingerprint, job=job)


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def main() -> None:
    """Make runs in the folder of the first argument, with the seeds from the second on, until enough had a fault."""
    root, seed, left = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    recipe_book().resolve("classic")  # once for all
    logging.disable()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    violations = []
    while left > 0:
        place = root / str(seed)
        place.mkdir(parents=True)
        run = Run(place, random.Random(seed))
        found = run.go()
        left, seed = left - run.lives, seed + 1
        violations += [f"{place}: {violation}" for violation in found]
        if not found:
            shutil.rmtree(place)
    print(json.dumps(violations))


if __name__ == "__main__":
    main()
