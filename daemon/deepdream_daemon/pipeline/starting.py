"""What a picture and what lies beside it are to the pre-filters, and whose fault it is if they do not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from deepdream_daemon.intake.companions import BadCompanion, Companion
from deepdream_engine.errors import BadOption
from deepdream_engine.pictures import Picture
from deepdream_plugins.resolving.filtering import Start
from deepdream_plugins.resolving.resolved import ResolvedRecipe


def start_of(
    picture: Picture,
    recipe: ResolvedRecipe,
    seed: int,
    beside: Mapping[str, Picture],
    companions: Mapping[str, Companion],
) -> Start:
    """Return ``picture`` and what belongs to it as the pre-filters get it."""
    import torch

    pixels = torch.from_numpy(picture.pixels).permute(2, 0, 1).contiguous()  # (3, H, W)
    alpha = None if picture.alpha is None else torch.from_numpy(picture.alpha)
    with blamed_on(companions):
        return Start(pixels=pixels, seed=seed, alpha=alpha, masks=recipe.masks(pixels, beside))


@contextmanager
def blamed_on(companions: Mapping[str, Companion]) -> Iterator[None]:
    """Say of what is wrong with the recipe's pictures which files lie beside the photo, if there are any."""
    try:
        yield
    except BadOption as error:
        if not companions:
            raise
        files = " and ".join(repr(str(companion.path)) for companion in companions.values())
        raise BadCompanion(f"{error} (beside the picture: {files})", f"Correct {files}, or the recipe") from error
