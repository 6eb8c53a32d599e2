"""The built-in transforms: random changes of the view before each step, against patterns that hold from one only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from deepdream_plugins.hookspecs import hookimpl
from deepdream_plugins.records import Option, TransformSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor


@hookimpl
def deepdream_transforms() -> Iterator[TransformSpec]:
    """Yield them in the order in which lucid applies them."""
    yield TransformSpec(
        name="pad",
        help="Put mirrored or grey pixels around the view",
        apply=_engine("pad"),
        options=(
            _pixels(12, "how many, on each side"),
            Option(
                name="mode",
                type=str,
                default="reflect",
                choices=("reflect", "constant"),
                help="what they are: the picture mirrored, or grey (lucid)",
            ),
        ),
    )
    yield TransformSpec(
        name="jitter",
        help="Show a window at a random place, a little smaller than the view",
        apply=_engine("jitter"),
        options=(_pixels(8, "by how much smaller, in height and width"),),
    )
    yield TransformSpec(
        name="scale",
        help="Zoom in or out around the centre by a random factor",
        apply=_engine("scale"),
        options=(
            Option(
                name="amount",
                type=float,
                default=0.1,
                minimum=0,
                maximum=0.9,
                help="how far the factor may be from 1, either way",
            ),
        ),
    )
    yield TransformSpec(
        name="rotate",
        help="Turn around the centre by a random angle",
        apply=_engine("rotate"),
        options=(
            Option(
                name="degrees",
                type=float,
                default=10.0,
                minimum=0,
                maximum=180,
                help="the largest angle, either way",
            ),
        ),
    )


def _pixels(default: int, text: str) -> Option:
    return Option(name="pixels", type=int, default=default, minimum=0, maximum=4096, help=text)


def _engine(name: str) -> Callable[..., Tensor]:
    """Return the engine's transform ``name``, imported when it is first called: the catalogue needs no torch."""

    def apply(picture: Tensor, generator: Generator, **options: object) -> Tensor:
        from deepdream_engine import transforms

        transform: Callable[..., Tensor] = getattr(transforms, name)
        return transform(picture, generator, **options)

    return apply
