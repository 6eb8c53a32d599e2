"""What a recipe may say of films: the keys of its tables ``journey``, its segments, and ``film``."""

from __future__ import annotations

from deepdream_engine.motion.easing import EASINGS
from deepdream_engine.motion.timeline import WAYS
from deepdream_engine.records import LOCKS
from deepdream_plugins.records import Option
from deepdream_plugins.resolving.keys import MOST_OCTAVES

JOURNEY = (
    Option(name="frames", type=int, default=150, minimum=1, maximum=100_000, help="frames of a segment of length 1"),
    Option(
        name="way",
        type=str,
        default="forwards",
        choices=WAYS,
        help="how the film is played: forwards, there and back again, or as a loop without a joint",
    ),
    Option(
        name="start",
        type=str,
        default="photo",
        choices=("photo", "noise"),
        help="what the first frame is dreamt from: the photo, or noise of its size",
    ),
    Option(
        name="lock",
        type=str,
        default="mean+contrast",
        choices=LOCKS,
        help="what of the first picture's colours is kept in every frame",
    ),
    Option(
        name="kernel",
        type=str,
        default="sinc",
        choices=("sinc", "bicubic", "bilinear"),
        help="how frames are resampled when the camera moves; sinc keeps all detail, bilinear blurs more and more",
    ),
)
"""Of the whole journey."""


def _track(name: str, default: float, minimum: float, maximum: float, text: str) -> Option:
    return Option(name=name, type=float, default=(default,), minimum=minimum, maximum=maximum, help=text, many=True)


SEGMENT = (
    _track("zoom", 1.0, 0.25, 4, "how many times as large as in the frame before"),
    _track("rotate", 0.0, -180, 180, "degrees clockwise from frame to frame"),
    _track("pan_right", 0.0, -1, 1, "share of the width that the view moves to the right from frame to frame"),
    _track("pan_down", 0.0, -1, 1, "share of the height that the view moves down from frame to frame"),
    _track("centre_x", 0.5, -1, 2, "about which point it zooms and turns: share of the width, from the left"),
    _track("centre_y", 0.5, -1, 2, "about which point it zooms and turns: share of the height, from the top"),
    Option(
        name="fade",
        type=float,
        default=0.2,
        minimum=0,
        maximum=1,
        help="share of a segment's frames in which it passes into the next; 0 changes at once",
    ),
    Option(
        name="easing",
        type=str,
        default="smooth",
        choices=tuple(EASINGS),
        help="how a fade, and what changes between keyframes, begins and ends",
    ),
    Option(
        name="step_size",
        type=float,
        minimum=0.001,
        maximum=64,
        many=True,
        help="8-bit levels per step; the recipe's own if absent",
    ),
    Option(name="steps", type=int, minimum=1, maximum=10_000, help="steps on each octave; the recipe's own if absent"),
    Option(
        name="octaves",
        type=int,
        minimum=1,
        maximum=MOST_OCTAVES,
        help="scales of the pyramid; the recipe's own if absent",
    ),
)
"""Of each segment; said of the journey, of all its segments that say nothing else. Those that may be lists are
keyframes, evenly apart from a segment's first frame to its last."""

SEGMENTS = "segments"
LENGTH = Option(
    name="length", type=float, default=1.0, minimum=0.001, maximum=1000, help="of a segment, as a multiple of frames"
)
WEIGHT = Option(
    name="weights", type=float, minimum=-1000, maximum=1000, many=True, help="factors of one term of the objective"
)

FILM = (
    Option(
        name="container",
        type=str,
        default="same",
        choices=("same", "mp4", "mov", "mkv", "webm", "gif", "webp", "apng"),
        help="of the file; same is what its name says, else mp4",
    ),
    Option(
        name="codec",
        type=str,
        default="auto",
        choices=("auto", "h264", "hevc", "vp9", "av1", "ffv1", "prores"),
        help="of the video; auto is the one that players of such files know best",
    ),
    Option(name="quality", type=int, default=80, minimum=1, maximum=100, help="of the video"),
    Option(name="pixel_format", type=str, default="auto", help="as FFmpeg calls it, such as yuv444p"),
    Option(name="fast_start", type=bool, default=True, help="whether it plays before it is loaded whole (mp4, mov)"),
    Option(name="rate", type=float, default=25.0, minimum=0.1, maximum=240, help="frames per second"),
)

VIDEO = (
    Option(
        name="carry",
        type=float,
        default=0.9,
        minimum=0,
        maximum=0.99,
        help="share of a frame's patterns that lives on in the next; 0 dreams each frame by itself, which flickers",
    ),
    Option(
        name="steps",
        type=float,
        default=0.125,
        minimum=0,
        maximum=1,
        help="share of the recipe's steps in a frame that patterns live on in; the first of a scene takes all",
    ),
    Option(
        name="lock",
        type=str,
        default="mean",
        choices=LOCKS,
        help="what of each frame's colours is kept",
    ),
    Option(
        name="chunk",
        type=int,
        default=0,
        minimum=0,
        maximum=100_000,
        help="dream so many frames at a time side by side with the next, which fills a GPU; 0 dreams them in one go",
    ),
)
"""Of clips: how their frames follow from each other."""
