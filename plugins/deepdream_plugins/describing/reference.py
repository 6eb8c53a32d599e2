"""``REFERENCE.md``: every record that comes with DeepDream and every hook, written out of the code itself.

``python -m deepdream_plugins.describing.reference plugins/REFERENCE.md`` writes it anew; without a file it is printed.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_engine.errors import BadOption, BadPicture, ModelUnavailable, NotDelivered
from deepdream_engine.records import Schedule, Step
from deepdream_plugins import events, hookspecs, records
from deepdream_plugins.describing.option_schema import is_needed
from deepdream_plugins.describing.snippets import snippet, toml_value
from deepdream_plugins.hookspecs import KINDS, MODELS, POSTFILTERS, PREFILTERS, PREFIX, SINKS, Kind
from deepdream_plugins.hosting.host import PluginHost
from deepdream_plugins.options import describe
from deepdream_plugins.own_models import OPTIONS
from deepdream_plugins.records import Option, PictureFile, Tap
from deepdream_plugins.resolving import keys
from deepdream_plugins.resolving.atlas import ATLAS
from deepdream_plugins.resolving.moving_keys import FILM, JOURNEY, LENGTH, SEGMENT, VIDEO, WEIGHT

if TYPE_CHECKING:
    from deepdream_plugins.catalogue import Catalogue

_HEAD = """\
# Reference

Everything that a configuration may name, and everything that a plugin may say. It is written out of the code by
`python -m deepdream_plugins.describing.reference plugins/REFERENCE.md`; your own plugins' records are explained in the
same way by `deepdream objectives NAME`, `deepdream filters NAME` and so on.
"""
_WHERE: Mapping[str, str] = {
    "models": 'A recipe names one: `model = "NAME"`. `deepdream layers NAME` lists its layers.',
    "objectives": 'What is maximised: a recipe\'s `objective`, alone or in a sum such as `"l2 + 0.5 * tv"`. Each takes '
    "a `mask` too: a grey picture, white where it counts.",
    "ascents": "How a gradient becomes a step: a recipe's `ascent`.",
    "transforms": "What is changed at random before each step: a recipe's `transforms`, in their order.",
    "schedules": "How octaves and steps are arranged: a recipe's `schedule`.",
    "prefilters": "What is done to a picture before it is dreamt: a recipe's `prefilters`, in their order.",
    "postfilters": "What is done to a dream before it is saved: a recipe's `postfilters`, in their order.",
    "sinks": "Where dreams are brought to, beside the output folder: the `sinks` of a watched folder.",
}
_RECIPE = """\
## Keys of a recipe

A recipe is a table `[recipes.NAME]`. Beside these keys it has `base`, the recipe that it begins with; `model`,
`objective`, `ascent` and `schedule`, each a name or a table with a `name` and options; `terms`, a table of objectives
by names that an `objective` may sum; and the lists `transforms`, `prefilters` and `postfilters`.
"""
_MODELS = """\
## Networks of your own

A table `[models.NAME]` makes a network of yours one that recipes can name. It says where the network comes from, by
exactly one of `torchvision`, `timm`, `file` and `builder`; beside these keys it may have `arguments`, a table of
arguments for the builder.

The table and the content of the files that it names belong to every recipe with that network: change one, and dreams
are made anew. Those files must not lie in a watched folder, nor be reached through one.
"""
_AUTHORS = """\
# For authors

A plugin is a module with functions of these names, marked `@hookimpl`. Each takes those of the arguments that it wants.
"""
_RECORDS = (
    *(records.ModelSpec, records.TapNote, records.ObjectiveSpec, records.AscentSpec, records.TransformSpec),
    *(records.ScheduleSpec, records.FilterSpec, records.FilterContext, records.SinkSpec, records.Option),
    *(records.Batch,),
)
_GIVEN = """\
## What functions get

All of it can be imported from `deepdream_plugins`. `score` gets `Activations`, `prepare` a `Look`, an ascent's
`direction` a `Step`, `arrange` a `Schedule`, and `deepdream_host_ready` the `PluginHost`. `N` is the number of pictures
in the batch, `C` of channels, `h` and `w` of a layer's rows and columns, `H` and `W` of a window's.

A picture larger than the window is dreamt in windows, and is shifted at random before each step: a cell's place is
where `activations.places(tap)` says, not its index. `places` is `(N, 2, h, w)` float32, rows first, then columns, as
shares of the picture's height and width. With a `margin_px` it runs beyond 0 and 1 by the margin; and it jumps back by
the height (or width) of the picture with both margins where the window goes over the border of the canvas.
"""
_ERRORS = """\
## Errors

Raise these on purpose, from `deepdream_plugins`: the message reaches the user as it is. Anything else that a plugin
raises is shown as its failure, with file and line.
"""
_FOR_PLUGINS = ("places", "masked", "plugins", "records", "register")
"""Of what functions get, the methods and properties that are for plugins."""
_RAISED = (BadOption, BadPicture, ModelUnavailable, NotDelivered)
_OPTION_TYPES = (records.Tap, records.PictureFile, records.File, records.ClassName)
_EVENTS = (
    *(events.JobStarted, events.JobProgress, events.JobFinished, events.JobFailed),
    *(events.DaemonStarted, events.DaemonStopping, events.Delivery),
)


def reference(catalogue: Catalogue) -> str:
    """Return the reference of a catalogue, in Markdown."""
    parts = [_HEAD]
    for kind in KINDS:
        shelf = kind.hook.removeprefix(PREFIX)
        parts.append(f"## {_title(kind)}\n\n{_WHERE[shelf]}\n")
        parts += [_record(kind, owned.spec) for owned in getattr(catalogue, shelf).values()]
    parts.append(f"{_RECIPE}\n{_options(recipe_options(), are_needed=False)}")
    per_octave = ", ".join(f"`{name}`" for name in keys.PER_OCTAVE)
    parts.append(f"{per_octave} may be lists with one value for each octave, the smallest octave first.\n")
    parts.append(f"{_MODELS}\n{_options(OPTIONS, are_needed=False)}")
    parts.append(_AUTHORS)
    parts += map(_hook, hookspecs.HOOKS)
    parts.append("## Records\n\nFrozen, and made with keywords only. Fields without a default must be given.\n")
    parts += map(_fields, _RECORDS)
    parts.append("## Types of options\n\nBeside `int`, `float`, `bool` and `str`.\n")
    parts += [f"### `{each.__name__}`\n\n{_prose(each)}\n" for each in _OPTION_TYPES]
    parts.append(_GIVEN)
    parts += map(_given, _given_types())
    parts.append(_ERRORS)
    parts += [f"### `{each.__name__}`\n\n{_prose(each)}\n" for each in _RAISED]
    parts.append("## Events\n\nWhat events, and sinks, are told. `dataclasses.asdict` makes JSON of each.\n")
    parts += map(_fields, _EVENTS)
    return "\n".join(parts)


def recipe_options() -> tuple[Option, ...]:
    """Return the keys of a recipe that name no records; none of them must be given."""
    output = (dataclasses.replace(option, name=f"output.{option.name}") for option in keys.OUTPUT)
    single = (option for option in keys.SINGLE if option is not keys.HELP)
    journey = (dataclasses.replace(option, name=f"journey.{option.name}") for option in (*JOURNEY, *SEGMENT))
    segment = (dataclasses.replace(option, name=f"journey.segments.{option.name}") for option in (LENGTH, WEIGHT))
    film = (dataclasses.replace(option, name=f"film.{option.name}") for option in FILM)
    video = (dataclasses.replace(option, name=f"video.{option.name}") for option in VIDEO)
    atlas = (dataclasses.replace(option, name=f"atlas.{option.name}") for option in ATLAS)
    return (keys.HELP, *keys.SCHEDULE, *single, keys.MASK, *output, *journey, *segment, *film, *video, *atlas)


def default_words(option: Option) -> str:
    """Return the default of an option as a configuration would write it; empty if there is none to be told."""
    if option.type is Tap and option.default is None:
        return "the model's default layer"
    if option.default is None or option.default == "":
        return "the one beside the photo" if option.type is PictureFile and option.default == "" else ""
    return toml_value(option.default).strip("[]") if option.many else toml_value(option.default).strip('"')


def _title(kind: Kind) -> str:
    return f"{kind.word.capitalize()}s"


def _record(kind: Kind, spec: Any) -> str:
    lines = [f"### `{spec.name}`\n", f"{_sentence(spec.help)}\n"]
    if kind is MODELS:
        side = f"{spec.min_side_px} pixels"
        lines.append(f"Default layer `{spec.default_tap}`; smallest side {side}; weights: {spec.weights}.\n")
    else:
        lines += [f"{note}\n" for note in _notes(kind, spec)]
        if spec.options:
            lines.append(_options(spec.options))
    if kind is MODELS and spec.taps:
        lines.append(_table(("layer", "shows"), [(f"`{tap.name}`", tap.shows) for tap in spec.taps]))
    lines.append(f"```toml\n{snippet(kind, spec)}```\n")
    return "\n".join(lines)


def _notes(kind: Kind, spec: Any) -> Iterator[str]:
    if getattr(spec, "only_added", False):
        yield "Alone it has no effect: it is added to another objective."
    if kind is PREFILTERS and spec.moves:
        yield "It may change the size; transparency and masks go with it."
    if kind is POSTFILTERS and spec.moves:
        yield "It may change the size; the transparency goes with it."
    if kind is SINKS:
        yield f"It has {spec.limit_seconds:g} seconds for each dream."


def _options(options: Iterable[Option], *, are_needed: bool = True) -> str:
    rows = []
    for option in options:
        default = "**must be given**" if are_needed and is_needed(option) else default_words(option)
        rows.append((f"`{option.name}`", describe(option), default, option.help))
    return _table(("option", "value", "default", "meaning"), rows)


def _hook(name: str) -> str:
    function = getattr(hookspecs, name)
    return f"### `{name}{_signature(function)}`\n\n{_prose(function)}\n"


def _signature(function: Any) -> str:
    text = str(inspect.signature(function)).replace("'", "")
    return re.sub(r"\(self(, )?", "(", text)


def _fields(record: type[Any]) -> str:
    rows = []
    for field in dataclasses.fields(record):
        is_told = field.default is not dataclasses.MISSING and not callable(field.default)
        default = f"`{field.default!r}`" if is_told else ""
        if field.default_factory is not dataclasses.MISSING:
            default = f"`{field.default_factory()!r}`"
        rows.append((f"`{field.name}`", f"`{field.type}`", default))
    return f"### `{record.__name__}`\n\n{_prose(record)}\n\n{_table(('field', 'type', 'default'), rows)}"


def _given_types() -> tuple[type[Any], ...]:
    from deepdream_engine.activations import Activations, Look

    return Activations, Look, Step, Schedule, PluginHost


def _given(each: type[Any]) -> str:
    """Return what a class that functions get has: its fields, and what it does."""
    parts = [_fields(each) if dataclasses.is_dataclass(each) else f"### `{each.__name__}`\n\n{_prose(each)}\n"]
    for name, member in vars(each).items():
        if name in _FOR_PLUGINS:
            called = _signature(member) if inspect.isfunction(member) else ""
            parts.append(f"- `{name}{called}`: {' '.join(_prose(member).split())}\n")
    return "\n".join(parts)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _prose(documented: object) -> str:
    """Return a docstring as Markdown."""
    text = inspect.getdoc(documented) or ""
    text = re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"`\1`", text)
    return text.replace("``", "`")


def main(arguments: Sequence[str]) -> None:
    """Write the reference of the built-in plugins to the file that is named, or print it."""
    from deepdream_plugins.catalogue import load_catalogue

    text = reference(load_catalogue())
    if arguments:
        Path(arguments[0]).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
