"""``config.toml`` becomes :class:`Settings`, or one error that names file, line, key and what would be right.

Read here is everything but the insides of ``[recipes.*]``: those belong to the recipe book, which knows the
plugins' options (:mod:`deepdream_daemon.configuration.assembly`).
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from deepdream_daemon.configuration.apart import check_apart
from deepdream_daemon.configuration.settings import LONGEST_SHUTDOWN_SECONDS as LONGEST_SHUTDOWN_SECONDS  # noqa: PLC0414
from deepdream_daemon.configuration.settings import (
    TABLES,
    EngineSettings,
    FolderSettings,
    MonitoringSettings,
    PictureSettings,
    PluginSettings,
    Settings,
    keys_in,
)
from deepdream_daemon.configuration.tables import Table
from deepdream_daemon.configuration.there import check_there
from deepdream_daemon.publishing.names import check_template
from deepdream_engine.errors import BadOption
from deepdream_plugins.toml_source import TomlSource

TEMPLATE = Path(__file__).with_name("config.toml")
"""The commented configuration that ``deepdream init`` writes."""

VARIABLE = "DEEPDREAM_CONFIG"


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
    root.allow([*TABLES, "models", "recipes"])
    own = [root.table(table).read(keys_in(table)) for table in ("daemon", "logging")]
    settings = Settings(
        path=path.absolute(),
        **{field: value for values in own for field, value in values.items()},
        folders=tuple(_folder(table) for table in root.tables("folders")),
        engine=EngineSettings(**root.table("engine").read(keys_in("engine"))),
        pictures=PictureSettings(**root.table("pictures").read(keys_in("pictures"))),
        plugins=PluginSettings(**root.table("plugins").read(keys_in("plugins"))),
        monitoring=MonitoringSettings(**root.table("monitoring").read(keys_in("monitoring"))),
        models=_named_tables(root.table("models")),
        recipes=_named_tables(root.table("recipes")),
    )
    if folders_must_exist:
        check_there(settings, source.where)
    check_apart(settings, source.where)
    return settings


def _folder(table: Table) -> FolderSettings:
    folder = FolderSettings(**table.read(keys_in("folders")))
    _check_name(table, folder)
    _check_processed(table, folder)
    return folder


def _check_name(table: Table, folder: FolderSettings) -> None:
    try:
        check_template(folder.name)
    except BadOption as error:
        raise BadOption(f"{table.where(*table.keys, 'name')}: {error}") from error


def _check_processed(table: Table, folder: FolderSettings) -> None:
    """Whoever names a place for pictures wants them moved, and who wants them moved must say where."""
    if folder.source == "move" and folder.processed is None:
        raise BadOption(
            f'{table.where(*table.keys, "source")}: source = "move" needs a folder to move pictures to. '
            'Add a line: processed = "processed"'
        )
    if folder.source != "move" and folder.processed is not None:
        raise BadOption(
            f"{table.where(*table.keys, 'processed')}: pictures are moved to {str(folder.processed)!r} only with "
            f'source = "move", and source is {folder.source!r}. Change that, or remove this line.'
        )


def _named_tables(table: Table) -> dict[str, dict[str, object]]:
    return {name: dict(table.table(name).data) for name in table.data}


def write_template(directory: Path) -> Settings:
    """Write the template into ``directory`` together with its folders and its schema; refuses to replace a file."""
    from deepdream_daemon.configuration.assembly import assemble
    from deepdream_daemon.configuration.schema import DIRECTIVE, write_schema

    path = directory / "config.toml"
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            file.write(f"{DIRECTIVE}\n".encode() + TEMPLATE.read_bytes())
    except FileExistsError:
        raise BadOption(f"{str(path)!r} is there already and was left as it is. Name another DIR.") from None
    settings = load_settings(path, folders_must_exist=False)
    for folder in settings.folders:
        folder.input.mkdir(parents=True, exist_ok=True)
        folder.output.mkdir(parents=True, exist_ok=True)
    write_schema(path, assemble(path))
    return settings


def _existing(path: Path, origin: str) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        raise BadOption(f"{origin}: {str(path)!r} is a folder. Name the file: {str(path / 'config.toml')!r}.")
    raise BadOption(f"{origin}: the file {str(path)!r} does not exist. 'deepdream init' writes one.")
