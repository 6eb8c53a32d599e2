"""Pages that need no server and no network: a template of the package, with the facts inside it."""

from __future__ import annotations

import html
import json
from importlib.resources import files
from typing import Any


def page(template: str, title: str, facts: dict[str, Any]) -> bytes:
    """Return the HTML of ``template`` about ``facts``.

    The facts are JSON in a script element: ``<`` is written as an escape, so that no name can end it.
    """
    text = files("deepdream_daemon").joinpath("microscope", template).read_text(encoding="utf-8")
    data = json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c")
    return text.replace("{{title}}", html.escape(title)).replace("{{facts}}", data).encode()
