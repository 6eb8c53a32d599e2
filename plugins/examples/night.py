from pathlib import PurePath

from deepdream_plugins import hookimpl


@hookimpl
def deepdream_recipe_for(path):
    return "deep" if "night" in PurePath(path).stem.casefold() else None
