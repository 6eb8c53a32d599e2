"""What ``[models.NAME]`` may say: each mistake is an error that names the place, the value and what would be right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deepdream_engine.errors import BadOption
from deepdream_plugins import ModelSpec
from deepdream_plugins.own_models import own_plugin
from deepdream_plugins.toml_source import TomlSource
from tests.plugins.own_networks import spec_of


def from_toml(text: str, folder: Path, *watched: Path) -> list[ModelSpec]:
    source = TomlSource.parse(text, "config.toml")
    plugin: Any = own_plugin(source.data["models"], folder, source.where, watched)
    return list(plugin.deepdream_models())


def test_every_table_becomes_a_model_in_the_order_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "net.pt2").touch()
    text = """
        [models.one]
        torchvision = "resnet50"
        [models."two.v2"]
        file = "net.pt2"
        default_tap = "layer3"
        min_side_px = 64
        help = "mine"
    """
    one, two = from_toml(text, tmp_path)
    assert (one.name, one.help, one.default_tap) == (
        "one",
        "a network of your own, from torchvision: resnet50",
        "middle",
    )
    assert (two.name, two.help, two.default_tap, two.min_side_px) == ("two.v2", "mine", "layer3", 64)
    assert (one.mean, one.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert one.weights == "torchvision's default ones, fetched on first use"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", r"config.toml:1: models.x: nothing says where the network 'x' comes from.*torchvision: a builder"),
        (
            'timm = "a"\ntorchvision = "b"',
            r"config.toml:2: models.x.timm: a network comes from one place, not from torch",
        ),
        ('torchvison = "b"', r"config.toml:2: models.x.torchvison: unknown key.*Did you mean 'torchvision'"),
        ("torchvision = 3", r'config.toml:2: models.x.torchvision: 3 is not a string. Write it in quotes: "3"'),
        ('timm = ""', r"config.toml:2: models.x.timm: it is empty. Say a model of timm"),
        ('file = "net.pt"', r"config.toml:2: models.x.file: 'net.pt': there is no file .*Did you mean 'net.pt2'"),
        (
            'file = "net.pt2"\nweights = "w"',
            r"config.toml:3: models.x.weights: a file has its weights and arguments in",
        ),
        ('builder = "package.function"', r"config.toml:2: models.x.builder: .* write \"package.module:function\""),
        ('timm = "a"\nweights = "w.pth"', r"config.toml:3: models.x.weights: 'w.pth': there is no file"),
        ('timm = "a"\narguments = 3', r"config.toml:3: models.x.arguments: 3 is not a table; write arguments = {"),
        (
            'timm = "a"\nmean = [1, 2]',
            r"config.toml:3: models.x.mean: \[1.0, 2.0\] is not three numbers, for red, .* or one for all",
        ),
        ('timm = "a"\ninput_range = 255', r"config.toml:3: models.x.input_range: \[255.0\] is not two numbers"),
        ('timm = "a"\nmean = "a"', r"config.toml:3: models.x.mean: 'a' is not a number"),
        ('timm = "a"\nstd = [1, 0, 1]', r"config.toml:3: models.x.std: .*all must be greater than 0"),
        ('timm = "a"\ninput_range = [1, 0]', r"config.toml:3: models.x.input_range: .*white must be more than black"),
        ('timm = "a"\nmin_side_px = 0', r"config.toml:3: models.x.min_side_px: 0 is not an integer from 1 to 4096"),
        ('timm = "a"\nclasses = "names.txt"', r"config.toml:3: models.x.classes: 'names.txt': there is no file"),
        ('timm = "a"\nclasses = "holes.txt"', r"config.toml:3: models.x.classes: line 2 of .*holes.txt' is empty"),
        ('timm = "a"\nclasses = "latin.txt"', r"config.toml:3: models.x.classes: .*latin.txt' cannot be read as text"),
    ],
)
def test_a_mistake_is_told_with_its_line(body: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "net.pt2").touch()
    (tmp_path / "holes.txt").write_text("cat\n\ndog\n")
    (tmp_path / "latin.txt").write_bytes("Bär\n".encode("latin-1"))
    with pytest.raises(BadOption, match=says):
        from_toml(f"[models.x]\n{body}", tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[models."a b"]\ntimm = "x"', r"config.toml:1: models.\"a b\": 'a b' cannot name a model"),
        ("[models]\nx = 3", r"config.toml:2: models.x: 3 is not a table; write \[models.x\]"),
    ],
)
def test_a_wrong_table_is_told_with_its_line(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=says):
        from_toml(text, tmp_path)


def test_the_input_range_is_folded_into_mean_and_deviation(tmp_path: Path) -> None:
    caffe = spec_of(tmp_path, builder="a:b", mean=[123.0, 117.0, 104.0], input_range=[0, 255])
    assert caffe.mean == pytest.approx((123 / 255, 117 / 255, 104 / 255))
    assert caffe.std == pytest.approx((1 / 255,) * 3)
    symmetric = spec_of(tmp_path, builder="a:b", input_range=[-1, 1])
    black, white = ((value - symmetric.mean[0]) / symmetric.std[0] for value in (0, 1))
    assert (black, white) == pytest.approx((-1, 1))


def test_one_mean_and_deviation_is_for_all_three_colours(tmp_path: Path) -> None:
    for grey in (0.5, [0.5]):
        spec = spec_of(tmp_path, timm="x", mean=grey, std=grey)
        assert (spec.mean, spec.std) == ((0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize("form", ["local-dir:{}", "LOCAL-DIR:{}", "local-dir://{}"])
@pytest.mark.parametrize("inside", ["", "/deep", "/../link"])
def test_no_folder_of_timm_may_lie_where_pictures_are_dropped(form: str, inside: str, tmp_path: Path) -> None:
    watched = tmp_path / "in"
    (watched / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(watched, target_is_directory=True)
    text = f'[models.x]\ntimm = "{form.format(f"{watched}{inside}")}"'
    with pytest.raises(BadOption, match=r"^config.toml:2: models.x.timm: .* reached through the watched folder .*/in'"):
        from_toml(text, tmp_path, watched)
    assert from_toml(text, tmp_path, tmp_path / "elsewhere")


def test_no_argument_may_name_what_lies_where_pictures_are_dropped(tmp_path: Path) -> None:
    watched = tmp_path / "in"
    watched.mkdir()
    (watched / "w.pth").touch()
    for argument in ('checkpoint_path = "{}"', 'pretrained_cfg = {{ file = "{}" }}', 'files = [ "{}" ]'):
        text = f'[models.x]\ntimm = "a"\narguments = {{ {argument.format(watched / "w.pth")} }}'
        with pytest.raises(BadOption, match=r"^config.toml:3: models.x.arguments: .*w.pth' is reached through"):
            from_toml(text, tmp_path, watched)
        assert from_toml(text.replace("w.pth", "not-there.pth"), tmp_path, watched)


def test_classes_come_from_a_list_a_file_or_imagenet(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\ndog, hound\n\n", encoding="utf-8")
    for said, expected in (
        (["cat", "dog"], ["cat", "dog"]),
        ("names.txt", ["cat", "dog, hound"]),
    ):
        classes = spec_of(tmp_path, timm="x", classes=said).classes
        assert classes is not None
        assert list(classes()) == expected
    imagenet = spec_of(tmp_path, timm="x", classes="imagenet").classes
    assert imagenet is not None
    assert len(imagenet()) == 1000
    assert spec_of(tmp_path, timm="x").classes is None


def test_listing_them_imports_no_torch(tmp_path: Path) -> None:
    (tmp_path / "net.pt2").touch()
    code = f"""
import sys
from pathlib import Path
from deepdream_plugins.own_models import own_plugin
tables = {{"a": {{"timm": "x"}}, "b": {{"file": "net.pt2"}}, "c": {{"torchvision": "y", "classes": "imagenet"}}}}
assert len(list(own_plugin(tables, Path({str(tmp_path)!r})).deepdream_models())) == 3
assert not {{"torch", "timm", "torchvision", "numpy"}} & set(sys.modules), sorted(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
