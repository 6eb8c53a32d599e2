"""What holds for every built-in filter: any size, any number of pictures, the same each time, in little memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from deepdream_plugins.builtin.filters import blocks
from tests.plugins.filter_runs import CATALOGUE, MOVING, STAYING, VARIANTS, pictures, run

ODD_SIZES = [(1, 1), (1, 7), (9, 2), (33, 51), (3, 400), (400, 3)]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
@pytest.mark.parametrize(("height", "width"), ODD_SIZES)
def test_any_size_will_do_and_alone_equals_among_others(
    name: str, options: dict[str, object], height: int, width: int
) -> None:
    given, source = pictures(height, width, 1, 3), pictures(height, width, 2, 3)
    kept = given.clone(), source.clone()
    together = run(name, given, source, **options)
    assert name in MOVING or together.shape == given.shape
    assert together.shape[:2] == (3, 3)
    assert together.dtype == torch.float32
    assert together.isfinite().all()
    assert together.min() >= -1e-6
    assert together.max() <= 1 + 1e-6
    alone = run(name, given[1:2], source[1:2], **options)
    torch.testing.assert_close(alone, together[1:2], rtol=0, atol=1e-6)
    assert torch.equal(together, run(name, given, source, **options))
    assert torch.equal(given, kept[0])
    assert torch.equal(source, kept[1])


@pytest.mark.parametrize(("name", "options"), VARIANTS)
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_black_and_white_are_pictures_too(name: str, options: dict[str, object], level: float) -> None:
    given, source = torch.full((1, 3, 33, 20), level), pictures(33, 20)
    for dream, before in ((given, source), (source, given), (given, given)):
        result = run(name, dream, before, **options)
        assert result.isfinite().all()
        assert result.min() >= -1e-6
        assert result.max() <= 1 + 1e-6


@pytest.mark.parametrize(("name", "options"), [each for each in VARIANTS if each[0] in STAYING])
@pytest.mark.parametrize(
    ("height", "width", "elements", "block_width"),
    [(1, 7, 1, 1), (7, 5, 1, 1), (9, 2, 200, 5), (33, 51, 200, 5), (33, 51, 1000, 33), (50, 7, 1000, 33)],
)
def test_working_block_by_block_leaves_no_trace(
    name: str,
    options: dict[str, object],
    height: int,
    width: int,
    elements: int,
    block_width: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given, source = pictures(height, width, 1, 2), pictures(height, width, 2, 2)
    whole = run(name, given, source, **options)
    monkeypatch.setattr(blocks, "SERIAL", elements)
    monkeypatch.setattr(blocks, "BLOCK_WIDTH", block_width)
    tolerance = 1e-5 if options.get("space") == "lab" else 5e-7  # cube roots differ with the length of the vectors
    torch.testing.assert_close(run(name, given, source, **options), whole, rtol=0, atol=tolerance)


class Large(TorchDispatchMode):
    """Keeps every tensor of at least ``numel`` elements that is made, but no views."""

    def __init__(self, numel: int, *known: Tensor) -> None:
        super().__init__()
        self._numel = numel
        self._known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.made: dict[int, Tensor] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor) and tensor.numel() >= self._numel:
                place = tensor.untyped_storage().data_ptr()
                if place not in self._known:
                    self.made[place] = tensor
        return result


@pytest.mark.parametrize(
    ("name", "options"), [each for each in VARIANTS if each[0] in STAYING and each[0] != "match_histogram"]
)
def test_a_filter_makes_one_tensor_of_the_pictures_size(
    name: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "SERIAL", 600)
    monkeypatch.setattr(blocks, "BLOCK_WIDTH", 30)
    given, source = pictures(80, 60), pictures(80, 60, 2)
    with Large(given[:, :1].numel(), given, source) as large:
        run(name, given, source, **{**options, "tiles": 2} if name == "local_contrast" else options)
    random_numbers = name == "film_grain"
    assert len(large.made) == 1 + random_numbers


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOGUE.postfilters)
def test_24_megapixels_take_less_than_3_gib(name: str) -> None:
    code = f"""
import resource, torch
from tests.plugins.filter_runs import run
given, source = torch.rand(2, 1, 3, 4000, 6000)
run({name!r}, given[..., :99, :99], source[..., :99, :99])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run({name!r}, given, source)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1024  # MiB beyond two pictures of 275 MiB each


def test_listing_them_imports_neither_torch_nor_kornia() -> None:
    code = """
import sys
from deepdream_plugins import load_catalogue
catalogue = load_catalogue()
assert catalogue.postfilters["keep_colours"].spec.options
print([name for name in ("torch", "kornia", "torchvision", "PIL", "numpy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
