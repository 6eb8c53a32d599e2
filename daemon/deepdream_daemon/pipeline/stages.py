"""What happens to one job outside the engine: its picture is read and prepared, its dream finished and published."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from deepdream_daemon.configuration.settings import FolderSettings, Settings
from deepdream_daemon.failpoints import hit
from deepdream_daemon.intake import sources
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.journal.disposals import Order
from deepdream_daemon.journal.journal import Journal
from deepdream_daemon.pipeline.backoff import explain_error
from deepdream_daemon.pipeline.filming import Filming, parts_of
from deepdream_daemon.pipeline.gates import OutputUnavailable, blocks_output, is_full
from deepdream_daemon.pipeline.needless import check_needed
from deepdream_daemon.pipeline.originals import Originals, Skipped
from deepdream_daemon.pipeline.outlets import Outlets
from deepdream_daemon.pipeline.rendering import Renderer
from deepdream_daemon.pipeline.room import Room
from deepdream_daemon.pipeline.task import READING, Task
from deepdream_daemon.publishing import preview, quarantine
from deepdream_daemon.publishing.names import name_taken
from deepdream_daemon.publishing.places import check_place
from deepdream_daemon.publishing.publish import Staged, discard, file_mode, make_directory, reveal, stage
from deepdream_daemon.publishing.recovery import announcement
from deepdream_daemon.publishing.streaming import stage_stream

if TYPE_CHECKING:
    from deepdream_plugins.recipes import RecipeBook

log = structlog.get_logger("deepdream")


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
        self._health = book.catalogue.host.health
        self._renderer = renderer
        self._journal = journal
        self._room = room
        self._token = token
        self._originals = Originals(book, roots, sources.limit_bytes(settings.pictures.max_megapixels))
        self._filming = Filming(settings.state, round(settings.films_gib * 2**30), renderer=renderer, room=room)
        self._outlets = Outlets(journal, settings.min_free_gib, token)

    def develop(self, task: Task) -> None:
        """Read the picture, wait until there is room for it, decode and pre-filter it."""
        task.stage = READING
        container = self._originals.container(task)
        data = [self._originals.read(task, keep=container is None)]
        hit("develop.read")
        task.recipe, task.seed, companions = self._originals.recipe(task, keep=True)
        task.is_film = container is not None or task.recipe.makes_film
        # What an earlier job of the same name has shown is not to be taken for a dream.
        preview.withdraw(self._journal, [task.folder.output], within=task.directory)
        check_needed(task, task.recipe, data[0], companions, self._journal, container=container)
        self._health.require(task.recipe.plugins)  # before a picture is decoded in vain
        task.companions = {name: companion.to_dict() for name, companion in companions.items()}
        task.go_on("waiting for the engine to start")
        self._renderer.wait_until_ready()
        if task.is_film:
            self._filming.develop(task, task.recipe, data, companions, is_clip=container is not None)
            task.stage = READING
            self._originals.check_unchanged(task)
            return
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
        task.wants_preview = task.folder.preview and preview.is_wanted(self._journal, task.claim.id)
        hit("develop.prepared")
        task.stage = READING
        self._originals.check_unchanged(task)

    def preview(self, task: Task, rendered: list[object]) -> None:
        """Publish what a picture is after its first octave, which is in ``rendered`` and given away, unless its dream
        comes already."""
        with task.previewing:
            if task.is_delivered or task.is_given_up:
                return
            told = {**_provenance(task), "preview": True}
            encoded = self._renderer.finish(rendered.pop(), told)
            folder, directory, root = task.folder, task.directory, task.folder.output
            # Its dream needs as much beside it.
            self._outlets.check(folder, directory, 2 * len(encoded.data))
            check_place(self._journal, root, used=True)
            make_directory(root, directory)
            staged = stage(directory, encoded.data, self._token, root=root, mode=file_mode(folder.mode))
            name = task.dream_name(encoded.suffix)

            def may(target: Path) -> bool:
                return not task.is_given_up and (target.name == name or folder.collision != "skip")

            shown = preview.show(self._journal, task.claim.id, staged, name, root=root, token=self._token, may=may)
        if shown is not None:
            log.info("a preview is there", job=task.claim.id, path=str(task.claim.source), output=str(shown))

    def deliver(self, task: Task) -> Path:
        """Post-filter, encode and publish the dream in ``task.rendered``; return where it is."""
        task.stage = READING
        rendered, task.rendered = [task.rendered], None  # given away below, likewise
        self._originals.check_unchanged(task)
        task.go_on("finishing")
        hit("finish.checked")
        with task.previewing:
            task.is_delivered = True
        provenance = _provenance(task)
        directory, root, mode = task.directory, task.folder.output, file_mode(task.folder.mode)
        put: Callable[[], Staged]
        if task.is_film:
            film = self._filming.finished(rendered, provenance)
            suffix, size = film.suffix, film.path.stat().st_size
            put = partial(_stage_film, film.path, root, directory, self._token, mode)
        else:
            encoded = self._renderer.finish(rendered.pop(), provenance)
            hit("finish.encoded")
            suffix, size = encoded.suffix, len(encoded.data)
            put = partial(stage, directory, encoded.data, self._token, root=root, mode=mode)
        task.is_begun = False  # nobody waits any more for a disk that it is read from, or written to
        self._originals.check_unchanged(task)
        task.stage = "publishing"
        try:
            staged = self._staged(task, put, size)
            target = self._publish(task, staged, task.dream_name(suffix))
        except OSError as error:
            if blocks_output(error):
                raise self._outlets.blame(task.folder, directory, size, error) from error
            raise
        self._tidy_up(task, staged)
        return target

    def _staged(self, task: Task, put: Callable[[], Staged], size_bytes: int) -> Staged:
        """Write the dream beside where it will be; on a full disk, its own preview gives way to it."""
        directory, root = task.directory, task.folder.output

        def tried() -> Staged:
            self._outlets.check(task.folder, directory, size_bytes)
            make_directory(root, directory)
            return put()

        try:
            return tried()
        except (OSError, OutputUnavailable) as error:
            if not is_full(error) or not preview.give_way(self._journal, task.claim.id, root):
                raise
        return tried()

    def _publish(self, task: Task, staged: Staged, name: str) -> Path:
        job = task.claim.id
        # What becomes of the source counts as soon as the job is done, and is known before, whatever happens between.
        order = Order(task.folder.source, task.fingerprint)

        def announce(target: Path) -> bool:
            if target.name != name and task.folder.collision == "skip":  # somebody has just taken the name
                self._journal.renounce(job, "its name was taken meanwhile")
                raise Skipped(name_taken(target.with_name(name)))
            return announce_in_place(target)

        def announce_in_place(target: Path) -> bool:
            check_place(self._journal, task.folder.output, used=True)  # its temp file lies there
            return task.announce(lambda: self._journal.announce(announcement(job, staged, target, order)))

        try:
            target = preview.replace(self._journal, job, staged, announce_in_place) or reveal(staged, name, announce)
            self._journal.finish(job, task.seconds)
        except BaseException:
            if self._journal.announced(job) is None:  # otherwise it may be visible, or become so
                discard(staged)
                hit("publish.temp_removed")
            raise
        return target

    def _tidy_up(self, task: Task, staged: Staged) -> None:
        """Remove what is left of a dream that is published: that it is, whatever goes wrong here."""
        try:
            hit("publish.done")
            discard(staged)
            hit("publish.temp_removed")
            quarantine.remove(self._journal.state, task.claim.id, task.claim.source)  # of an earlier failure
            if task.is_film:
                self._filming.forget(task)
        except OSError as error:
            log.warning("what a dream has left could not be removed", job=task.claim.id, error=explain_error(error))

    def probe(self, folder: FolderSettings, reason: OutputUnavailable) -> None:
        """Raise the ``OSError`` that publishing into a folder that made trouble would still meet."""
        self._outlets.probe(folder, reason)


def _stage_film(path: Path, root: Path, directory: Path, token: str, mode: int | None) -> Staged:
    return stage_stream(root, directory, parts_of(path), token, mode=mode)


def _provenance(task: Task) -> dict[str, object]:
    """Return what a dream tells of where it comes from."""
    told: dict[str, object] = {
        "source": {"name": task.claim.source.name, "sha256": task.claim.sha256},
        "job": task.claim.key,
    }
    if task.companions:
        told["companions"] = task.companions
    return told
