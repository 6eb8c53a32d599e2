"""What a table ``[models.NAME]`` may say, and :class:`OwnModel`, what one of them says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from deepdream_engine.errors import BadOption, unknown
from deepdream_plugins.hosting.safety import open_to
from deepdream_plugins.options import Value, Where, coerce
from deepdream_plugins.records import Option
from deepdream_plugins.resolving.looking_up import existing_file

IMAGENET = "imagenet"
RANDOM = "random"
DEFAULT = "default"
ARGUMENTS = "arguments"

SOURCES = (
    Option(name="torchvision", type=str, help='a builder of torchvision.models, such as "resnet50"'),
    Option(name="timm", type=str, help='a model of timm, such as "resnet50.a1_in1k" (pip install timm)'),
    Option(name="file", type=str, help="a program saved by torch.export (.pt2) or TorchScript (.pt)"),
    Option(
        name="builder",
        type=str,
        help='a function that returns a network, as "module:function"; a module may lie beside the configuration file',
    ),
)
"""Where the network comes from: a table has exactly one of these."""

OPTIONS = (
    *SOURCES,
    Option(
        name="weights",
        type=str,
        default=DEFAULT,
        help='a file (safetensors, or a state dict of torch.save), a set of torchvision, "default" or "random"',
    ),
    Option(
        name="mean",
        type=float,
        many=True,
        help="what is subtracted from red, green and blue: three numbers, or one for all",
    ),
    Option(name="std", type=float, many=True, help="what they are divided by then: three numbers, or one for all"),
    Option(
        name="input_range",
        type=float,
        many=True,
        default=(0.0, 1.0),
        help="the values of black and white before that, such as [0, 255]",
    ),
    Option(
        name="classes",
        type=str,
        many=True,
        help='the names of its classes in their order: a list, a text file with a line for each, or "imagenet"',
    ),
    Option(name="default_tap", type=str, default="middle", help="the layer to look at if a recipe names none"),
    Option(
        name="min_side_px", type=int, default=32, minimum=1, maximum=4096, help="the smallest picture that it can see"
    ),
    Option(name="help", type=str, default="", help="a line about it for deepdream models"),
)
"""All keys but ``arguments``, a table of arguments for the builder."""

_NAME = re.compile(r"\w[\w.-]*")
_BUILDER = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_SET = re.compile(r"[A-Z][A-Z0-9_]*")
_MANY = {"mean": 3, "std": 3, "input_range": 2}

Three = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class OwnModel:
    """One table, checked as far as it can be without torch.

    ``kind`` is the name of its source and ``source`` what it says there; for a file, ``file`` is where it is.
    ``weights`` is a file, or a word: the name of a set, ``default`` or ``random``. ``mean`` and ``std`` are for
    pictures in [0, 1], or ``None`` if nothing was said. ``where(key)`` names a place of the table. A builder may lie in
    ``base_dir``, and in no ``watched`` folder.
    """

    name: str
    kind: str
    source: str
    file: Path | None
    base_dir: Path = field(compare=False)
    watched: tuple[Path, ...] = field(compare=False)
    arguments: Mapping[str, Any] = field(hash=False)
    weights: Path | str
    mean: Three | None
    std: Three | None
    classes: tuple[str, ...]
    default_tap: str
    min_side_px: int
    help: str
    where: Callable[..., str] = field(compare=False)


def read_table(name: str, table: object, base_dir: Path, where: Where, watched: Sequence[Path] = ()) -> OwnModel:
    """Return what ``[models.NAME]`` says; what is wrong is a ``BadOption`` with its place.

    So is a file that can be replaced by whoever drops files into one of the ``watched`` folders.
    """
    place = partial(where, "models", name)
    if not _NAME.fullmatch(name):
        raise BadOption(f"{place()}: {name!r} cannot name a model; use letters, digits, '-', '_' and '.'.")
    if not isinstance(table, Mapping):
        raise BadOption(f"{place()}: {table!r} is not a table; write [models.{name}].")
    given = _given(table, place)
    kind = _kind(name, given, place)
    source = str(given[kind])
    if not source:
        raise BadOption(f"{place(kind)}: it is empty. Say {_help(kind)}.")
    if kind == "builder" and not _BUILDER.fullmatch(source):
        raise BadOption(f'{place(kind)}: {source!r} does not name a function; write "package.module:function".')
    if kind == "timm":
        _check_folder(source, watched, place)
    find = partial(_found, base_dir, tuple(watched), place)
    file = find(kind, source) if kind == "file" else None
    _check_fit(kind, given, table, place)
    mean, std = _normalisation(given, place)
    return OwnModel(
        name=name,
        kind=kind,
        source=source,
        file=file,
        base_dir=base_dir,
        watched=tuple(watched),
        arguments=_arguments(table, watched, place),
        weights=_weights(kind, str(given.get("weights", DEFAULT)), find),
        mean=mean,
        std=std,
        classes=_classes(given, find, place),
        default_tap=str(given.get("default_tap", "middle")),
        min_side_px=cast(int, given.get("min_side_px", 32)),
        help=str(given.get("help", "")),
        where=place,
    )


def _given(table: Mapping[str, object], place: Where) -> dict[str, Value]:
    declared = {option.name: option for option in OPTIONS}
    for key in table:
        if key not in declared and key != ARGUMENTS:
            raise BadOption(f"{place(key)}: {unknown('key of a model', str(key), [*declared, ARGUMENTS])}")
    given = {key: coerce(declared[key], table[key], partial(place, key)) for key in table if key in declared}
    for key in ("mean", "std"):
        if len(cast(tuple[float, ...], given.get(key, ()))) == 1:
            given[key] = cast(tuple[float, ...], given[key]) * 3
    return given


def _kind(name: str, given: Mapping[str, object], place: Where) -> str:
    kinds = [option.name for option in SOURCES if option.name in given]
    if len(kinds) == 1:
        return kinds[0]
    choices = "; ".join(f"{option.name}: {option.help}" for option in SOURCES)
    if kinds:
        raise BadOption(f"{place(kinds[1])}: a network comes from one place, not from {' and '.join(kinds)}. Keep one.")
    raise BadOption(f"{place()}: nothing says where the network {name!r} comes from. Give one of: {choices}.")


def _check_fit(kind: str, given: Mapping[str, Value], table: Mapping[str, object], place: Where) -> None:
    if kind == "file":
        for key in ("weights", ARGUMENTS):
            if key in table:
                raise BadOption(f"{place(key)}: a file has its weights and arguments in it. Remove this line.")
    for key, count in _MANY.items():
        values = given.get(key, ())
        if key in given and len(cast(tuple[float, ...], values)) != count:
            told = "three numbers, for red, green and blue, or one for all" if count == 3 else "two numbers"
            raise BadOption(f"{place(key)}: {list(cast(tuple[float, ...], values))} is not {told}.")
    if "std" in given and min(cast(tuple[float, ...], given["std"])) <= 0:
        raise BadOption(f"{place('std')}: {list(cast(tuple[float, ...], given['std']))}: all must be greater than 0.")


def _arguments(table: Mapping[str, object], watched: Sequence[Path], place: Where) -> Mapping[str, Any]:
    arguments = table.get(ARGUMENTS, {})
    if not isinstance(arguments, Mapping):
        raise BadOption(f"{place(ARGUMENTS)}: {arguments!r} is not a table; write {ARGUMENTS} = {{ name = value }}.")
    for text in _texts(arguments):
        if folder := _watched_around(text, watched):
            raise BadOption(f"{place(ARGUMENTS)}: {_unsafe(text, folder)}")
    return dict(arguments)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def _check_folder(source: str, watched: Sequence[Path], place: Where) -> None:
    """Refuse timm's ``local-dir:FOLDER``, of which it reads the network and its weights, for a watched folder."""
    parts = urlsplit(source)
    if parts.scheme == "local-dir" and (folder := _watched_around(parts.path, watched)):
        raise BadOption(f"{place('timm')}: {_unsafe(source, folder)}")


def _watched_around(text: str, watched: Sequence[Path]) -> Path | None:
    """Return the watched folder that ``text`` leads through, if it is the path of something that is there."""
    try:
        path = Path(text).expanduser().absolute()
        if not watched or not path.exists():
            return None
    except (OSError, ValueError, RuntimeError):  # no path at all
        return None
    return open_to(path / "*" if path.is_dir() else path, watched)


def _unsafe(path: str, folder: Path) -> str:
    return (
        f"{path!r} is reached through the watched folder {str(folder)!r}, where whoever drops files could put another "
        f"network in its place. Move it to a folder elsewhere, and name it there."
    )


def _found(base_dir: Path, watched: Sequence[Path], place: Where, key: str, path: str) -> Path:
    """Return the file that ``key`` names, unless others may put another in its place."""
    file = existing_file(base_dir, path, place(key))
    if folder := open_to(file, watched):
        raise BadOption(f"{place(key)}: {_unsafe(path, folder)}")
    return file


def _weights(kind: str, said: str, find: Callable[[str, str], Path]) -> Path | str:
    if said in (DEFAULT, RANDOM):
        return said
    if kind == "torchvision" and _SET.fullmatch(said):
        return said
    return find("weights", said)


def _normalisation(given: Mapping[str, Value], place: Where) -> tuple[Three | None, Three | None]:
    """Return mean and standard deviation for pictures in [0, 1]."""
    black, white = cast(tuple[float, float], given.get("input_range", (0.0, 1.0)))
    if white <= black:
        raise BadOption(f"{place('input_range')}: {[black, white]}: white must be more than black.")
    if not {"mean", "std", "input_range"} & given.keys():
        return None, None
    mean = cast(Three, given.get("mean", (0.0, 0.0, 0.0)))
    std = cast(Three, given.get("std", (1.0, 1.0, 1.0)))
    return (
        cast(Three, tuple((value - black) / (white - black) for value in mean)),
        cast(Three, tuple(value / (white - black) for value in std)),
    )


def _classes(given: Mapping[str, Value], find: Callable[[str, str], Path], place: Where) -> tuple[str, ...]:
    classes = cast(tuple[str, ...], given.get("classes", ()))
    if len(classes) != 1:
        return classes
    if classes[0] == IMAGENET:
        from deepdream_plugins.builtin.torchvision_models import classes as imagenet

        return tuple(imagenet())
    path = find("classes", classes[0])
    try:
        names = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"{place('classes')}: {str(path)!r} cannot be read as text: {error}.") from error
    while names and not names[-1].strip():
        names.pop()
    empty = [number for number, line in enumerate(names, 1) if not line.strip()]
    if empty or not names:
        raise BadOption(
            f"{place('classes')}: line {empty[0] if empty else 1} of {str(path)!r} is empty; each line names a class."
        )
    return tuple(names)


def _help(kind: str) -> str:
    return next(option.help for option in SOURCES if option.name == kind)
