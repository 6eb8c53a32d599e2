"""``config.toml`` becomes :class:`Settings`, or one error that names file, line, key and what would be right.

Read here is everything but the insides of ``[recipes.*]``: those belong to the recipe book, which knows the
plugins' options (:mod:`deepdream_daemon.configuration.assembly`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import cast

import platformdirs

from deepdream_daemon.configuration.apart import check_apart
from deepdream_daemon.configuration.settings import (
    EngineSettings,
    FolderSettings,
    LogFormat,
    LogLevel,
    PluginSettings,
    Settings,
)
from deepdream_daemon.configuration.tables import Table
from deepdream_engine.errors import BadOption
from deepdream_plugins.toml_source import TomlSource

TEMPLATE = Path(__file__).with_name("config.toml")
"""The commented configuration that ``deepdream init`` writes."""

VARIABLE = "DEEPDREAM_CONFIG"

LONGEST_SHUTDOWN_SECONDS = 12.0
"""Service managers and desktops kill what has not ended some 15 seconds after they asked."""


def find_config(explicit: Path | None = None) -> Path | None:
    """Return the configuration to use: the one asked for, else the first there is of the usual places."""
    if explicit is not None:
        return _existing(explicit, "--config")
    if named := os.environ.get(VARIABLE):
        return _existing(Path(named), f"${VARIABLE}")
    usual = (Path("config.toml"), platformdirs.user_config_path("deepdream") / "config.toml")
    return next((path for path in usual if path.is_file()), None)


def default_settings() -> Settings:
    """Return the settings that hold without a configuration: nothing is watched."""
    return Settings(path=None, state=platformdirs.user_state_path("deepdream").resolve())


def load_settings(path: Path, *, folders_must_exist: bool = True) -> Settings:
    """Read and check ``path``; raises :class:`BadOption`."""
    return parse_settings(TomlSource.read(path), path, folders_must_exist=folders_must_exist)


def parse_settings(source: TomlSource, path: Path, *, folders_must_exist: bool = True) -> Settings:
    """Return what ``source`` says, every path absolute."""
    root = Table(source.data, source.where, base=path.absolute().parent)
    daemon, pictures, logging = root.table("daemon"), root.table("pictures"), root.table("logging")
    settings = Settings(
        path=path.absolute(),
        state=daemon.path("state", "state"),
        settle_seconds=daemon.number("settle_seconds", Settings.settle_seconds, minimum=0, maximum=3600),
        rescan_seconds=daemon.number("rescan_seconds", Settings.rescan_seconds, minimum=0.1, maximum=86400),
        max_attempts=daemon.integer("max_attempts", Settings.max_attempts, minimum=1, maximum=100),
        shutdown_seconds=_shutdown_seconds(daemon),
        ignore=daemon.strings("ignore", Settings.ignore),
        folders=tuple(_folder(table, folders_must_exist) for table in root.tables("folders")),
        engine=_engine(root.table("engine")),
        max_megapixels=pictures.number("max_megapixels", Settings.max_megapixels, minimum=0.01, maximum=10000),
        plugins=_plugins(root.table("plugins")),
        log_format=cast(LogFormat, logging.choice("format", Settings.log_format, ("auto", "plain", "json"))),
        log_level=cast(LogLevel, logging.choice("level", Settings.log_level, ("debug", "info", "warning", "error"))),
        models=_named_tables(root.table("models")),
        recipes=_named_tables(root.table("recipes")),
    )
    for table in (daemon, pictures, logging, root):
        table.finish()
    check_apart(settings, source.where)
    return settings


def _shutdown_seconds(daemon: Table) -> float:
    why = " Whoever asks for the end soon enforces it; dreams that are not done by then are queued again."
    return daemon.number(
        "shutdown_seconds", Settings.shutdown_seconds, minimum=0, maximum=LONGEST_SHUTDOWN_SECONDS, why=why
    )


def _folder(table: Table, must_exist: bool) -> FolderSettings:
    watched, output = table.optional_path("input"), table.optional_path("output")
    recipe, sinks = table.text("recipe", FolderSettings.recipe), table.named("sinks")
    table.finish()
    if watched is None:
        raise table.missing("input", "the folder that is watched for pictures")
    if output is None:
        raise table.missing("output", "the folder that the dreams appear in")
    folder = FolderSettings(input=watched, output=output, recipe=recipe, sinks=sinks)
    if must_exist:
        for name, path in (("input", folder.input), ("output", folder.output)):
            if not path.is_dir():
                fault = "is not a folder" if path.exists() else "does not exist"
                advice = f"Create it (mkdir -p '{path}'), or let 'deepdream init' make new ones."
                raise BadOption(f"{table.where(*table.keys, name)}: the folder {str(path)!r} {fault}. {advice}")
    return folder


def _engine(table: Table) -> EngineSettings:
    device = table.text("device", EngineSettings.device)
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise table.wrong_choice("device", device, ("auto", "cpu", "mps", "cuda", "cuda:0"))
    engine = EngineSettings(
        device=device,
        num_threads=table.integer_or_auto("num_threads", minimum=1, maximum=1024),
        max_batch=table.integer("max_batch", EngineSettings.max_batch, minimum=1, maximum=1024),
        memory_gib=table.number_or_auto("memory_gib", minimum=0.25, maximum=4096),
        tile_px=table.integer_or_auto("tile_px", minimum=128, maximum=16384),
        compile=table.boolean("compile", EngineSettings.compile),
    )
    table.finish()
    return engine


def _plugins(table: Table) -> PluginSettings:
    plugins = PluginSettings(
        enable=table.strings("enable", PluginSettings.enable),
        folder=table.optional_path("folder"),
        sha256=_pins(table.table("sha256")),
        load_seconds=table.number("load_seconds", PluginSettings.load_seconds, minimum=0.1, maximum=3600),
        filter_seconds=table.number("filter_seconds", PluginSettings.filter_seconds, minimum=1, maximum=86400),
    )
    table.finish()
    return plugins


def _pins(table: Table) -> dict[str, str]:
    pins = {name: table.text(name, "").lower() for name in table.data}
    for name, digest in pins.items():
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            advice = " 'deepdream plugins' shows that of each plugin."
            raise table.wrong("must be a SHA-256 of 64 hexadecimal digits", digest, name, advice)
    return pins


def _named_tables(table: Table) -> dict[str, dict[str, object]]:
    return {name: dict(table.table(name).data) for name in table.data}


def write_template(directory: Path) -> Settings:
    """Write the template into ``directory`` together with its folders; refuses to replace a file."""
    path = directory / "config.toml"
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            file.write(TEMPLATE.read_bytes())
    except FileExistsError:
        raise BadOption(f"{str(path)!r} is there already and was left as it is. Name another DIR.") from None
    settings = load_settings(path, folders_must_exist=False)
    for folder in settings.folders:
        folder.input.mkdir(parents=True, exist_ok=True)
        folder.output.mkdir(parents=True, exist_ok=True)
    return settings


def _existing(path: Path, origin: str) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        raise BadOption(f"{origin}: {str(path)!r} is a folder. Name the file: {str(path / 'config.toml')!r}.")
    raise BadOption(f"{origin}: the file {str(path)!r} does not exist. 'deepdream init' writes one.")
