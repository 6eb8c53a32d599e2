"""What plugins hand to the host: one frozen, keyword-only record for each thing they provide.

Importing this module imports no torch; a record's functions may import it when they run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from deepdream_engine.engine import Engine
    from deepdream_engine.records import DreamJob, Progress, Schedule


class Tap(str):
    """The type of an option that names a tap of the model; its default ``None`` means the model's default
    tap.
    """

    __slots__ = ()


class PictureFile(str):
    """The type of an option that names a picture: a path relative to the configuration file, or empty for the
    companion that lies beside the photo (option ``guide`` of ``photo.jpg``: ``photo.guide.jpg``).

    The function that declares it in an objective's options does not get it as an argument: ``prepare`` finds what the
    network sees in it under ``look.guides[option's name]``.
    """

    __slots__ = ()


class File(str):
    """The type of an option that names a file: a path relative to the configuration file, or empty for none.

    The function gets the absolute path of a file that was there when the recipe was read; what it makes of it belongs
    to the recipe, so that a dream is made anew when the file's content has changed.
    """

    __slots__ = ()


class ClassName(str):
    """The type of an option that names one of the model's classes: its name, or its number as a string or an integer.

    ``score`` gets the number, like any per-picture integer.
    """

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of a record: its name, its type and what it may be.

    ``type`` is ``int``, ``float``, ``bool``, ``str``, :class:`Tap`, :class:`PictureFile`, :class:`File` or
    :class:`ClassName`. A default of ``None`` means that the option must be given (except for a :class:`Tap`).
    ``minimum`` and ``maximum`` are inclusive, and hold for every item of a list. ``many`` options are lists, given as a
    list or as one value, and reach the function as tuples.
    ``per_picture`` options of an objective (``int`` or ``float``) reach its score as a tensor of shape
    ``(N,)``, so that pictures with different values share a pass; all others are plain values that pictures
    of one batch have in common.
    """

    name: str
    type: type[int] | type[float] | type[bool] | type[str]
    help: str
    default: int | float | bool | str | tuple[int | float, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    per_picture: bool = False
    many: bool = False


@dataclass(frozen=True, kw_only=True)
class TapNote:
    """A tap of a model and what amplifying it tends to show."""

    name: str
    shows: str


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A network that can dream.

    ``load(weights)`` returns the module with its weights in place: those of the file ``weights``
    (safetensors, or a state dict read with ``weights_only=True``), or the model's own when it is ``None``; it
    raises ``ModelUnavailable`` when they cannot be had. ``build()``, if given, returns the module with any
    values in it, on the ``meta`` device for one, so that its layers can be listed before weights are fetched.
    Pictures in [0, 1] are normalised with ``mean`` and ``std``. ``taps`` may list them all (then recipes are
    checked without loading the model) or be left empty (then they are found by tracing). ``aliases`` maps
    friendly tap names to real ones. ``classes()``, if given, returns the names of the classes in the order of the
    network's output, each with its synonyms behind commas, or none if the output is not of classes; it imports no
    torch. ``identity()``, if given, returns what tells this network from others that have had its name, such as a hash
    of its files as they are now: when it changes, the network is loaded again and earlier dreams are no longer those of
    the recipe. It runs often, imports no torch, and raises ``BadOption`` when a file is gone. ``side_px`` is the side
    of the pictures that the network was taught with, which training goes on with and evaluation looks at.
    """

    name: str
    help: str
    load: Callable[[Path | None], nn.Module]
    default_tap: str
    weights: str
    build: Callable[[], nn.Module] | None = None
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    min_side_px: int = 32
    taps: tuple[TapNote, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    classes: Callable[[], Sequence[str]] | None = None
    identity: Callable[[], str] | None = None
    side_px: int = 224


@dataclass(frozen=True, kw_only=True)
class ObjectiveSpec:
    """Something to maximise.

    ``score(activations, **options)`` returns a tensor of shape ``(N,)``, higher is better, each entry
    computed from that picture alone. ``activations`` maps the value of every :class:`Tap` option to a float32
    tensor ``(N, C, H, W)``, and knows where its cells lie. ``check(shapes, **options)``, if given, runs once per
    picture before its first step, with the shapes of those activations and plain numbers for all options, and raises
    ``BadOption`` when they do not fit (a channel that the tap has not), with a message that begins with the option's
    name. ``prepare(look, **options)``, if given, runs after it and returns tensors that ``score`` gets as further
    keyword arguments, stacked over the pictures to ``(N, ...)``: channels chosen on this very picture, what the
    network sees in a guide. ``score`` itself runs in the step loop, where reading a value stalls the device.
    ``needs_source`` says that it reads ``activations.source``. ``is_sum`` says that the score grows with the picture's
    area, as a sum over places does; means do not, so that their gradient at each pixel is the smaller, the larger the
    picture is, which is made up for where terms of both kinds are balanced. ``only_added`` says that its gradient is
    zero at the source, so that it can only be a term beside others. ``if_zero`` says why the gradient of others may be
    zero on a picture and what to do, with options in braces: ``"Channel {channel} is off: choose another."``.
    """

    name: str
    help: str
    score: Callable[..., Tensor]
    options: tuple[Option, ...] = ()
    check: Callable[..., None] | None = None
    prepare: Callable[..., Mapping[str, Tensor]] | None = None
    needs_source: bool = False
    is_sum: bool = False
    only_added: bool = False
    if_zero: str = ""


@dataclass(frozen=True, kw_only=True)
class AscentSpec:
    """A way from gradients to steps.

    ``direction(gradient, state, step, **options)`` returns what is added to the picture for each unit of step size.
    ``gradient`` is one picture's, ``(1, 3, H, W)``, or that of its spectrum, and may be overwritten; ``state`` is a
    dict of its own, empty at the start of every octave; ``step`` says which step of how many it is. It runs in the
    step loop, where reading a value stalls the device.
    """

    name: str
    help: str
    direction: Callable[..., Tensor]
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TransformSpec:
    """A differentiable change of the picture before each step, undone for the gradient by autograd.

    ``apply(picture, generator, **options)`` takes one picture ``(1, 3, H, W)`` in [0, 1] and returns the view that the
    network gets, whose size may depend on the picture's size and the options alone. It draws its random numbers from
    ``generator``, a CPU one. With a mask, or an objective that looks at the source, further channels follow the three
    colours, ``(1, 3 + k, H, W)``: what moves pixels moves those too, what changes colours changes ``[:, :3]`` only.
    """

    name: str
    help: str
    apply: Callable[..., Tensor]
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FilterContext:
    """What a filter may know: ``source``, the picture before the dream, float32 RGB ``(N, 3, H, W)`` in [0,
    1], of the same size as the dream; and the job's ``seed``, for filters that draw random numbers.
    """

    source: Tensor
    seed: int


@dataclass(frozen=True, kw_only=True)
class FilterSpec:
    """A change to a picture before it is dreamt (pre-filter) or after (post-filter).

    ``apply(pictures, context, **options)`` takes and returns float32 RGB ``(N, 3, H, W)`` in [0, 1]; the host
    clamps what it returns. The ``context.source`` of a pre-filter is its own input.

    ``moves`` says that all it does is to move pixels (crop, resize, rotate): then what belongs to the picture goes
    through it as well, each as a grey picture of its size. Before the dream these are its transparency and its masks,
    after it the source picture and the transparency. So the new size may depend on the size, the options and the seed
    alone. Without ``moves`` a post-filter keeps height and width; a pre-filter may change them, but of a picture with
    transparency or masks, which are resized to it then, only to those of about the same shape.

    ``check(**options)``, if given, runs when the recipe is read, before anything is dreamt, and raises ``BadOption``
    with a message that begins with the option's name.
    """

    name: str
    help: str
    apply: Callable[..., Tensor]
    options: tuple[Option, ...] = ()
    moves: bool = False
    check: Callable[..., None] | None = None


@dataclass(frozen=True, kw_only=True)
class ScheduleSpec:
    """A way to arrange the octaves and steps of one picture.

    ``arrange(schedule, height, width, **options)`` gets the schedule that the recipe's own keys make and the size of
    the pre-filtered picture in pixels, and returns the schedule to use, mostly by ``dataclasses.replace``. It runs once
    per picture.
    """

    name: str
    help: str
    arrange: Callable[..., Schedule]
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SinkSpec:
    """A place that finished dreams are brought to, beside the output folder.

    ``deliver(delivery, **options)`` gets a :class:`~deepdream_plugins.events.Delivery` for every published dream of the
    folders that name the sink. It returns nothing; whatever it raises means that this dream was not delivered, and is
    tried again later, longer and longer pauses apart, also after the daemon was stopped or killed. So it may be called
    again for a dream that arrived already. It runs beside the dreaming and is given up after ``limit_seconds``.
    ``check(**options)``, if given, runs when the configuration is read, and raises ``BadOption`` with a message that
    begins with the option's name.
    """

    name: str
    help: str
    deliver: Callable[..., None]
    options: tuple[Option, ...] = ()
    check: Callable[..., None] | None = None
    limit_seconds: float = 60.0


def _not_taken(index: int) -> DreamJob:
    raise LookupError(f"job {index} was not taken, or is done")


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One run of a device, for ``deepdream_run_batch``.

    ``jobs`` yields the engine's job of each picture as soon as the device has room for one more, and ``None`` while
    none waits; it ends the run. ``on_progress(index, fraction)`` and ``should_stop()`` belong to the engine.
    ``job(index)`` returns one that was taken and whose outcome is not yielded yet, for who tries it again: a wrapper
    gives it to ``engine.stream`` in a batch of its own.
    """

    engine: Engine
    jobs: Iterable[DreamJob | None]
    on_progress: Progress
    should_stop: Callable[[], bool]
    job: Callable[[int], DreamJob] = _not_taken
