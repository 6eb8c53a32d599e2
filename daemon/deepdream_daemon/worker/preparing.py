"""What the worker is asked when it is to prepare a picture, whose pixels, decoded elsewhere, go in shared memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from deepdream_daemon.intake.companions import Companion
from deepdream_daemon.pipeline.companion_pictures import companion_pictures
from deepdream_daemon.worker import recipes

if TYPE_CHECKING:
    from deepdream_daemon.decoding.picture import SharedPicture
    from deepdream_plugins.resolving.resolved import ResolvedRecipe


def asked_to_prepare(
    data: bytes | None,
    recipe: ResolvedRecipe,
    seed: int,
    companions: Mapping[str, Companion],
    decode: Callable[[bytes], SharedPicture] | None,
) -> tuple[dict[str, Any], list[Any]]:
    """Return the question, and the shared memory that goes with it; without ``decode`` the bytes are sent."""
    from deepdream_daemon.decoding.picture import facts_of

    question: dict[str, Any] = {"do": "prepare", "recipe": recipes.packed(recipe), "seed": seed}
    shared: list[Any] = []
    if decode is not None:
        pictures = {} if data is None else {"": decode(data)}
        pictures |= companion_pictures(companions, decode)
        shared = [picture.shared for picture in pictures.values()]
        question["pictures"] = {name: (each.shared.shape, facts_of(each)) for name, each in pictures.items()}
    else:
        question["data"] = data
    question["companions"] = [
        (name, each.path, each.sha256, b"" if shared else each.data) for name, each in companions.items()
    ]
    return question, shared
