"""The page of an atlas, with its pictures in it: one file, to be sent to somebody.

Only of an atlas that would make it too large for a browser to open at once, the page shows the files beside it; then
the folder is what is sent.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from deepdream_daemon.microscope.page import page

PAGE = "index.html"
_EMBEDDED_BYTES = 24 << 20
"""Some 4000 pictures of 128 px; as text they are a third larger."""


def atlas_page(facts: dict[str, Any], folder: Path) -> tuple[bytes, bool]:
    """Return the HTML of the atlas in ``folder`` that ``facts`` tell of, and whether it needs none of its files."""
    files = [folder / channel["file"] for layer in facts["layers"] for channel in layer["channels"]]
    is_alone = sum(file.stat().st_size for file in files) <= _EMBEDDED_BYTES
    if is_alone:
        layers = [
            {**layer, "channels": [_embedded(each, folder) for each in layer["channels"]]} for layer in facts["layers"]
        ]
        facts = {**facts, "layers": layers}
    return page("atlas.html", f"{facts['model']}: an atlas", facts), is_alone


def _embedded(channel: dict[str, Any], folder: Path) -> dict[str, Any]:
    data = base64.b64encode((folder / channel["file"]).read_bytes()).decode()
    return {**channel, "data": f"data:image/jpeg;base64,{data}"}
