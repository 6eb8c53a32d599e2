"""A finished sheet as a picture: every dream with its number and layer, and above them what to do with a number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_daemon.explaining.advice import shell_path
from deepdream_daemon.microscope.sheet import Cell, RenderedSheet
from deepdream_engine import __version__
from deepdream_engine.pictures import Picture, encode, output_format, suffix_of
from deepdream_engine.pictures.encode import to_8bit
from deepdream_plugins.builtin.sinks import sheets
from deepdream_plugins.resolving.filtering import Finish

if TYPE_CHECKING:
    from PIL import Image

_EMPTY = (44, 44, 48)


def sheet_file(rendered: RenderedSheet, provenance: Mapping[str, object], *, num_threads: int) -> tuple[bytes, str]:
    """Return the file of a sheet, and its suffix. Inside are ``provenance``, what made it, and which number is which
    layer."""
    import torch

    sheet, made = rendered.sheet, dict(rendered.made)
    recipe, atlas = sheet.recipe, sheet.atlas
    made_by = {
        **provenance,
        "deepdream": __version__,
        "recipe": recipe.to_dict(paths=False),
        "seed": sheet.start.seed,
        "model": {"name": recipe.model.spec.name, "weights_sha256": made.pop("weights_sha256")},
        "engine": {**made, "num_threads": num_threads, "torch": torch.__version__},
        "atlas": [_told(number, cell) for number, cell in enumerate(rendered.cells, 1)],
    }
    cells = [
        sheets.Cell(_picture(rendered, cell), f"{number}  {cell.layer.name}", cell.why or cell.layer.shows)
        for number, cell in enumerate(rendered.cells, 1)
    ]
    title = _title(recipe.name, provenance)
    drawn = sheets.draw(cells, title, columns=atlas.columns, cell_px=atlas.cell_px, font="", snug=True)
    pixels = np.asarray(drawn, np.float32) / np.float32(255)
    # Only what its pixels mean is the photo's: neither its camera nor its place are the sheet's.
    picture = Picture(pixels=sheet.picture.pixels, format=sheet.picture.format, icc_profile=sheet.picture.icc_profile)
    data = encode(pixels, picture, recipe.output, made_by)
    return data, suffix_of(output_format(picture.format, recipe.output))


def _title(recipe: str, provenance: Mapping[str, object]) -> str:
    source = provenance.get("source")
    photo = shell_path(Path(str(source.get("name", "")))) if isinstance(source, Mapping) else "PHOTO"
    return f"deepdream dream -r {recipe} --pick NUMBER {photo}"  # a long name is cut at its end


def _told(number: int, cell: Cell) -> dict[str, Any]:
    told: dict[str, Any] = {"number": number, "layer": cell.layer.name}
    return {**told, "why": cell.why} if cell.why else told


def _picture(rendered: RenderedSheet, cell: Cell) -> Image.Image:
    """Return what a cell shows: its dream after the post-filters, or nothing but a ground."""
    import torch
    from PIL import Image

    start = rendered.sheet.start
    if cell.dream is None:
        height, width = start.pixels.shape[1:]
        return Image.new("RGB", (width, height), _EMPTY)
    done = cell.recipe.finish(Finish(dream=cell.dream, source=start.pixels, seed=start.seed, alpha=start.alpha))
    pixels = done.dream  # (3, H, W)
    if done.alpha is not None:
        ground = torch.tensor(sheets.BACKGROUND).view(3, 1, 1) / 255
        pixels = ground + (pixels - ground) * done.alpha
    return Image.fromarray(to_8bit(pixels.permute(1, 2, 0).numpy()))
