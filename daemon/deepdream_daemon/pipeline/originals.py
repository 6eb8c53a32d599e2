"""The picture of a job, looked at again at every stage: it may have changed, or gone, since it was queued.

A picture that changed, or whose recipe or companions did, is not the one that was queued
(:class:`~deepdream_daemon.intake.sources.Changed`); one that is gone has :class:`Vanished`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_daemon.intake import sources
from deepdream_daemon.intake.companions import Companion
from deepdream_daemon.intake.kinds import moves
from deepdream_daemon.intake.roots import Roots
from deepdream_daemon.intake.selection import choose_companions, choose_recipe, derive_seed, job_key
from deepdream_daemon.journal.claims import Claim
from deepdream_daemon.pipeline.task import Task
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


class Originals:
    """Reads pictures of up to ``limit_bytes``, and says whether they are still what they were. Safe in any thread."""

    def __init__(self, book: RecipeBook, roots: Roots, limit_bytes: int) -> None:
        self._book = book
        self._roots = roots
        self._limit_bytes = limit_bytes

    def container(self, task: Task) -> str | None:
        """Return what kind of clip or animation the file is; ``None`` for a picture, and for what cannot be opened:
        the reading says more."""
        try:
            return moves(task.claim.source, task.claim.folder)
        except OSError:
            return None

    def read(self, task: Task, *, keep: bool) -> bytes:
        """Return the bytes of the picture, if they are to be kept, and note its fingerprint in ``task``."""
        claim = task.claim
        try:
            source = self._look(claim, keep=keep)
        except PermissionError as error:
            raise sources.Changed("it cannot be read any more") from error  # the intake says what to do
        if source.sha256 != claim.sha256:
            raise sources.Changed("the picture changed")
        task.fingerprint = source.fingerprint
        return source.data or b""

    def recipe(self, task: Task, *, keep: bool) -> tuple[ResolvedRecipe, int, dict[str, Companion]]:
        """Return the recipe, the seed and the companions, which are those that the job was queued with."""
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

    def check_unchanged(self, task: Task) -> None:
        """Look at the picture again; if it seems changed but is the same under the same recipe, go on."""
        try:
            if sources.fingerprint(task.claim.source) == task.fingerprint:
                return
        except OSError:
            pass  # the reading says what is wrong
        self.read(task, keep=False)
        self.recipe(task, keep=False)

    def _look(self, claim: Claim, *, keep: bool) -> sources.Source:
        """A folder that was away when its picture was looked for may be back when it is asked after: so the picture is
        gone only if it is not found again after its folder was seen."""
        for is_last in (False, True):
            try:
                return sources.read(claim.source, self._limit_bytes, keep=keep, root=claim.folder)
            except (FileNotFoundError, NotADirectoryError) as error:
                if not self._roots.is_there(claim.folder):
                    raise RootAway(f"the input folder {str(claim.folder)!r} is away") from error
                if is_last:
                    raise Vanished(str(claim.source)) from error
        raise AssertionError("the second look says it")
