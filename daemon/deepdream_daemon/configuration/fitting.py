"""Whether the plugins that are loaded are those that a configuration asks for, so that they need not be loaded again.

A plugin that is loaded twice is told twice of everything until the former one's work is over, and the renderer has to
load its networks again.
"""

from __future__ import annotations

from dataclasses import replace

from deepdream_plugins.catalogue import Catalogue
from deepdream_plugins.hosting.loading import loose
from deepdream_plugins.options import Where
from deepdream_plugins.selection import Selection


def fits(loaded: Catalogue, selection: Selection, where: Where) -> bool:
    """Tell whether loading what ``selection`` names would give what is ``loaded``; a plugins folder that is not safe is
    a ``BadOption``. A plugin that has failed or is disabled may have been mended. That the code of an installed package
    has changed says nothing: a process imports it only once."""
    if _relevant(loaded.host.selection) != _relevant(selection):
        return False
    plugins = loaded.plugins
    if any(plugin.state in {"failed", "disabled"} for plugin in plugins):
        return False
    files = {each.name: each.sha256() for each in loose(selection, where)}
    return files == {plugin.name: plugin.sha256 for plugin in plugins if plugin.origin == "file"}


def _relevant(selection: Selection) -> Selection:
    """Return what loading depends on: of the watched folders only networks of one's own remember anything."""
    return selection if selection.models else replace(selection, watched=())
