"""The built-in sinks: where finished dreams go beside the output folder.

Each is called again for a dream that was delivered already whenever nobody can be sure that it was, so each finds what
it did before, and does not do it twice.
"""

from __future__ import annotations

from collections.abc import Iterator

from deepdream_plugins.builtin.sinks.animation import SPEC as ANIMATION
from deepdream_plugins.builtin.sinks.contact_sheet import SPEC as CONTACT_SHEET
from deepdream_plugins.builtin.sinks.copying import SPEC as COPY
from deepdream_plugins.builtin.sinks.notification import SPEC as NOTIFICATION
from deepdream_plugins.builtin.sinks.webhook import SPEC as WEBHOOK
from deepdream_plugins.hookspecs import hookimpl
from deepdream_plugins.records import SinkSpec


@hookimpl
def deepdream_sinks() -> Iterator[SinkSpec]:
    """Two that make pictures of dreams, one that copies them, and two that tell somebody."""
    yield from (CONTACT_SHEET, ANIMATION, COPY, WEBHOOK, NOTIFICATION)
