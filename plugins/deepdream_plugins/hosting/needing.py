"""What a plugin says it needs of DeepDream, read before any of its code runs.

A package says so by its requirement on ``deepdream-daemon``, a loose file by ``DEEPDREAM_API = 2`` at its top level.
"""

from __future__ import annotations

import ast
from importlib.metadata import Distribution

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from deepdream_engine import __version__
from deepdream_plugins.hookspecs import API

_PACKAGE = "deepdream-daemon"
_NAME = "DEEPDREAM_API"


def unmet_by_package(dist: Distribution | None) -> str:
    """Return what a package needs that this is not, and what to do; ``""`` if it needs nothing else."""
    for text in (dist.requires if dist is not None else None) or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue  # pip would not have installed it
        if canonicalize_name(requirement.name) != _PACKAGE:
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not requirement.specifier.contains(__version__, prereleases=True):
            return (
                f"it needs {_PACKAGE}{requirement.specifier}, and this is {__version__}; update DeepDream "
                f"(pip install -U {_PACKAGE}), or install a version of the plugin that fits this one."
            )
    return ""


def unmet_by_source(source: bytes, file: str) -> str:
    """Return the same for a loose file with the content ``source``. What is no Python is left to whoever runs it."""
    try:
        body = ast.parse(source, file).body
    except (SyntaxError, ValueError):
        return ""
    for statement in body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if not any(isinstance(target, ast.Name) and target.id == _NAME for target in targets):
            continue
        value = getattr(statement, "value", None)
        wanted = value.value if isinstance(value, ast.Constant) else None
        if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
            return f"{file}:{statement.lineno}: {_NAME} must be a number such as {API}, written as such."
        if wanted > API:
            return (
                f"{file}:{statement.lineno}: it needs version {wanted} of the plugin API, and this DeepDream "
                f"({__version__}) has {API}; update DeepDream (pip install -U {_PACKAGE}), or use an older version of "
                f"the plugin."
            )
    return ""
