"""The names that copies get: a template such as ``{date}/{name}``, filled with the facts of a delivery."""

from __future__ import annotations

import string
from pathlib import Path

from deepdream_engine.errors import BadOption, unknown
from deepdream_plugins.builtin.sinks.deliveries import finished_at
from deepdream_plugins.events import Delivery

FIELDS = ("path", "name", "stem", "suffix", "recipe", "folder", "date", "year", "month", "day", "job", "seed")
_OF_ONE_DREAM = ("path", "name", "stem", "job")


def key_of(delivery: Delivery, template: str) -> str:
    """Return the template filled in: parts between ``/``, none of which is empty or leads upwards."""
    dream, root = Path(delivery.output), Path(delivery.output_folder)
    when = finished_at(delivery)
    values: dict[str, object] = {
        "path": (dream.relative_to(root) if dream.is_relative_to(root) else Path(dream.name)).as_posix(),
        "name": dream.name,
        "stem": dream.stem,
        "suffix": dream.suffix,
        "recipe": delivery.recipe,
        "folder": Path(delivery.folder).name,
        "date": f"{when:%Y-%m-%d}",
        "year": f"{when:%Y}",
        "month": f"{when:%m}",
        "day": f"{when:%d}",
        "job": delivery.job,
        "seed": delivery.seed,
    }
    return "/".join(part for part in template.format_map(values).split("/") if part not in ("", ".", ".."))


def check_key(template: str) -> None:
    """Refuse templates with unknown fields, and those that are the same for all dreams."""
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
        for name in fields:
            if name not in FIELDS:
                raise BadOption(f"key: {unknown('field', name, FIELDS)}")
        template.format_map({**dict.fromkeys(FIELDS, "x"), "job": 1, "seed": 1})
    except (ValueError, KeyError) as error:
        raise BadOption(f"key {template!r} cannot be read ({error}). Write it like '{{date}}/{{name}}'.") from None
    if not set(_OF_ONE_DREAM) & set(fields):
        raise BadOption(
            f"key {template!r} is the same for all dreams. Put {{path}}, {{name}}, {{stem}} or {{job}} in it."
        )
    if ".." in template.split("/"):
        raise BadOption(f"key {template!r} leads upwards. Name the place in the url.")
