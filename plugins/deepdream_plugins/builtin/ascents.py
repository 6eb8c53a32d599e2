"""The built-in ascents: ways from gradients to steps, each named after what it divides by or does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deepdream_plugins.hookspecs import hookimpl
from deepdream_plugins.records import AscentSpec, Option

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@hookimpl
def deepdream_ascents() -> Iterator[AscentSpec]:
    """Yield them, the default first."""
    yield AscentSpec(
        name="mean_abs",
        help="Divide by the mean absolute gradient, as in Google's notebook: values change by step_size on average",
        direction=_engine("mean_abs"),
    )
    yield AscentSpec(
        name="std",
        help="Divide by the gradient's standard deviation, as in TensorFlow's tutorial",
        direction=_engine("std"),
        options=(
            Option(
                name="eps",
                type=float,
                default=1e-8,
                minimum=1e-30,
                maximum=1,
                help="added to the deviation; smaller for scores that are means over very large pictures",
            ),
        ),
    )
    yield AscentSpec(
        name="smooth",
        help="Blur the gradient, more from step to step, then divide by its deviation: soft shapes, as in Hvass's "
        "tutorial 14",
        direction=_engine("smooth"),
        options=(
            Option(
                name="rise",
                type=float,
                default=4.0,
                minimum=0,
                maximum=50,
                help="how many pixels the blur grows by over an octave's steps",
            ),
            Option(
                name="floor",
                type=float,
                default=0.5,
                minimum=0.05,
                maximum=50,
                help="the blur of the first step, a standard deviation in pixels",
            ),
            Option(
                name="factors",
                type=float,
                many=True,
                default=(1.0, 2.0, 0.5),
                minimum=0.05,
                maximum=10,
                help="the blurs that are added up, as multiples of that",
            ),
            Option(name="colours", type=bool, default=True, help="blur across red, green and blue too: paler colours"),
            Option(
                name="radius_px",
                type=int,
                default=0,
                minimum=0,
                maximum=500,
                help="where the blur is cut off; 0 is at four standard deviations",
            ),
            Option(name="centre", type=bool, default=False, help="subtract the mean, so that brightness stays"),
        ),
    )
    yield AscentSpec(
        name="lapnorm",
        help="Bring coarse and fine detail to equal strength (Laplacian pyramid), as in TensorFlow's notebook",
        direction=_engine("lapnorm"),
        options=(
            Option(
                name="levels",
                type=int,
                default=4,
                minimum=1,
                maximum=12,
                help="bands of detail, each twice as coarse as the one before; what is left is one more",
            ),
        ),
    )
    yield AscentSpec(
        name="momentum",
        help="Average over the steps before: what they agree on grows, what they do not is calmed",
        direction=_engine("momentum"),
        options=(_decay("decay", 0.9, "share of the average that a step keeps"),),
    )
    yield AscentSpec(
        name="adam",
        help="Adam, upwards: every value moves by about step_size, the usual choice for the fourier canvas",
        direction=_engine("adam"),
        options=(
            _decay("beta1", 0.9, "share of the mean gradient that a step keeps"),
            _decay("beta2", 0.999, "share of the mean squared gradient that a step keeps"),
            Option(
                name="eps",
                type=float,
                default=1e-8,
                minimum=1e-30,
                maximum=1,
                help="added to the divisor; gradients that are smaller hardly move anything",
            ),
        ),
    )


def _decay(name: str, default: float, text: str) -> Option:
    return Option(name=name, type=float, default=default, minimum=0, maximum=0.99999, help=text)


def _engine(name: str) -> Callable[..., Tensor]:
    """Return the engine's ascent ``name``, imported when it is first called: the catalogue needs no torch."""

    def direction(gradient: Tensor, state: dict[str, Tensor], step: Any, **options: object) -> Tensor:
        from deepdream_engine import ascents

        ascent: Callable[..., Tensor] = getattr(ascents, name)
        return ascent(gradient, state, step, **options)

    return direction
