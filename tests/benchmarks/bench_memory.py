"""Peak host memory of each stage of a dream, and of a whole ``deepdream dream``, by the size of the picture.

    python tests/benchmarks/bench_memory.py [--megapixels 2 8 24 100] [--stages decode-jpeg dream] [--json FILE]

Every figure comes from a process of its own, whose high-water mark is reset when the stage begins (Linux only).
``peak`` is what the process held at most beyond its own size with everything imported and nothing loaded, so it counts
the stage's input; ``added`` is what the stage came to on top of that input. For a whole dream, ``peak`` is all of the
process, and ``budget`` its share of what it may be: 1 GiB + 48 bytes per pixel, and on a CPU the passes' own memory
(``engine.memory_gib``) on top, which on a GPU would be the GPU's.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_plugins import FilterContext, FilterSpec

MIB = 2**20
BUDGET_BYTES, BUDGET_BYTES_PER_PIXEL = 2**30, 48
ENCODED = {"jpeg": "photo.jpg", "turned-jpeg": "turned.jpg", "png": "photo.png", "alpha-png": "alpha.png"}
FILTERS: Mapping[str, Mapping[str, object]] = {
    "blend": {"amount": 0.3},
    "keep_colours": {"amount": 0.7},
    "sharpen": {"radius": 1.5, "amount": 0.6},
    "vignette": {"strength": 0.4, "softness": 0.6},
}
STAGES = (
    *(f"decode-{kind}" for kind in ENCODED),
    "resize",
    *FILTERS,
    "all-postfilters",
    *(f"encode-{format}" for format in ("jpeg", "png", "tiff", "bmp")),
    "dream",
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One stage at one size; all sizes in bytes."""

    stage: str
    pixels: int
    peak: int
    added: int
    seconds: float

    def budget(self, memory_gib: float) -> float:
        """The share of what a whole dream may take."""
        return self.peak / (BUDGET_BYTES + BUDGET_BYTES_PER_PIXEL * self.pixels + memory_gib * 2**30)


def paint(directory: Path, megapixels: float) -> None:
    """Write one detailed photo, 4 to 3, in every form of ``ENCODED``: shapes of all sizes, edges and grain."""
    import numpy as np
    from PIL import Image

    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(megapixels * 1e6 / height)
    rng = np.random.default_rng(1)
    image = Image.new("RGB", (width, height))
    for cells in (4, 16, 64, 256, 1024):
        noise = Image.fromarray(rng.integers(0, 256, (min(cells, height), min(cells, width), 3), dtype=np.uint8))
        image = Image.blend(image, noise.resize((width, height), Image.Resampling.BILINEAR), 0.4)
    for top in range(0, height, 256):
        band = np.asarray(image.crop((0, top, width, min(top + 256, height)))).astype(np.int16)
        band += rng.integers(-6, 7, band.shape, dtype=np.int16)
        image.paste(Image.fromarray(band.clip(0, 255).astype(np.uint8)), (0, top))
    exif = Image.Exif()
    exif[0x112] = 6
    image.save(directory / ENCODED["jpeg"], quality=92)
    image.save(directory / ENCODED["turned-jpeg"], quality=92, exif=exif.tobytes())
    image.save(directory / ENCODED["png"], compress_level=1)
    image.putalpha(image.getchannel("G"))
    image.save(directory / ENCODED["alpha-png"], compress_level=1)


def applied(spec: FilterSpec, picture: Tensor, context: FilterContext, given: Mapping[str, object]) -> Tensor:
    """Apply a filter with the options ``given`` and the defaults of all others."""
    from deepdream_plugins.options import fill

    return spec.apply(picture, context, **fill(spec.options, given, lambda *_: spec.name, of=spec.name))


def stage_work(stage: str, directory: Path) -> Callable[[], Callable[[], Any]]:
    """Return what loads the stage's input and returns the stage itself; all imports are done here."""
    import torch

    from deepdream_engine.pictures import OutputOptions, decode, encode
    from deepdream_plugins import FilterContext, RecipeBook, load_catalogue

    def pixels(name: str) -> torch.Tensor:
        return torch.from_numpy(decode((directory / ENCODED[name]).read_bytes()).pixels).permute(2, 0, 1).contiguous()

    kind, _, what = stage.partition("-")
    if kind == "decode":

        def load_bytes() -> Callable[[], Any]:
            data = (directory / ENCODED[what]).read_bytes()
            return lambda: torch.from_numpy(decode(data).pixels).permute(2, 0, 1).contiguous()

        return load_bytes
    if kind == "encode":

        def load_dream() -> Callable[[], Any]:
            picture = decode((directory / ENCODED["jpeg"]).read_bytes())
            dream = torch.from_numpy(picture.pixels).permute(2, 0, 1)
            return lambda: encode(dream.permute(1, 2, 0).numpy(), picture, OutputOptions(what), {"made": "here"})

        return load_dream
    catalogue = load_catalogue()
    if stage == "resize":

        def load_photo() -> Callable[[], Any]:
            picture = pixels("jpeg")[None]
            context = FilterContext(source=picture, seed=1)
            return lambda: applied(catalogue.prefilters["resize"].spec, picture, context, {"longest_side": 1280})

        return load_photo
    if stage in FILTERS:

        def load_two() -> Callable[[], Any]:
            source = pixels("jpeg")[None]
            dream = torch.rand(source.shape)
            context = FilterContext(source=source, seed=1)
            return lambda: applied(catalogue.postfilters[stage].spec, dream, context, FILTERS[stage])

        return load_two
    filters = [{"name": name, **options} for name, options in FILTERS.items()]
    recipe = RecipeBook(catalogue).resolve("classic", [({"postfilters": filters}, lambda *keys: "bench")])

    def load_for_recipe() -> Callable[[], Any]:
        source = pixels("jpeg")
        dream = torch.rand(source.shape)
        return lambda: recipe.postfilter(dream, source, 1)

    return load_for_recipe


def measure_here(stage: str, directory: Path, pixels: int) -> Measured:
    """Measure one stage in this process, which must be new."""
    import torch

    torch.set_num_threads(2)
    load = stage_work(stage, directory)
    torch.rand(1 << 16).sqrt().sum()  # starts the threads
    bare = _resident()
    work = load()
    before = _resident()
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    since = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - since
    peak = _status("VmHWM")
    del result
    return Measured(stage=stage, pixels=pixels, peak=peak - bare, added=peak - before, seconds=seconds)


def _resident() -> int:
    """Return the size of the process without what has been freed: that would hide what a stage takes."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def measure_dream(directory: Path, pixels: int, memory_gib: float) -> Measured:
    """Measure a whole ``deepdream dream`` with the embedded model: one step, one octave, no filter."""
    config = directory / "config.toml"
    config.write_text(f'[engine]\ndevice = "cpu"\nmemory_gib = {memory_gib}\n')
    command = [sys.executable, "-m", "deepdream_daemon", "dream", str(directory / ENCODED["jpeg"])]
    command += ["--config", str(config), "--output", str(directory / "dreams")]
    command += ["--set", "steps=1", "--set", "octaves=1"]
    command += ["--set", "prefilters=[]", "--set", "postfilters=[]", "--set", "output.format=png"]
    since = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with code {process.returncode}")
    peak = usage.ru_maxrss * 1024
    return Measured(stage="dream", pixels=pixels, peak=peak, added=peak, seconds=time.perf_counter() - since)


def measure(stage: str, directory: Path, pixels: int, memory_gib: float) -> Measured:
    """Measure one stage in a process of its own."""
    if stage == "dream":
        return measure_dream(directory, pixels, memory_gib)
    command = [sys.executable, __file__, "--in-this-process", stage, str(directory), str(pixels)]
    return Measured(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def row(result: Measured, memory_gib: float) -> str:
    """Word one line of the table."""
    budget = f"{result.budget(memory_gib):7.0%}" if result.stage == "dream" else ""
    return (
        f"{result.stage:<20}{result.pixels / 1e6:7.1f}{result.peak / MIB:10.0f}{result.peak / result.pixels:8.1f}"
        f"{result.added / MIB:11.0f}{result.added / result.pixels:8.1f}{result.seconds:9.2f}  {budget}"
    )


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[2, 8, 24, 100])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--memory-gib", type=float, default=1.0, help="engine.memory_gib of whole dreams; default 1")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--in-this-process", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.in_this_process:
        stage, directory, pixels = options.in_this_process
        print(json.dumps(asdict(measure_here(stage, Path(directory), int(pixels)))))
        return
    print(f"{'stage':<20}{'Mpx':>7}{'peak MiB':>10}{'B/px':>8}{'added MiB':>11}{'B/px':>8}{'seconds':>9}   budget")
    results = []
    for megapixels in options.megapixels:
        with tempfile.TemporaryDirectory() as directory:
            paint(Path(directory), megapixels)
            for stage in options.stages:
                results.append(measure(stage, Path(directory), round(megapixels * 1e6), options.memory_gib))
                print(row(results[-1], options.memory_gib), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
