"""What happens to one job outside the engine: its picture is read and prepared, its dream finished and
published.

At every stage the source is looked at again. A picture that changed, or whose recipe or companions did, is not the one
that was queued (:class:`~deepdream_daemon.intake.sources.Changed`); one that is gone has :class:`Vanished`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.failpoints import hit
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.companions import Companion
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.intake.selection import (
    choose_companions,
    choose_recipe,
    derive_seed,
    job_key,
)
from deepdream_daemon.intake.twins import twin_of
from deepdream_daemon.journal.disposals import Order
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.gates import OutputUnavailable, blocks_output
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.room import Room
from deepdream_daemon.pipeline.task import Task
from deepdream_daemon.publishing import quarantine
from deepdream_daemon.publishing.names import dream_name
from deepdream_daemon.publishing.publish import Staged, check_space, file_mode, make_directory, reveal, stage
from deepdream_daemon.publishing.recovery import announcement
from deepdream_daemon.publishing.space import TooLittleSpace, check_floor
from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from deepdream_plugins.recipes import RecipeBook
    from deepdream_plugins.resolving.resolved import ResolvedRecipe


class Vanished(Exception):
    """The picture is gone."""


class Skipped(Exception):
    """Nothing is to be dreamt for the picture, as its folder is configured: it says why."""


class RootAway(Exception):
    """The whole input folder is gone; that says nothing about the picture."""


class Stages:
    """The stages before and after the engine; each runs in a pool and raises what went wrong."""

    def __init__(
        self,
        settings: Settings,
        *,
        book: RecipeBook,
        renderer: Renderer,
        journal: Journal,
        roots: Roots,
        room: Room,
        token: str,
    ) -> None:
        self._book = book
        self._health = book.catalogue.host.health
        self._renderer = renderer
        self._journal = journal
        self._roots = roots
        self._room = room
        self._token = token
        self._limit_bytes = sources.limit_bytes(settings.pictures.max_megapixels)
        self._floor_gib = settings.min_free_gib

    def develop(self, task: Task) -> None:
        """Read the picture, wait until there is room for it, decode and pre-filter it."""
        task.stage = "reading"
        data = [self._read(task, keep=True)]
        hit("develop.read")
        task.recipe, task.seed, companions = self._same_job(task, keep=True)
        self._skip_needless(task, data[0], companions)
        self._health.require(task.recipe.plugins)  # before a picture is decoded in vain
        task.companions = {name: companion.to_dict() for name, companion in companions.items()}
        beside = sum(self._renderer.measure(companion.data) for companion in companions.values())
        needed = self._renderer.measure(data[0]) + beside
        task.stage = "waiting for memory"
        self._room.take(needed)
        task.megapixels, task.stage = needed, "decoding"
        # The list gives the bytes away, so that they need not be kept beside the pixels.
        task.prepared = self._renderer.prepare(data.pop(), task.recipe, task.seed, companions)
        companions.clear()
        after = task.prepared.megapixels + beside
        self._room.resize(needed, after)
        task.megapixels = after
        hit("develop.prepared")
        self._check_unchanged(task)

    def deliver(self, task: Task) -> Path:
        """Post-filter, encode and publish the dream in ``task.rendered``; return where it is."""
        task.stage = "finishing"
        rendered, task.rendered = [task.rendered], None  # given away below, likewise
        self._check_unchanged(task)
        hit("finish.checked")
        claim, recipe = task.claim, task.recipe
        assert recipe is not None  # developed before it was dreamt
        provenance: dict[str, object] = {
            "source": {"name": claim.source.name, "sha256": claim.sha256},
            "job": claim.key,
        }
        if task.companions:
            provenance["companions"] = task.companions
        encoded = self._renderer.finish(rendered.pop(), provenance)
        hit("finish.encoded")
        self._check_unchanged(task)
        task.stage = "publishing"
        directory = task.directory
        staged = None
        try:
            self._check_floor(task.folder, directory, len(encoded.data))
            make_directory(task.folder.output, directory)
            mode = file_mode(task.folder.mode)
            staged = stage(directory, encoded.data, self._token, root=task.folder.output, mode=mode)
            return self._publish(task, staged, self._name(task, encoded.suffix))
        except OSError as error:
            if blocks_output(error):
                raise self._blame(task.folder, directory, len(encoded.data), error) from error
            raise
        finally:
            if staged is not None and self._journal.announced(claim.id) is None:
                staged.temp.unlink(missing_ok=True)
                hit("publish.temp_removed")

    def _publish(self, task: Task, staged: Staged, name: str) -> Path:
        job = task.claim.id
        # What becomes of the source counts as soon as the job is done, and is known before, whatever happens between.
        order = Order(task.folder.source, task.fingerprint)

        def announce(target: Path) -> bool:
            if target.name != name and task.folder.collision == "skip":  # somebody has just taken the name
                self._journal.renounce(job, "its name was taken meanwhile")
                raise Skipped(_taken(target.with_name(name)))
            return self._journal.announce(announcement(job, staged, target, order))

        target = reveal(staged, name, announce)
        self._journal.finish(job, task.seconds)
        hit("publish.done")
        quarantine.remove(self._journal.state, job, task.claim.source)
        return target

    def _name(self, task: Task, suffix: str) -> str:
        claim, recipe = task.claim, task.recipe
        assert recipe is not None  # developed before it was dreamt
        return dream_name(
            task.folder.name,
            claim.source.name,
            recipe=recipe.name,
            seed=task.seed,
            sha256=claim.sha256,
            suffix=suffix,
        )

    def _skip_needless(self, task: Task, data: bytes, companions: Mapping[str, Companion]) -> None:
        """Raise :class:`Skipped` for a picture that the folder's settings want no dream of."""
        claim, folder, recipe = task.claim, task.folder, task.recipe
        assert recipe is not None
        twin = twin_of(
            self._journal,
            folder,
            claim.source,
            sha256=claim.sha256,
            recipe=recipe,
            seed=task.seed,
            used=companions,
        )
        if twin is not None:
            raise Skipped(twin)
        if folder.collision == "skip":
            path = task.directory / self._name(task, self._suffix(task, data))
            if os.path.lexists(path):
                raise Skipped(_taken(path))

    def _suffix(self, task: Task, data: bytes) -> str:
        """Return the suffix that the dream of a picture will have."""
        from deepdream_engine.pictures import output_format, sniff, suffix_of

        assert task.recipe is not None
        is_as = sniff.picture_format(data)
        if is_as is None and task.recipe.output.format == "same":
            return task.claim.source.suffix  # it is no picture that is known here; whoever decodes it says more
        return suffix_of(output_format(is_as or "", task.recipe.output))

    def _check_floor(self, folder: FolderSettings, directory: Path, size_bytes: int) -> None:
        place = directory if directory.is_dir() else folder.output  # another disk may be mounted on a sub-folder
        try:
            check_floor(place, self._floor_gib, size_bytes)
        except TooLittleSpace as error:
            raise OutputUnavailable(self._full_place(folder, directory, size_bytes), size_bytes, error) from error

    def _full_place(self, folder: FolderSettings, directory: Path, size_bytes: int) -> Path:
        try:
            check_floor(folder.output, self._floor_gib, size_bytes)
        except OSError:
            return folder.output
        return directory

    def _blame(self, folder: FolderSettings, directory: Path, size_bytes: int, error: OSError) -> OutputUnavailable:
        """Find out whether nothing can be published for the folder, or only nothing in this directory."""
        try:
            check_space(folder.output, size_bytes, self._token)
        except OSError as root_error:
            if blocks_output(root_error):
                return OutputUnavailable(folder.output, size_bytes, root_error)
        return OutputUnavailable(directory, size_bytes, error)

    def probe(self, folder: FolderSettings, reason: OutputUnavailable) -> None:
        """Raise the ``OSError`` that publishing into a folder that made trouble would still meet."""
        make_directory(folder.output, reason.directory)
        check_floor(reason.directory, self._floor_gib, reason.size_bytes)
        check_space(reason.directory, reason.size_bytes + 65_536, self._token, root=folder.output)

    def _check_unchanged(self, task: Task) -> None:
        """Look at the source again; if it seems changed but is the same picture under the same recipe, go
        on.
        """
        try:
            if sources.fingerprint(task.claim.source) == task.fingerprint:
                return
        except OSError:
            pass  # the reading says what is wrong
        self._read(task, keep=False)
        self._same_job(task, keep=False)

    def _read(self, task: Task, *, keep: bool) -> bytes:
        claim = task.claim
        try:
            source = sources.read(claim.source, self._limit_bytes, keep=keep, root=claim.folder)
        except (FileNotFoundError, NotADirectoryError) as error:
            if not self._roots.is_there(claim.folder):
                raise RootAway(f"the input folder {str(claim.folder)!r} is away") from error
            raise Vanished(str(claim.source)) from error
        except PermissionError as error:
            raise sources.Changed("it cannot be read any more") from error  # the intake says what to do
        if source.sha256 != claim.sha256:
            raise sources.Changed("the picture changed")
        task.fingerprint = source.fingerprint
        return source.data or b""

    def _same_job(self, task: Task, *, keep: bool) -> tuple[ResolvedRecipe, int, dict[str, Companion]]:
        claim = task.claim
        try:
            recipe = choose_recipe(task.folder, claim.source, self._book, lambda: claim.choice)
            companions = choose_companions(claim.source, recipe, self._limit_bytes, keep=keep, root=claim.folder)
            seed = derive_seed(claim.sha256, recipe)
            key = job_key(claim.sha256, claim.source, recipe, seed, companions)
        except BadOption as error:
            # The intake says what is wrong with it.
            raise sources.Changed("its side file, or a picture that its recipe needs, changed") from error
        if key != claim.key:
            raise sources.Changed("its recipe or a companion changed")
        return recipe, seed, companions


def _taken(path: Path) -> str:
    return f'a file {os.fspath(path)!r} is there already, and the folder has collision = "skip"'
