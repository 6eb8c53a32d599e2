"""What a recipe may say: its keys, declared with bounds in the same records that plugins use for their options."""

from __future__ import annotations

from deepdream_engine.records import CANVASES, CARRIES, LOCKS, PRECISIONS
from deepdream_plugins.records import Option, PictureFile

MOST_OCTAVES = 20

SCHEDULE = (
    Option(name="octaves", type=int, default=4, minimum=1, maximum=MOST_OCTAVES, help="scales of the pyramid"),
    Option(name="octave_scale", type=float, default=1.4, minimum=1.01, maximum=4, help="ratio of the scales"),
    Option(
        name="octaves_above",
        type=int,
        default=0,
        minimum=0,
        maximum=MOST_OCTAVES - 1,
        help="how many of the octaves are larger than the picture; the dream is shrunk to it",
    ),
    Option(name="steps", type=int, default=10, minimum=1, maximum=10_000, help="ascent steps on each octave"),
    Option(name="step_size", type=float, default=1.5, minimum=0.001, maximum=64, help="8-bit levels per step"),
    Option(name="jitter", type=int, default=32, minimum=0, maximum=512, help="largest random shift in pixels"),
    Option(
        name="margin",
        type=int,
        default=0,
        minimum=0,
        maximum=512,
        help="mirrored pixels around the picture while it is dreamt, so that no pattern grows along its borders",
    ),
    Option(name="repeats", type=int, default=1, minimum=1, maximum=10_000, help="times through the whole pyramid"),
    Option(
        name="carry",
        type=str,
        default="detail",
        choices=CARRIES,
        help="what an octave takes over from the smaller one: what was added to the picture, or the picture itself",
    ),
    Option(
        name="carry_blend",
        type=float,
        default=0.0,
        minimum=0,
        maximum=1,
        help='with carry = "picture": the share of the source that is mixed in at every octave',
    ),
    Option(name="lock", type=str, default="none", choices=LOCKS, help="what of the source's colours is kept"),
)
"""In the order of the engine's ``Schedule``, whose fields they become."""

PER_OCTAVE = ("steps", "step_size", "jitter")
"""Those that may be a list with one value for each octave, the smallest octave first."""

FIELDS = {"jitter": "jitter_px", "margin": "margin_px"}
"""Keys whose field in the engine's ``Schedule`` is called otherwise."""

STOP_SCORE = Option(name="stop_score", type=float, help="an octave ends once the score exceeds this; never if absent")
CANVAS = Option(
    name="canvas",
    type=str,
    default="pixels",
    choices=CANVASES,
    help="what the ascent changes: the pixels, or a spectrum with decorrelated colours, which wants ascent = adam and "
    "a step_size of about 12, as in the recipe lucid",
)
PRECISION = Option(
    name="precision",
    type=str,
    default="fp32",
    choices=PRECISIONS,
    help="numbers of the passes: tf32 and bf16 are quicker on some devices, fp64 gives the same dream on any machine",
)
BALANCE = Option(
    name="balance",
    type=bool,
    default=True,
    help="whether the terms of an objective are brought to one strength on every picture before they are weighted",
)
OUTPUT_TAP = "logits"
"""The network's output, which every model has and none lists."""
NO_MASK = "none"
"""A mask that is none, not even the companion."""
MASK = Option(
    name="mask",
    type=PictureFile,
    default="",
    help="a grey picture: white is dreamt on, black stays as it is; if empty, photo.mask.png beside photo.jpg; "
    '"none" for no mask, even if there is such a picture (a file of that name is ./none)',
)
SEED = Option(name="seed", type=int, minimum=0, maximum=2**63 - 1, help="derived from content and recipe if absent")
HELP = Option(name="help", type=str, default="", help="one line about the recipe")
SINGLE = (STOP_SCORE, CANVAS, PRECISION, BALANCE, SEED, HELP)
"""Keys with one value each that are not part of the pyramid."""

OUTPUT = (
    Option(
        name="format",
        type=str,
        default="same",
        choices=("same", "jpeg", "png", "webp", "tiff", "bmp", "gif"),
        help="container of the dream; same is that of the picture",
    ),
    Option(name="quality", type=int, default=92, minimum=1, maximum=100, help="of JPEG and WebP"),
    Option(
        name="steps",
        type=str,
        default="dream",
        choices=("dream", "film"),
        help="what is shown of the ascent: the dream at its end, or a film of it, a frame for each step",
    ),
)
WEIGHTS = Option(name="weights", type=str, help="a file of weights, relative to the configuration file")

KEYS = (
    *("base", "help", "model", "objective", "terms", "balance", "ascent", "transforms", "canvas", "schedule"),
    *(option.name for option in SCHEDULE),
    *("stop_score", "mask", "precision", "prefilters", "postfilters", "output", "seed", "journey", "film", "video"),
    "atlas",
)
