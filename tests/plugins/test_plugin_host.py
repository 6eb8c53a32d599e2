"""A bad plugin is named with its reason and leaves nothing behind; the good ones beside it work."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from deepdream_engine.errors import BadOption
from deepdream_plugins import PluginInfo, RecipeBook, Selection, UnknownName, load_catalogue
from deepdream_plugins.catalogue import Shelf
from deepdream_plugins.hookspecs import KINDS
from deepdream_plugins.hosting.loading import BUILT_IN
from tests.measuring import best_within

WritePlugin = Callable[[str, str], Path]

GOOD = """
    from deepdream_plugins import FilterSpec, hookimpl

    @hookimpl
    def deepdream_postfilters():
        yield FilterSpec(name="invert", help="negative", apply=lambda pictures, context: 1 - pictures)
"""

HEAD = """from deepdream_plugins import *
def f(pictures, context): return pictures
"""
POST = f"{HEAD}@hookimpl\ndef deepdream_postfilters():\n"

BROKEN = {
    "import_error": ("import no_such_module_anywhere\n", ":1: ModuleNotFoundError"),
    "raises": ("x = 1\nraise ValueError('two\\nlines')\n", ":2: ValueError: two lines"),
    "exits": ("import sys\nsys.exit(3)\n", ":2: it called sys.exit(3)"),
    "syntax": ("def (:\n", ":1: SyntaxError"),
    "bytes": ("x = 1\n\0\n", "null bytes"),
    "empty": ("", "it has no hook; write one of deepdream_models"),
    "unmarked": (
        f"{HEAD}def deepdream_postfilters():\n    return []\n",
        ":3: deepdream_postfilters is not marked; put @hookimpl",
    ),
    "misspelt": (
        f"{HEAD}@hookimpl\ndef deepdream_postfilter():\n    return []\n",
        "'deepdream_postfilter' is no hook. Did you mean 'deepdream_postfilters'?",
    ),
    "misspelt_prefix": (
        f"{HEAD}@hookimpl\ndef deapdream_models():\n    return []\n",
        "'deapdream_models' is no hook. Did you mean 'deepdream_models'?",
    ),
    "argument": (
        f"{HEAD}@hookimpl\ndef deepdream_postfilters(context):\n    return []\n",
        ":3: deepdream_postfilters has an argument 'context' that the hook has not. It takes those",
    ),
    "star": (
        f"{HEAD}@hookimpl\ndef deepdream_job_failed(*events):\n    pass\n",
        ":3: deepdream_job_failed has the argument *events. It takes those of its arguments",
    ),
    "behind_star": (
        f"{HEAD}@hookimpl\ndef deepdream_job_failed(*, event):\n    pass\n",
        ":3: deepdream_job_failed takes 'event' behind a '*'; remove the '*'.",
    ),
    "awaited": (
        f"{HEAD}@hookimpl\nasync def deepdream_job_failed(event):\n    pass\n",
        ":3: deepdream_job_failed is async, and nobody awaits it",
    ),
    "wraps_records": (
        f"{HEAD}@hookimpl(wrapper=True)\ndef deepdream_models():\n    return (yield)\n",
        ":3: deepdream_models cannot be wrapped; only deepdream_run_batch can.",
    ),
    "wraps_without_yield": (
        f"{HEAD}@hookimpl(wrapper=True)\ndef deepdream_run_batch(batch):\n    return []\n",
        ":3: deepdream_run_batch is a wrapper and has no yield; write: outcomes = yield.",
    ),
    "wraps_as_of_old": (
        f"{HEAD}@hookimpl(hookwrapper=True)\ndef deepdream_run_batch(batch):\n    yield\n",
        ":3: deepdream_run_batch is a wrapper of pluggy's old kind; write @hookimpl(wrapper=True).",
    ),
    "mistyped_and_unmarked": (
        f"{HEAD}def deapdream_models():\n    return []\n",
        ":3: deapdream_models is no hook. Did you mean 'deepdream_models'? Hooks have @hookimpl above them, too.",
    ),
    "mean_of_one": (
        f"{HEAD}@hookimpl\ndef deepdream_models():\n    yield ModelSpec(name='a', help='b', load=print, "
        "default_tap='c', weights='d', mean=(0.5,))\n",
        ":3: model 'a': mean must be three numbers, of red, green and blue, not (0.5,).",
    ),
    "no_deviation": (
        f"{HEAD}@hookimpl\ndef deepdream_models():\n    yield ModelSpec(name='a', help='b', load=print, "
        "default_tap='c', weights='d', std=(1, 1, 0))\n",
        "std must be three numbers above 0, of red, green and blue, not (1, 1, 0).",
    ),
    "no_side": (
        f"{HEAD}@hookimpl\ndef deepdream_models():\n    yield ModelSpec(name='a', help='b', load=print, "
        "default_tap='c', weights='d', min_side_px=0)\n",
        "min_side_px must be a whole number of pixels from 1, not 0.",
    ),
    "bare_taps": (
        f"{HEAD}@hookimpl\ndef deepdream_models():\n    yield ModelSpec(name='a', help='b', load=print, "
        "default_tap='c', weights='d', taps=('c',))\n",
        "taps must be a tuple of TapNote records, not ('c',).",
    ),
    "load_takes_nothing": (
        "from deepdream_plugins import *\ndef load(): pass\n@hookimpl\ndef deepdream_models():\n"
        "    yield ModelSpec(name='a', help='b', load=load, default_tap='c', weights='d')\n",
        ":2: model 'a': load is called as load(weights), and cannot be: too many positional arguments.",
    ),
    "needs_more": (
        f"from deepdream_plugins import *\ndef f(pictures, context, *, colour): return pictures\n{POST[len(HEAD) :]}"
        "    yield FilterSpec(name='a', help='b', apply=f)\n",
        ":2: post-filter 'a': apply is called as apply(pictures, context), and cannot be: missing a required "
        "argument: 'colour'",
    ),
    "moves_maybe": (
        f"{POST}    yield FilterSpec(name='a', help='b', apply=f, moves='yes')\n",
        "post-filter 'a': moves must be True or False, not 'yes'.",
    ),
    "no_time": (
        f"{HEAD}@hookimpl\ndef deepdream_sinks():\n"
        "    yield SinkSpec(name='a', help='b', deliver=print, limit_seconds=0)\n",
        "sink 'a': limit_seconds must be a number above 0, not 0.",
    ),
    "upside_down": (
        f"{POST}    o = Option(name='n', type=int, minimum=2, maximum=1, help='x')\n"
        "    yield FilterSpec(name='a', help='b', apply=f, options=(o,))\n",
        "option 'n' of post-filter 'a': its minimum 2 is above its maximum 1.",
    ),
    "chosen_number": (
        f"{POST}    o = Option(name='n', type=int, choices=('1',), help='x')\n"
        "    yield FilterSpec(name='a', help='b', apply=f, options=(o,))\n",
        "option 'n' of post-filter 'a': choices are for str options.",
    ),
    "helpless": (
        f"{POST}    o = Option(name='n', type=int, help='')\n"
        "    yield FilterSpec(name='a', help='b', apply=f, options=(o,))\n",
        "option 'n' of post-filter 'a': help must be a text, not ''.",
    ),
    "one_record": (
        f"{POST}    return FilterSpec(name='a', help='b', apply=f)\n",
        "deepdream_postfilters returned FilterSpec, not several FilterSpec records",
    ),
    "wrong_type": (
        f"{POST}    return ['sepia']\n",
        ":3: deepdream_postfilters gave 'sepia' (str), not a FilterSpec",
    ),
    "wrong_kind": (
        f"{HEAD}@hookimpl\ndef deepdream_objectives():\n    yield FilterSpec(name='a', help='b', apply=f)\n",
        "not a ObjectiveSpec",
    ),
    "raises_in_hook": (
        f"{POST}    yield 1 / 0\n",
        ":5: ZeroDivisionError",
    ),
    "missing_field": (
        f"{POST}    yield FilterSpec(name='a', help='b')\n",
        ":5: TypeError: FilterSpec.__init__() missing 1 required",
    ),
    "not_callable": (
        f"{POST}    yield FilterSpec(name='a', help='b', apply=3)\n",
        "post-filter 'a': apply must be a function, not 3",
    ),
    "bad_name": (
        f"{POST}    yield FilterSpec(name='a b', help='c', apply=f)\n",
        "the name 'a b' is not",
    ),
    "bad_default": (
        f"{POST}"
        "    o = Option(name='n', type=int, default=9, maximum=5, help='x')\n"
        "    yield FilterSpec(name='a', help='b', apply=f, options=(o,))\n",
        "default of option 'n' of post-filter 'a': 9 is not an integer, at most 5",
    ),
    "list_of_options": (
        f"{POST}    yield FilterSpec(name='a', help='b', apply=f, options=[])\n",
        "options must be a tuple",
    ),
    "no_direction": (
        f"{HEAD}@hookimpl\ndef deepdream_ascents():\n    yield AscentSpec(name='a', help='b', direction=3)\n",
        "ascent 'a': direction must be a function, not 3",
    ),
    "no_transform": (
        f"{HEAD}@hookimpl\ndef deepdream_transforms():\n    yield FilterSpec(name='a', help='b', apply=f)\n",
        "(FilterSpec), not a TransformSpec",
    ),
    "if_zero_number": (
        f"{HEAD}@hookimpl\ndef deepdream_objectives():\n"
        "    yield ObjectiveSpec(name='a', help='b', score=f, if_zero=3)\n",
        "if_zero must be a text, not 3.",
    ),
    "if_zero_option": (
        f"{HEAD}@hookimpl\ndef deepdream_objectives():\n"
        "    yield ObjectiveSpec(name='a', help='b', score=f, if_zero='channel {channel}')\n",
        "if_zero names channel, which is no option of it.",
    ),
    "if_zero_brace": (
        f"{HEAD}@hookimpl\ndef deepdream_objectives():\n"
        "    yield ObjectiveSpec(name='a', help='b', score=f, if_zero='{')\n",
        "if_zero '{': ",
    ),
    "no_preparation": (
        f"{HEAD}@hookimpl\ndef deepdream_objectives():\n"
        "    yield ObjectiveSpec(name='a', help='b', score=f, prepare=3)\n",
        "objective 'a': prepare must be a function, not 3",
    ),
    "no_classes": (
        f"{HEAD}@hookimpl\ndef deepdream_models():\n    yield ModelSpec(name='a', help='b', load=f, default_tap='c', "
        "weights='d', classes=['cat'])\n",
        "model 'a': classes must be a function, not ['cat']",
    ),
    "odd_type": (
        f"{POST}    o = Option(name='n', type=list, help='x')\n"
        "    yield FilterSpec(name='a', help='b', apply=f, options=(o,))\n",
        "type must be one of int, float, bool, str, Tap, PictureFile, File, ClassName, not <class 'list'>",
    ),
    "guided_filter": (
        f"{POST}    o = Option(name='n', type=PictureFile, help='x')\n"
        "    yield FilterSpec(name='a', help='b', apply=f, options=(o,))\n",
        "option 'n' of post-filter 'a': only objectives see guides",
    ),
    "classy_filter": (
        f"{POST}    o = Option(name='n', type=ClassName, help='x')\n"
        "    yield FilterSpec(name='a', help='b', apply=f, options=(o,))\n",
        "only objectives know classes",
    ),
    "own_mask": (
        f"{HEAD}@hookimpl\ndef deepdream_objectives():\n    o = Option(name='mask', type=float, help='x')\n"
        "    yield ObjectiveSpec(name='a', help='b', score=f, options=(o,))\n",
        "an option cannot be named 'mask': every objective has a mask already",
    ),
    "many_per_picture": (
        f"{HEAD}@hookimpl\ndef deepdream_objectives():\n"
        "    o = Option(name='n', type=int, many=True, per_picture=True, help='x')\n"
        "    yield ObjectiveSpec(name='a', help='b', score=f, options=(o,))\n",
        "many is for what pictures of a batch have in common",
    ),
    "lone_tuple": (
        f"{POST}    o = Option(name='n', type=int, default=(1,), help='x')\n"
        "    yield FilterSpec(name='a', help='b', apply=f, options=(o,))\n",
        "the default is a tuple; say many=True",
    ),
    "bad_item": (
        f"{POST}    o = Option(name='n', type=int, many=True, default=(1, 9), maximum=5, help='x')\n"
        "    yield FilterSpec(name='a', help='b', apply=f, options=(o,))\n",
        "default of option 'n' of post-filter 'a'[1]: 9 is not an integer, at most 5",
    ),
    "takes_a_name": (
        f"{HEAD}@hookimpl\ndef deepdream_prefilters():\n"
        "    yield FilterSpec(name='fine', help='x', apply=f)\n"
        "@hookimpl\ndef deepdream_postfilters():\n    yield FilterSpec(name='blend', help='x', apply=f)\n",
        "the post-filter 'blend' of the plugin 'takes_a_name' is already provided by the plugin 'filters'",
    ),
    "twice": (
        f"{POST}    for _ in 'ab': yield FilterSpec(name='same', help='x', apply=f)\n",
        "already provided by the plugin 'twice' itself",
    ),
    "no_yield": (
        f"{POST}    FilterSpec(name='a', help='b', apply=f)\n",
        ":3: deepdream_postfilters returned None: yield each record, or return a list of them.",
    ),
    "short_field": (
        f"{POST}    o = Option(name='n', type=int, help='x', min=2)\n"
        "    yield FilterSpec(name='a', help='b', apply=f, options=(o,))\n",
        "TypeError: Option.__init__() got an unexpected keyword argument 'min'. Did you mean 'minimum'? Valid: name,",
    ),
    "panics": ("class Panic(BaseException): pass\nraise Panic('at the disco')\n", ":2: Panic: at the disco"),
    "panics_in_hook": (
        f"{POST}    import asyncio\n    raise asyncio.CancelledError\n",
        ":6: CancelledError",
    ),
    "unspeakable": (
        "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute\n",
        ":3: Mute (which cannot say more: its __str__ fails)",
    ),
    "interrupts": ("raise KeyboardInterrupt\n", "it raised KeyboardInterrupt"),
    "panics_when_ready": (
        f"{HEAD}@hookimpl\ndef deepdream_host_ready(host):\n    raise BaseException('late')\n",
        "deepdream_host_ready: ",
    ),
    "filters": (GOOD, "another plugin is already named 'filters'"),
}


def find(plugins: object, name: str, origin: str = "file") -> PluginInfo:
    assert isinstance(plugins, tuple)
    return next(plugin for plugin in plugins if plugin.name == name and plugin.origin == origin)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_says_why_and_stops_nobody(name: str, folder: Path, write_plugin: WritePlugin) -> None:
    code, reason = BROKEN[name]
    path = write_plugin(name, code)
    write_plugin("zz_good", GOOD)
    catalogue = load_catalogue(Selection(folder=folder))
    broken = find(catalogue.plugins, name)
    assert broken.state == "failed"
    assert reason in broken.reason
    if reason.startswith(":"):
        assert broken.reason.startswith(f"{path}{reason[: reason.index(' ')]}")
    assert find(catalogue.plugins, "zz_good").state == "active"
    assert catalogue.postfilters["invert"].owner == "zz_good"
    assert catalogue.postfilters["blend"].owner == "filters"
    shelves = [shelf for shelf in vars(catalogue).values() if isinstance(shelf, Shelf)]
    assert len(shelves) == len(KINDS)
    assert all(owned.owner != name or name == "filters" for shelf in shelves for owned in shelf.values())
    assert "fine" not in catalogue.prefilters


def test_the_built_in_plugins_are_active_and_use_the_public_hooks() -> None:
    catalogue = load_catalogue()
    assert {plugin.name for plugin in catalogue.plugins if plugin.origin == "built-in"} == set(BUILT_IN)
    assert [plugin for plugin in catalogue.plugins if plugin.state == "failed"] == []
    assert {"l2", "mean", "channel", "guide", "class_logit", "tv"} <= set(catalogue.objectives)
    assert {"mean_abs", "std", "smooth", "lapnorm", "momentum", "adam"} <= set(catalogue.ascents)
    assert {"pad", "jitter", "scale", "rotate"} <= set(catalogue.transforms)
    assert {"resize", "noise"} <= set(catalogue.prefilters)
    assert {"blend", "keep_colours", "sharpen", "vignette"} <= set(catalogue.postfilters)
    assert "pyramid" in catalogue.schedules
    assert {"dreamnet", "googlenet", "vgg16"} <= set(catalogue.models)


def test_an_unknown_name_gets_the_choices_and_the_plugins_that_failed(folder: Path, write_plugin: WritePlugin) -> None:
    write_plugin("sepia", "import no_such_module_anywhere")
    filters = load_catalogue(Selection(folder=folder)).postfilters
    with pytest.raises(BadOption) as caught:
        filters["sharpn"]
    said = str(caught.value)
    assert "unknown post-filter 'sharpn'. Did you mean 'sharpen'? Valid: blend, keep_colours" in said
    assert "A plugin that failed to load may provide it: sepia; see: deepdream plugins." in said
    assert filters.get("sharpn") is None
    assert "sharpn" not in filters


def test_a_name_that_a_missing_plugin_may_provide_is_told_from_a_wrong_one(
    folder: Path, write_plugin: WritePlugin
) -> None:
    def asked(selection: Selection, table: dict[str, object]) -> UnknownName:
        with pytest.raises(UnknownName) as caught:
            RecipeBook(load_catalogue(selection)).resolve("classic", [(table, lambda *keys: "config.toml:7")])
        assert str(caught.value).startswith("config.toml:7")
        return caught.value

    write_plugin("good", GOOD)
    tables: list[dict[str, object]] = [
        {"postfilters": ["sepia"]},
        {"objective": "sepia"},
        {"objective": "l2 + sepia"},
        {"model": "sepia"},
    ]
    for table in tables:
        assert asked(Selection(folder=folder), table).unavailable == ""
        assert "switched off" in asked(Selection(folder=folder, third_party=False), table).unavailable
    write_plugin("sepia", "import no_such_module_anywhere")
    for table in tables:
        why = asked(Selection(folder=folder), table).unavailable
        assert why == "A plugin that failed to load may provide it: sepia; see: deepdream plugins."


def test_a_plugin_that_provides_nothing_has_a_note(folder: Path, write_plugin: WritePlugin) -> None:
    write_plugin("void", f"{POST}    return []\n")
    write_plugin("good", GOOD)
    write_plugin("heard", f"{HEAD}@hookimpl\ndef deepdream_job_failed(event):\n    pass\n")
    notes = {plugin.name: plugin.note for plugin in load_catalogue(Selection(folder=folder)).plugins}
    assert notes["void"] == "it provides nothing: its hooks have returned no records"
    assert notes["good"] == notes["heard"] == ""


def test_plugins_that_hang_while_they_load_cost_the_time_limit_once(folder: Path, write_plugin: WritePlugin) -> None:
    for name in ("a", "b", "c"):
        write_plugin(name, "import time\ntime.sleep(20)\n")
    write_plugin("good", GOOD)
    hosts = []

    def seconds(_: int) -> float:
        begun = time.monotonic()
        hosts.append(load_catalogue(Selection(folder=folder, load_seconds=0.6)).host)
        return time.monotonic() - begun

    best_within(1.5, seconds)  # one after the other it would be 1.8 s
    host = hosts[-1]
    assert {plugin.name: plugin.state for plugin in host.plugins if plugin.origin == "file"} == {
        "a": "failed", "b": "failed", "c": "failed", "good": "active",
    }  # fmt: skip
    hanging = {plugin: (what, seconds) for plugin, what, seconds in host.running() if plugin in ("a", "b", "c")}
    assert set(hanging) == {"a", "b", "c"}
    assert all(what == "loading" and seconds > 0.5 for what, seconds in hanging.values())


def test_what_authors_import_is_in_one_place_and_needs_no_torch_but_for_tensors() -> None:
    code = """
        import sys
        from deepdream_plugins import *
        from deepdream_plugins import BadOption, BadPicture, Delivery, ModelUnavailable, NotDelivered, Step
        assert "torch" not in sys.modules
        from deepdream_plugins import Activations, Look
        assert "torch" in sys.modules and Look.__module__ == Activations.__module__ == "deepdream_engine.activations"
    """
    subprocess.run([sys.executable, "-c", dedent(code)], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_files_load_in_order_and_private_ones_not_at_all(folder: Path, write_plugin: WritePlugin) -> None:
    for name in ("b", "a", "_shared", ".hidden"):
        write_plugin(name, GOOD.replace("invert", f"invert-{name}"))
    (folder / "notes.txt").write_text("no plugin")
    plugins = load_catalogue(Selection(folder=folder)).plugins
    assert [plugin.name for plugin in plugins if plugin.origin == "file"] == ["a", "b"]


def test_an_edited_file_is_read_anew(folder: Path, write_plugin: WritePlugin) -> None:
    for name in ("one", "two"):  # same length, same second: a bytecode cache would be taken for fresh
        write_plugin("edited", GOOD.replace("invert", name))
        assert name in load_catalogue(Selection(folder=folder)).postfilters
    assert not (folder / "__pycache__").exists()


def test_a_plugin_may_define_dataclasses(folder: Path, write_plugin: WritePlugin) -> None:
    code = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    write_plugin("typed", f"{code}@dataclass\nclass A:\n    x: int = 1\n{dedent(GOOD)}")
    assert find(load_catalogue(Selection(folder=folder)).plugins, "typed").state == "active"


@pytest.mark.parametrize("relation", ["same", "inside", "above", "linked", "file linked in"])
def test_a_folder_that_dropped_files_can_reach_is_refused(relation: str, tmp_path: Path) -> None:
    watched = tmp_path / "in"
    folder = {"same": watched, "inside": watched / "deep" / "plugins", "above": tmp_path}.get(
        relation, tmp_path / "plugins"
    )
    watched.mkdir()
    folder.mkdir(parents=True, exist_ok=True)
    for path in (watched, folder):
        path.chmod(0o755)
    if relation == "linked":
        (watched / "sub").mkdir()
        (watched / "sub" / "link").symlink_to(folder)
    if relation == "file linked in":
        (watched / "real.py").write_text("x = 1")
        (folder / "link.py").symlink_to(watched / "real.py")
        (watched / "real.py").chmod(0o644)
    with pytest.raises(BadOption, match=r"watched"):
        load_catalogue(Selection(folder=folder, watched=(watched,)))


def test_a_folder_apart_from_the_watched_ones_is_accepted(folder: Path, tmp_path: Path) -> None:
    watched = tmp_path / "in"
    watched.mkdir()
    (watched / "elsewhere").symlink_to(tmp_path.parent.parent / "nothing")
    load_catalogue(Selection(folder=folder, watched=(watched, tmp_path / "not-yet-made")))


def test_a_link_that_leads_through_a_watched_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    watched, real = tmp_path / "in", tmp_path / "real"
    watched.mkdir()
    real.mkdir(mode=0o755)
    (real / "code.py").write_text("x = 1")
    (watched / "turn").symlink_to(real)
    (folder / "code.py").symlink_to(watched / "turn" / "code.py")
    with pytest.raises(BadOption, match=r"code\.py is reached through the watched folder .*/in, where"):
        load_catalogue(Selection(folder=folder, watched=(watched,)))


@pytest.mark.parametrize("of", ["folder", "file"])
def test_a_link_in_a_folder_that_anyone_may_write_is_refused(
    of: str, folder: Path, tmp_path: Path, write_plugin: WritePlugin
) -> None:
    shared, file = tmp_path / "shared", write_plugin("good", GOOD)
    shared.mkdir()
    if of == "folder":
        (shared / "link").symlink_to(folder)
        asked = shared / "link"
    else:
        asked = tmp_path / "mine"
        asked.mkdir(mode=0o755)
        (shared / "link.py").symlink_to(file)
        (asked / "good.py").symlink_to(shared / "link.py")
    load_catalogue(Selection(folder=asked))
    shared.chmod(0o777)
    with pytest.raises(BadOption, match=r"others may write to .*/shared, through which .* is reached"):
        load_catalogue(Selection(folder=asked))


@pytest.mark.parametrize("mode", [0o775, 0o1777])
def test_a_folder_below_one_of_a_group_is_refused_and_a_shared_one_itself(
    mode: int, folder: Path, tmp_path: Path
) -> None:
    (folder.parent if mode == 0o775 else folder).chmod(mode)
    (tmp_path.parent / f"to-{tmp_path.name}").symlink_to(folder)
    for asked in (folder, tmp_path.parent / f"to-{tmp_path.name}"):
        with pytest.raises(BadOption, match=r"others may write to .*chmod go-w"):
            load_catalogue(Selection(folder=asked))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_folder_below_another_users_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_catalogue(Selection(folder=folder))
    os.chown(folder.parent, 12345, -1)
    with pytest.raises(BadOption, match=rf"{folder.parent} belongs to another user"):
        load_catalogue(Selection(folder=folder))
    os.chown(folder.parent, 0, -1)


def test_a_file_with_another_name_somewhere_is_refused(folder: Path, tmp_path: Path, write_plugin: WritePlugin) -> None:
    os.link(write_plugin("good", GOOD), tmp_path / "photo.jpg")
    with pytest.raises(BadOption, match=r"good\.py has another name somewhere \(a hard link\)"):
        load_catalogue(Selection(folder=folder))


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_folder_that_others_may_write_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(BadOption, match=r"chmod go-w"):
        load_catalogue(Selection(folder=folder))


def test_a_folder_that_anyone_may_put_another_in_the_place_of_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open" / "plugins"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    folder.parent.chmod(0o777)
    with pytest.raises(
        BadOption, match=r"others may write to .*/open, through which .*/plugins is reached, .*chmod go-w"
    ):
        load_catalogue(Selection(folder=folder))
    folder.parent.chmod(0o1777)  # as /tmp is: only owners may rename and remove
    load_catalogue(Selection(folder=folder))


def test_a_file_that_others_may_write_is_refused(folder: Path, write_plugin: WritePlugin) -> None:
    write_plugin("good", GOOD).chmod(0o666)
    with pytest.raises(BadOption, match=r"good\.py.*chmod go-w"):
        load_catalogue(Selection(folder=folder))


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="is not a folder; make it"):
        load_catalogue(Selection(folder=tmp_path / "none"))


def install(site: Path, name: str, module: str, code: str) -> None:
    """Lay out what pip leaves behind for a package with one plugin."""
    (site / f"{module}.py").write_text(code)
    info = site / f"dist_{module}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dist-{module}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[deepdream.plugins]\n{name} = {module}\n")


def test_an_installed_plugin_is_not_imported_until_enabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "negative", "negative_plugin", dedent(GOOD))
    install(tmp_path, "loud", "loud_plugin", "raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)

    off = find(load_catalogue().plugins, "negative", "package")
    assert (off.state, off.version, off.package) == ("off", "1.2", "dist-negative_plugin")
    assert off.source == str(tmp_path / "negative_plugin.py")
    assert "add 'negative' to [plugins] enable" in off.reason
    assert "negative_plugin" not in sys.modules

    catalogue = load_catalogue(
        Selection(
            enable=(
                "negative",
                "loud",
            )
        )
    )
    assert catalogue.postfilters["invert"].owner == "negative"
    assert find(catalogue.plugins, "loud", "package").state == "failed"
    sys.modules.pop("negative_plugin")

    with pytest.raises(BadOption, match=r"unknown plugin 'negativ'. Did you mean 'negative'"):
        load_catalogue(Selection(enable=("negativ",)))


def test_two_packages_that_offer_one_name_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "same", "same_one", dedent(GOOD))
    install(tmp_path, "same", "same_two", dedent(GOOD))
    monkeypatch.syspath_prepend(tmp_path)
    states = {
        plugin.package: plugin.state
        for plugin in load_catalogue(Selection(enable=("same",))).plugins
        if plugin.name == "same"
    }
    assert sorted(states) == ["dist-same_one", "dist-same_two"]
    assert sorted(states.values()) == ["active", "failed"]


def test_listing_the_catalogue_imports_no_torch() -> None:
    code = """
        import sys
        import deepdream_plugins
        catalogue = deepdream_plugins.load_catalogue()
        assert len(catalogue.models) > 5 and len(catalogue.objectives) > 5
        assert [p for p in catalogue.plugins if p.state == "failed"] == []
        book = deepdream_plugins.RecipeBook(catalogue)
        assert book.check() == {}
        assert len(book.resolve("classic").fingerprint()) == 64
        table = {"objective": "class_logit(label = 'goldfish') - 0.5 * l2", "transforms": ["pad"], "ascent": "adam"}
        assert book.resolve("classic", [(table, lambda *keys: "here")]).program().objective.taps
        assert book.resolve("google", [(table, lambda *keys: "here")]).terms[0].objective.options["label"] == 1
        heavy = [m for m in ("torch", "torchvision", "lightning_fabric") if m in sys.modules]
        assert heavy == [], heavy
    """
    subprocess.run([sys.executable, "-c", dedent(code)], check=True, env={"PYTHONPATH": ":".join(sys.path)})
