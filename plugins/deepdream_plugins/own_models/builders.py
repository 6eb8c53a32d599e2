"""Networks from anybody's function: where its module is sought, and what it is called with."""

from __future__ import annotations

import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from deepdream_engine.errors import BadOption, nearest, unknown
from deepdream_plugins.hosting.safety import open_to
from deepdream_plugins.own_models.tables import ARGUMENTS, OwnModel

if TYPE_CHECKING:
    from torch import nn

_importing = threading.Lock()
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def built_by(own: OwnModel) -> nn.Module:
    """Return what the function ``package.module:function`` returns, called with the table's arguments.

    Its module is an installed one, or lies beside the configuration file; one in a watched folder is ``BadOption``
    before anything of it runs. What it raises by itself is passed on.
    """
    from torch import nn

    place = own.where(own.kind)
    module_name, _, path = own.source.partition(":")
    with _beside_configuration(own):
        module = _module(own, module_name)
        try:
            function = reduce(getattr, path.split("."), module)
        except AttributeError:
            hint = nearest(path, dir(module))
            raise BadOption(f"{place}: {own.source!r}: the module {module_name!r} has no {path!r}.{hint}") from None
        if not callable(function):
            raise BadOption(f"{place}: {own.source!r} is no function, but {type(function).__name__}.")
        _check_arguments(own, function)
        built = function(**own.arguments)
    if not isinstance(built, nn.Module):
        raise BadOption(f"{place}: {own.source!r} returned {type(built).__name__}; it must return a torch.nn.Module.")
    return built


def _module(own: OwnModel, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise BadOption(
            f"{own.where(own.kind)}: {own.source!r}: there is no module {error.name!r}. Put it beside the "
            f"configuration file, in {str(own.base_dir.absolute())!r}, or install its package beside DeepDream."
        ) from error


@contextmanager
def _beside_configuration(own: OwnModel) -> Iterator[None]:
    """Let imports find modules beside the configuration file, after all others; and none in a watched folder."""
    name = own.source.partition(":")[0].partition(".")[0]
    base_dir = str(own.base_dir.absolute())
    with _importing:
        if name in sys.modules:
            yield
            return
        importlib.invalidate_caches()  # the file may be newer than the last look
        spec = find_spec(name)
        beside = spec is None
        if beside:
            spec = PathFinder.find_spec(name, [base_dir])
        if spec is not None:
            _check_apart(own, spec)
        if beside:
            sys.path.append(base_dir)
        try:
            yield
        finally:
            if beside:
                sys.path.remove(base_dir)


def _check_apart(own: OwnModel, spec: ModuleSpec) -> None:
    """Refuse a module of which others may replace something: the file, the package, or what links in it lead to."""
    places = [Path(spec.origin)] if spec.has_location and spec.origin else []
    for folder in map(Path, spec.submodule_search_locations or ()):
        places += [folder / "*", *(each for each in folder.rglob("*") if each.is_symlink())]
    for file in places if own.watched else ():
        place = file.absolute()
        if watched := open_to(place / "*" if file.is_dir() else place, own.watched):
            raise BadOption(
                f"{own.where(own.kind)}: {own.source!r} is reached through the watched folder {str(watched)!r}, where "
                f"whoever drops files could run code: {str(file)!r}. Move it to a folder elsewhere."
            )


def _check_arguments(own: OwnModel, function: Callable[..., Any]) -> None:
    """Say what ``function`` may be called with, if that is not what the table says."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some of those written in C tell nothing
        return
    parameters = signature.parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind in _BY_NAME]
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        names += own.arguments
    for name in own.arguments:
        if name not in names:
            raise BadOption(f"{own.where(ARGUMENTS)}: {own.source!r}: {unknown('argument', name, names)}")
    try:
        signature.bind(**own.arguments)
    except TypeError as error:
        place = own.where(ARGUMENTS if own.arguments else own.kind)
        raise BadOption(
            f"{place}: {own.source!r} cannot be called so: {error}. It takes "
            f"{', '.join(map(str, parameters)) or 'no arguments'}; write {ARGUMENTS} = {{ name = value }}."
        ) from None
