"""Nothing of a plugin runs that the configuration does not want to run; a worker process builds the same host anew."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import py_compile
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from deepdream_engine.errors import BadOption
from deepdream_plugins import PluginInfo, RecipeBook, Selection, UnknownName, load_catalogue
from deepdream_plugins.hosting import uncached

WritePlugin = Callable[[str, str], Path]

CODE = """
    from deepdream_plugins import FilterSpec, hookimpl

    @hookimpl
    def deepdream_postfilters():
        yield FilterSpec(name="invert", help="negative", apply=lambda pictures, context: 1 - pictures)
"""


def find(selection: Selection, name: str) -> PluginInfo:
    return next(plugin for plugin in load_catalogue(selection).plugins if plugin.name == name)


def where(*keys: object) -> str:
    return f"config.toml:7: {'.'.join(map(str, keys))}"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an installed package ``pinned_plugin`` with the plugin ``negative``, as pip lays it out."""
    site = tmp_path / "site"
    module = site / "pinned_plugin"
    module.mkdir(parents=True)
    (module / "__init__.py").write_text("from pinned_plugin.inner import *\n")
    (module / "inner.py").write_text(dedent(CODE))
    info = site / "dist_pinned-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dist-pinned\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[deepdream.plugins]\nnegative = pinned_plugin\n")
    listed = ["pinned_plugin/__init__.py", "pinned_plugin/inner.py", "pinned_plugin/__pycache__/inner.pyc"]
    listed += [f"{info.name}/{name}" for name in ("METADATA", "entry_points.txt", "RECORD")]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in listed))
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(uncached._finder, "pinned", frozenset())
    yield module
    for name in [name for name in sys.modules if name.split(".")[0] == "pinned_plugin"]:
        del sys.modules[name]


def test_a_file_runs_only_as_it_was_pinned(folder: Path, write_plugin: WritePlugin) -> None:
    path = write_plugin("negative", CODE)
    pin = hashlib.sha256(path.read_bytes()).hexdigest()
    pinned = Selection(folder=folder, sha256={"negative": pin})
    assert find(pinned, "negative").sha256 == pin
    assert find(pinned, "negative").state == "active"
    assert find(Selection(folder=folder, sha256={"negative": pin.upper()}), "negative").state == "active"
    path.write_text(path.read_text() + "print('changed')\n")
    changed = find(pinned, "negative")
    assert changed.state == "failed"
    assert changed.reason == (
        f"its code has the SHA-256 {changed.sha256}, and [plugins.sha256] pins {pin}; nothing of it was run. If you "
        f"trust this code, pin negative = {changed.sha256!r}, else install again what you had."
    )
    assert changed.note == ""  # it printed nothing


def test_a_package_runs_only_as_it_was_pinned(package: Path) -> None:
    off = find(Selection(), "negative")
    assert (off.state, off.package, len(off.sha256)) == ("off", "dist-pinned", 64)
    pinned = Selection(enable=("negative",), sha256={"negative": off.sha256})
    assert find(pinned, "negative").state == "active"
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "inner.pyc").write_bytes(b"any")
    with (package.parent / "dist_pinned-2.0.dist-info" / "RECORD").open("a") as record:
        record.write("../../bin/thing,,\n")
    assert find(pinned, "negative").sha256 == off.sha256
    for name in [name for name in sys.modules if name.split(".")[0] == "pinned_plugin"]:
        del sys.modules[name]
    (package / "inner.py").write_text(dedent(CODE).replace("1 - pictures", "pictures"))
    changed = find(pinned, "negative")
    assert changed.state == "failed"
    assert off.sha256 in changed.reason
    assert "pinned_plugin" not in sys.modules


def run_pinned(package: Path) -> PluginInfo:
    """Pin the package as it is, and let it be looked at anew."""
    selection = Selection(enable=("negative",), sha256={"negative": find(Selection(), "negative").sha256})
    forget()
    return find(selection, "negative")


def forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "pinned_plugin"]:
        del sys.modules[name]
    importlib.invalidate_caches()


EVIL = "raise SystemExit('evil ran')\n"


def test_a_module_in_front_of_a_pinned_package_is_refused(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = Selection(enable=("negative",), sha256={"negative": find(Selection(), "negative").sha256})
    shadow = tmp_path / "cwd" / "pinned_plugin"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text(EVIL)
    monkeypatch.syspath_prepend(shadow.parent)
    found = find(pinned, "negative")
    assert found.state == "failed"
    assert found.reason == (
        f"it is pinned, and the module 'pinned_plugin' would be imported from {shadow / '__init__.py'}, which is no "
        f"file of the installed package dist-pinned; nothing of it was run. Move that away, or install the package "
        f"again."
    )


@pytest.mark.parametrize("name", ["inner/__init__.py", "inner.so", "extra.pyc", "link/__init__.py"])
def test_a_file_that_was_not_installed_changes_what_is_pinned(name: str, package: Path, tmp_path: Path) -> None:
    pinned = Selection(enable=("negative",), sha256={"negative": find(Selection(), "negative").sha256})
    if name.startswith("link"):
        (tmp_path / "elsewhere").mkdir()
        (package / "link").symlink_to(tmp_path / "elsewhere")
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_text(EVIL)
    forget()
    found = find(pinned, "negative")
    assert found.state == "failed"
    assert "nothing of it was run" in found.reason


def test_bytecode_in_a_cache_is_not_run_instead_of_what_was_pinned(package: Path) -> None:
    for source in ("inner.py", "later.py"):
        evil = package / "evil.py"
        evil.write_text(EVIL)
        (package / source).touch()
        cached = importlib.util.cache_from_source(str(package / source))
        # Python takes it for fresh without a look at the source.
        py_compile.compile(str(evil), cached, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        evil.unlink()
    (package / "later.py").write_text("value = 7\n")
    forget()
    assert "evil ran" in find(Selection(enable=("negative",)), "negative").reason  # as it is without a pin
    assert run_pinned(package).state == "active"
    assert importlib.import_module("pinned_plugin.later").value == 7  # what a plugin imports when it works, too


def test_a_package_of_a_namespace_is_pinned_by_itself(package: Path, tmp_path: Path) -> None:
    info = package.parent / "dist_pinned-2.0.dist-info"
    inside = package.parent / "pinned_space" / "part"
    package.rename(tmp_path / "moved")
    inside.parent.mkdir()
    (tmp_path / "moved").rename(inside)
    (inside / "__init__.py").write_text(dedent(CODE))
    (info / "entry_points.txt").write_text("[deepdream.plugins]\nnegative = pinned_space.part\n")
    (info / "RECORD").write_text("pinned_space/part/__init__.py,,\npinned_space/part/inner.py,,\n")
    pin = find(Selection(), "negative").sha256
    (package.parent / "pinned_space" / "other.py").write_text("")  # another distribution's
    pinned = Selection(enable=("negative",), sha256={"negative": pin})
    assert find(pinned, "negative").state == "active"
    (inside / "new.py").write_text("")
    assert find(pinned, "negative").state == "failed"


def test_a_package_in_editable_mode_is_hashed_where_it_lies(package: Path) -> None:
    info = package.parent / "dist_pinned-2.0.dist-info"
    installed = find(Selection(), "negative").sha256
    (info / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {"editable": true}}')
    (info / "RECORD").write_text(f"{info.name}/METADATA,,\n")
    assert find(Selection(), "negative").sha256 == installed  # it is the same code
    (package / "inner.py").write_text("# edited")
    assert find(Selection(), "negative").sha256 != installed


def test_a_package_whose_list_of_files_cannot_be_read_is_hashed_where_it_lies(package: Path) -> None:
    (package.parent / "dist_pinned-2.0.dist-info" / "RECORD").write_text("\n\n")
    broken = find(Selection(), "negative").sha256
    assert len(broken) == 64
    (package / "inner.py").write_text("# edited")
    assert find(Selection(), "negative").sha256 != broken


def test_a_name_of_a_plugin_that_is_off_is_told_how_to_switch_it_on(package: Path) -> None:
    catalogue = load_catalogue()
    with pytest.raises(BadOption, match=r"The plugin 'negative' is installed but off: add it to \[plugins\] enable\."):
        catalogue.postfilters["negative"]
    for table in ({"objective": "negative"}, {"objective": "l2 + negative"}, {"postfilters": ["negative"]}):
        with pytest.raises(UnknownName, match="'negative' is installed but off") as caught:
            RecipeBook(catalogue).resolve("classic", [(table, where)])
        assert caught.value.unavailable == ""


def test_a_pin_of_nothing_is_an_error_with_its_place(folder: Path, write_plugin: WritePlugin) -> None:
    write_plugin("negative", CODE)
    with pytest.raises(BadOption) as caught:
        load_catalogue(Selection(folder=folder, sha256={"negativ": "0"}), where)
    assert str(caught.value).startswith(
        "config.toml:7: plugins.sha256.negativ: unknown plugin 'negativ'. Did you mean 'negative'?"
    )


def test_an_enabled_plugin_that_is_not_there_is_an_error_with_its_place() -> None:
    with pytest.raises(BadOption, match=r"^config.toml:7: plugins.enable.1: unknown plugin 'nothing'"):
        load_catalogue(Selection(enable=("contrast", "nothing")[1:] * 2), lambda *keys: where("plugins", "enable", 1))


def test_without_third_party_plugins_nothing_of_them_runs(
    folder: Path, write_plugin: WritePlugin, package: Path
) -> None:
    write_plugin("file", CODE)
    folder.chmod(0o777)  # which would be refused, if anything were to run
    selection = Selection(
        enable=("negative", "not-installed"),
        folder=folder,
        sha256={"file": "0"},
        models={"mine": {"builder": "no_such:thing"}},
        third_party=False,
    )
    catalogue = load_catalogue(selection)
    states = {plugin.name: (plugin.state, plugin.reason) for plugin in catalogue.plugins if plugin.origin != "built-in"}
    off = "plugins are switched off (--no-plugins, or DEEPDREAM_NO_PLUGINS=1)"
    assert states["file"] == states["negative"] == ("off", off)
    assert "configuration" not in states
    assert "pinned_plugin" not in sys.modules
    table = {"postfilters": ["invert"]}
    with pytest.raises(BadOption, match=r"unknown post-filter 'invert'.* If a plugin provides it: plugins are"):
        RecipeBook(catalogue).resolve("classic", [(table, where)])


def test_a_worker_process_builds_the_same_host_from_plain_data(folder: Path, write_plugin: WritePlugin) -> None:
    write_plugin("negative", CODE)
    selection = Selection(folder=folder, watched=(folder.parent / "in",), load_seconds=20, filter_seconds=7)
    assert Selection.from_dict(json.loads(json.dumps(selection.to_dict()))) == selection
    worker = """
        import json, sys
        from deepdream_plugins import RecipeBook, Selection, load_catalogue

        catalogue = load_catalogue(Selection.from_dict(json.load(sys.stdin)))
        recipe = RecipeBook(catalogue).from_dict(json.loads(sys.argv[1]))
        print(json.dumps([recipe.fingerprint(), sorted(recipe.plugins), recipe.filter_seconds]))
    """
    recipe = RecipeBook(load_catalogue(selection)).resolve("classic", [({"postfilters": ["invert"]}, where)])
    done = subprocess.run(
        [sys.executable, "-c", dedent(worker), json.dumps(recipe.to_dict())],
        input=json.dumps(selection.to_dict()),
        text=True,
        check=True,
        capture_output=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert json.loads(done.stdout) == [recipe.fingerprint(), sorted(recipe.plugins), 7]
    assert recipe.plugins >= {"negative", "objectives", "ascents", "schedules"}
