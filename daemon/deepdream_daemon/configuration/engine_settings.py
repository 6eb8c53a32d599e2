"""What ``config.toml`` may say of the computation, the pictures, the monitoring and the plugins: every key declared
with default, bounds and meaning.
"""

# ruff: noqa: RUF009  (key() is dataclasses.field())
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deepdream_daemon.configuration.key import key


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Where and how much at once; ``None`` leaves the choice to torch (``num_threads``) or the engine."""

    device: str = key(
        "text",
        "auto",
        choices=("auto", "cpu", "mps", "cuda", "cuda:0"),
        pattern=r"auto|cpu|mps|cuda(:\d+)?",
        help='where dreams are computed; "auto" takes a GPU when there is one',
    )
    num_threads: int | None = key(
        "integer", None, auto=True, minimum=1, maximum=1024, help="CPU threads of the computation"
    )
    max_batch: int = key("integer", 32, minimum=1, maximum=1024, help="pictures that are dreamt at once, at most")
    memory_gib: float | None = key(
        "number",
        None,
        auto=True,
        minimum=0.25,
        maximum=4096,
        help='of the device\'s memory, for the computation; "auto" takes a share of what is free',
    )
    tile_px: int | None = key(
        "integer",
        None,
        auto=True,
        minimum=128,
        maximum=16384,
        help='the side of the tiles that pictures are dreamt in; "auto" is the largest that fits the memory',
    )
    compile: bool = key("boolean", False, help="record the computation as CUDA graphs: quicker once it has started")
    stall_seconds: float = key(
        "number",
        600.0,
        minimum=10,
        maximum=86400,
        help="a computation that makes no progress for so long is ended, and begun again with fewer pictures",
    )


@dataclass(frozen=True, kw_only=True)
class PictureSettings:
    """Which pictures are taken, and what each may cost."""

    max_megapixels: float = key(
        "number", 200.0, minimum=0.01, maximum=10000, help="larger pictures are refused before they are decoded"
    )
    decode_seconds: float = key(
        "number", 60.0, minimum=1, maximum=3600, help="a picture that takes longer to decode is refused"
    )
    decode_gib: float | None = key(
        "number",
        None,
        auto=True,
        minimum=0.25,
        maximum=1024,
        help='a picture that takes more memory to decode is refused; "auto" goes by its size',
    )
    job_seconds: float = key(
        "number",
        86400.0,
        minimum=1,
        maximum=604800,
        help="a picture that takes more seconds of work, all its tries together, is given up; "
        "waiting and copies do not count; of a film, for one frame",
    )


@dataclass(frozen=True, kw_only=True)
class MonitoringSettings:
    """Health and metrics over HTTP, on the loopback address alone."""

    port: int = key(
        "integer",
        0,
        minimum=0,
        maximum=65535,
        help="serve /healthz, /readyz and /metrics at http://127.0.0.1:PORT; 0 serves nothing",
    )


@dataclass(frozen=True, kw_only=True)
class PluginSettings:
    """Third-party plugins by name, and the folder of loose ``.py`` files; none of either by default."""

    enable: tuple[str, ...] = key("strings", (), help="installed packages to enable, by name")
    folder: Path | None = key("path", None, help="load every .py file of this folder, too")
    sha256: Mapping[str, str] = key(
        "digests",
        {},
        pattern="[0-9a-fA-F]{64}",
        advice=" 'deepdream plugins' shows that of each plugin.",
        help="the code that a plugin must have, by its name; one with other code is not loaded",
    )
    load_seconds: float = key(
        "number", 30.0, minimum=0.1, maximum=3600, help="a plugin that takes longer to load is given up"
    )
    filter_seconds: float = key(
        "number", 120.0, minimum=1, maximum=86400, help="a plugin's filter that takes longer for a picture is given up"
    )
