"""What a recipe says to get the terms that it has: an objective, and the table of its terms if it is a sum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepdream_plugins.resolving.keys import NO_MASK
from deepdream_plugins.resolving.parts import guide_options
from deepdream_plugins.resolving.terms import Term, expression_of


def told_objective(terms: tuple[Term, ...], *, paths: bool) -> dict[str, Any]:
    """Return the keys ``objective`` and, for a sum, ``terms``; without ``paths`` files are told by their names."""
    tables = {term.label: _told(term, paths) for term in terms}
    if "" in tables:
        return {"objective": tables[""]}
    return {"objective": expression_of(terms), "terms": tables}


def told_path(path: str, *, paths: bool) -> str:
    """Return the path of a picture, or with how it ends alone."""
    return path if paths or path == NO_MASK else Path(path).name


def _told(term: Term, paths: bool) -> dict[str, Any]:
    data: dict[str, Any] = term.to_dict()
    for name in (*guide_options(term), *term.objective.files(), "mask"):
        if name in data:
            data[name] = told_path(str(data[name]), paths=paths)
    return data
