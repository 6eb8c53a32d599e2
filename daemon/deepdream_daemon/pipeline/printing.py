"""From a dream to the bytes of its file: post-filtered and encoded, with all that made it inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from deepdream_daemon.microscope.sheet import RenderedSheet
from deepdream_daemon.pipeline.picture_records import RenderedPicture
from deepdream_daemon.pipeline.rendering import Encoded
from deepdream_engine import __version__
from deepdream_engine.pictures import encode, output_format, suffix_of
from deepdream_engine.records import Dream
from deepdream_plugins.resolving.filtering import Finish


def printed(rendered: RenderedPicture, provenance: Mapping[str, object]) -> Encoded:
    """Return the file of a dream, with ``provenance`` and all that the pixels depend on inside."""
    import torch

    recipe, dream, picture, seed = rendered.recipe, rendered.dream, rendered.picture, rendered.seed
    made_by = {
        **provenance,
        "deepdream": __version__,
        "recipe": recipe.to_dict(paths=False),
        "seed": seed,
        "model": {"name": recipe.model.spec.name, "weights_sha256": dream.weights_sha256},
        "engine": {
            "device": rendered.device,
            "num_threads": rendered.num_threads,
            "tile_px": dream.tile_px,
            "precision": dream.precision,
            "torch": torch.__version__,
        },
    }
    pixels = dream.pixels
    if rendered.source is not None:
        alpha = None if picture.alpha is None else torch.from_numpy(picture.alpha)
        done = recipe.finish(Finish(dream=pixels, source=rendered.source, seed=seed, alpha=alpha))
        pixels = done.dream
        if done.alpha is not None and done.alpha is not alpha:
            picture = replace(picture, alpha=done.alpha.contiguous().numpy())
        del done
    del rendered, dream  # what the filters left is all that the encoder needs
    data = encode(pixels.permute(1, 2, 0).numpy(), picture, recipe.output, made_by)
    return Encoded(data=data, suffix=suffix_of(output_format(picture.format, recipe.output)))


def picked(rendered: RenderedSheet, num_threads: int) -> RenderedPicture:
    """Return the one dream that was picked, as if its recipe had named the layer."""
    sheet, made, (cell,) = rendered.sheet, rendered.made, rendered.cells
    assert cell.dream is not None  # otherwise its error was told
    alpha = sheet.start.alpha
    return RenderedPicture(
        picture=sheet.picture if alpha is None else replace(sheet.picture, alpha=alpha.numpy()),
        recipe=cell.recipe,
        seed=sheet.start.seed,
        source=sheet.start.pixels if cell.recipe.postfilters else None,
        dream=Dream(
            pixels=cell.dream,
            weights_sha256=made["weights_sha256"],
            tile_px=made["tile_px"],
            precision=made["precision"],
        ),
        device=made["device"],
        num_threads=num_threads,
    )
