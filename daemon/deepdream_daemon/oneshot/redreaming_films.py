"""A film is made again from what its file tells, and compared with it frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.films.contact import pictures
from deepdream_daemon.films.embedding import read_from
from deepdream_daemon.films.frame_folder import FrameFolder
from deepdream_daemon.films.scenes import Scene, film_options
from deepdream_daemon.oneshot.once import read_work
from deepdream_daemon.oneshot.redreaming import Comparison, Original, differences, original_of
from deepdream_daemon.oneshot.scenes import NamedClip, ascent_scene, is_clip, journey_scene
from deepdream_daemon.oneshot.shooting import Film, make_film
from deepdream_daemon.terminal.progress import bars
from deepdream_plugins.resolving.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from deepdream_plugins.hosting.host import PluginHost


def read_original_film(path: Path) -> Original:
    """Read the film at ``path``; raises :class:`BadPicture` when it does not say how it was made."""
    return original_of(path, b"", read_from(path))


def make_again(
    original: Original,
    source: Path,
    target: Path,
    recipe: ResolvedRecipe,
    *,
    places: Mapping[str, Path],
    settings: Settings,
    host: PluginHost,
) -> Film:
    """Make the film of ``source`` as ``original`` was made, with the companions at ``places``, and publish it as
    ``target``, or under the next free name."""
    options = film_options(recipe)
    clip = NamedClip(source, settings) if is_clip(source) else None
    work = read_work(
        source, recipe, settings.pictures.max_megapixels, seed=original.seed, places=places, keep=clip is None
    )

    def scene(kept: FrameFolder) -> Scene:
        if clip is not None:
            return clip.scene(work)
        if recipe.is_ascent_filmed:
            return ascent_scene(work, settings, options)
        return journey_scene(work, settings, options, kept)

    with bars() as shown:
        return make_film(work, target, scene, settings=settings, host=host, shown=shown)


def compare_films(original: Original, film: Path) -> Comparison:
    """Compare the frames of the two films as players show them, and say what else is not the same."""
    import numpy as np

    notes = differences(original, read_from(film) or {})
    most = 0
    for before, after in zip_longest(_shown(original.path), _shown(film)):
        if before is None or after is None:
            return Comparison(levels=None, notes=("another number of frames", *notes))
        if before.shape != after.shape:
            return Comparison(levels=None, notes=notes)
        most = max(most, int(np.abs(before.astype(np.int16) - after).max(initial=0)))
    return Comparison(levels=most, notes=notes)


def _shown(film: Path) -> Iterator[Any]:
    for picture in pictures(film):
        yield picture.to_ndarray(format="rgba")
