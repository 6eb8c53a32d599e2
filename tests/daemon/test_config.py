"""The configuration: what is wrong is one error with file, line, key, value and advice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deepdream_daemon.configuration.assembly import assemble
from deepdream_daemon.configuration.config import TEMPLATE, find_config, load_settings, write_template
from deepdream_daemon.configuration.schema import FILE
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
from deepdream_engine.device import device_names
from deepdream_engine.errors import BadOption


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with an input and an output in it."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    return tmp_path


FOLDER = '[[folders]]\ninput = "in"\noutput = "out"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def error_of(folder: Path, text: str) -> str:
    with pytest.raises(BadOption) as caught:
        assemble(write(folder, text), to_run=True)
    return str(caught.value)


def test_the_template_says_the_defaults(tmp_path: Path) -> None:
    settings = write_template(tmp_path)
    assert settings == Settings(
        path=tmp_path / "config.toml",
        state=tmp_path / "state",
        folders=(FolderSettings(input=tmp_path / "in", output=tmp_path / "out"),),
    )
    assert (tmp_path / "in").is_dir()
    assert (tmp_path / "out").is_dir()
    assert assemble(tmp_path / "config.toml", to_run=True).settings == settings


def test_the_template_is_the_file_at_the_top() -> None:
    assert TEMPLATE.read_bytes() == (Path(__file__).parents[2] / "config.toml").read_bytes()


def test_the_template_names_the_schema_that_is_written_beside_it(tmp_path: Path) -> None:
    write_template(tmp_path)
    first, rest = (tmp_path / "config.toml").read_text().split("\n", 1)
    assert first == f"#:schema {FILE}"
    assert rest == TEMPLATE.read_text()
    assert (tmp_path / FILE).is_file()


@pytest.mark.parametrize("table", TABLES)
def test_the_template_shows_every_key(table: str) -> None:
    text = TEMPLATE.read_text()
    header = rf"(?m)^\[+{table}\]+$"
    assert re.search(header, text), f"{table} is not in the template"
    own = re.split(r"(?m)^\[", re.split(header, text, maxsplit=1)[1], maxsplit=1)[0]
    for key in keys_in(table):
        shown = rf"(?m)^(# )?{key.name} = |^(# )?\[{table}\.{key.name}\]"
        assert re.search(shown, own), f"{table}.{key.name} is not in the template"


@pytest.mark.parametrize("table", ["models", "recipes"])
def test_the_template_shows_an_example_of_what_has_names(table: str) -> None:
    assert re.search(rf"(?m)^# \[{table}\.\w+\]$", TEMPLATE.read_text()), f"{table} is not in the template"


def test_the_recipe_in_the_template_works_when_uncommented(tmp_path: Path) -> None:
    write_template(tmp_path)
    path = tmp_path / "config.toml"
    head, example = path.read_text().split("# [recipes.mine]")
    lines = ("# [recipes.mine]" + example).splitlines()
    path.write_text(head + "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines))
    recipe = assemble(path, to_run=True).book.resolve("mine")
    made = recipe.to_dict()
    assert (made["octaves"], made["objective"]["layer"]) == (6, "mixed4c")


DIGEST = "0123456789ABCDEF" * 4


def test_every_setting_is_read(home: Path) -> None:
    text = f"""
[[folders]]
input = "in"
output = "~/dreams"
recipe = "deep"
sinks = ["one", {{ name = "two", size = 3 }}]
priority = 5
hours = ["22:00-06:00", "12:00-24:00"]
max_at_once = 2
ignore = ["draft*"]
polling = true
name = "{{date}}-{{stem}}"
collision = "skip"
mode = "0640"
source = "move"
processed = "old"
deduplicate = true
copy_through = true
[daemon]
state = "/var/lib/deepdream"
settle_seconds = 1
rescan_seconds = 5.5
max_attempts = 7
shutdown_seconds = 11
ignore = ["*.raw"]
max_queued = 1000
min_free_gib = 2
keep_days = 30
reload = false
[engine]
device = "cuda:1"
num_threads = 3
max_batch = 4
memory_gib = 1.5
tile_px = 512
compile = true
stall_seconds = 60
[pictures]
max_megapixels = 50
decode_seconds = 20
decode_gib = 2
job_seconds = 100
[monitoring]
port = 9108
[plugins]
enable = ["sepia"]
folder = "mine"
load_seconds = 5
filter_seconds = 60
[plugins.sha256]
sepia = "{DIGEST}"
[models.own]
torchvision = "resnet18"
[logging]
format = "json"
level = "debug"
[recipes.mine]
octaves = 6
"""
    assert load_settings(write(home, text), folders_must_exist=False) == Settings(
        path=home / "config.toml",
        state=Path("/var/lib/deepdream"),
        folders=(
            FolderSettings(
                input=home / "in",
                output=Path.home() / "dreams",
                recipe="deep",
                sinks=("one", {"name": "two", "size": 3}),
                priority=5,
                hours=("22:00-06:00", "12:00-24:00"),
                max_at_once=2,
                ignore=("draft*",),
                polling=True,
                name="{date}-{stem}",
                collision="skip",
                mode="0640",
                source="move",
                processed=home / "old",
                deduplicate=True,
                copy_through=True,
            ),
        ),
        settle_seconds=1.0,
        rescan_seconds=5.5,
        max_attempts=7,
        shutdown_seconds=11.0,
        ignore=("*.raw",),
        max_queued=1000,
        min_free_gib=2.0,
        keep_days=30.0,
        reload=False,
        engine=EngineSettings(
            device="cuda:1", num_threads=3, max_batch=4, memory_gib=1.5, tile_px=512, compile=True, stall_seconds=60.0
        ),
        pictures=PictureSettings(max_megapixels=50.0, decode_seconds=20.0, decode_gib=2.0, job_seconds=100.0),
        monitoring=MonitoringSettings(port=9108),
        plugins=PluginSettings(
            enable=("sepia",),
            folder=home / "mine",
            sha256={"sepia": DIGEST.lower()},
            load_seconds=5.0,
            filter_seconds=60.0,
        ),
        models={"own": {"torchvision": "resnet18"}},
        log_format="json",
        log_level="debug",
        recipes={"mine": {"octaves": 6}},
    )


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ("[deamon]\n", 1, ["deamon", "table 'deamon'", "Did you mean 'daemon'?", "folders"]),
        (
            "[daemon]\nsettle_second = 1\n",
            2,
            ["daemon.settle_second", "Did you mean 'settle_seconds'?", "state"],
        ),
        ("[daemon]\nsettle_seconds = -1\n", 2, ["daemon.settle_seconds", "from 0 to 3600", "not -1"]),
        ("[daemon]\nsettle_seconds = nan\n", 2, ["daemon.settle_seconds", "a number", "not nan"]),
        ('[daemon]\nsettle_seconds = "2"\n', 2, ["daemon.settle_seconds", "must be a number", "not '2'"]),
        ("[daemon]\nmax_attempts = true\n", 2, ["daemon.max_attempts", "whole number", "not true"]),
        ("[daemon]\nmax_attempts = 2.5\n", 2, ["daemon.max_attempts", "whole number", "not 2.5"]),
        ("[daemon]\nstate = 5\n", 2, ["daemon.state", "a path in quotes", "not 5"]),
        ('[daemon]\nignore = "*.raw"\n', 2, ["daemon.ignore", "a list of strings", "not '*.raw'"]),
        ("daemon = 1\n", 1, ["daemon", "a table is needed here", "not 1"]),
        ('\n[engine]\ndevice = "cdua"\n', 3, ["engine.device", "'cdua'", "'cpu'", "Did you mean 'cuda'?"]),
        ("[engine]\nnum_threads = 0\n", 2, ["engine.num_threads", "from 1 to 1024", "not 0"]),
        ("[engine]\ntile_px = 64\n", 2, ["engine.tile_px", "from 128", "not 64"]),
        ('[engine]\ntile_px = "big"\n', 2, ["engine.tile_px", '"auto" or a whole number', "not 'big'"]),
        ('[engine]\nmemory_gib = "all"\n', 2, ["engine.memory_gib", '"auto" or a number', "not 'all'"]),
        ("[engine]\nmemory_gib = 0\n", 2, ["engine.memory_gib", "from 0.25 to 4096", "not 0"]),
        ('[engine]\ncompile = "yes"\n', 2, ["engine.compile", "must be true or false", "not 'yes'"]),
        ('[logging]\nlevel = "warn"\n', 2, ["logging.level", "'warn'", "Did you mean 'warning'?", "'debug'"]),
        (
            '[[folders]]\ninput = "in"\noutput = "out"\nhours = ["22-6"]\n',
            4,
            ["folders[0].hours", "22:00-06:00", "'22-6'"],
        ),
        ("[pictures]\nmax_megapixels = 0\n", 2, ["pictures.max_megapixels", "not 0"]),
        ("[plugins]\nenable = [1]\n", 2, ["plugins.enable", "a list of strings", "not [1]"]),
        ('[plugins]\n\nenable = ["nope"]\n', 3, [": plugins.enable[0]: unknown plugin 'nope'"]),
        ('[plugins]\nenable = []\nfolder = "nope"\n', 3, [": plugins.folder: the plugins folder", "nope"]),
        ('[plugins.sha256]\nsepia = "12ab"\n', 2, ["plugins.sha256.sepia", "64 hexadecimal", "not '12ab'", "plugins'"]),
        ("[plugins.sha256]\nsepia = 12\n", 2, ["plugins.sha256.sepia", "64 hexadecimal digits", "not 12"]),
        ("[plugins]\nload_seconds = 0\n", 2, ["plugins.load_seconds", "from 0.1 to 3600", "not 0"]),
        (FOLDER + "sinks = 3\n", 4, ["folders[0].sinks", 'such as ["one", { name = "two" }]', "not 3"]),
        (FOLDER + 'sinks = ["shet"]\n', 4, ["folders[0].sinks[0]", "unknown sink 'shet'"]),
        ("[daemon]\nshutdown_seconds = 12.5\n", 2, ["shutdown_seconds", "from 0 to 12,", "not 12.5", "queued again"]),
        ('[folders]\ninput = "in"\n', 1, ["folders", "[[folders]]"]),
        ('[[folders]]\ninput = "in"\n', 1, ["folders[0]", "key 'output' is missing"]),
        ('[[folders]]\ninptu = "in"\n', 2, ["folders[0].inptu", "Did you mean 'input'?", "recipe"]),
        (
            '[[folders]]\ninput = "no"\noutput = "out"\n',
            2,
            ["folders[0].input", "no'", "does not exist", "mkdir"],
        ),
        (
            '[[folders]]\ninput = "in"\noutput = "no"\n',
            3,
            ["folders[0].output", "does not exist", "deepdream init"],
        ),
        (
            FOLDER + 'recipe = "clasic"\n',
            4,
            ["folders[0].recipe", "'clasic'", "Did you mean 'classic'?", "deep"],
        ),
        ("[recipes.mine]\noctavs = 3\n", 2, ["recipes.mine.octavs", "Did you mean 'octaves'?", "steps"]),
        ("[recipes.mine]\noctaves = 300\n", 2, ["recipes.mine.octaves", "300", "from 1 to 20"]),
        (
            '[recipes.mine]\nbase = "clasic"\n',
            2,
            ["recipes.mine.base", "'clasic'", "Did you mean 'classic'?"],
        ),
        (
            '[recipes.mine]\nmodel = "dreamnte"\n',
            2,
            ["recipes.mine.model", "'dreamnte'", "Did you mean 'dreamnet'?"],
        ),
        (
            '[recipes.mine]\nobjective.layer = "mixed4x"\n',
            2,
            ["recipes.mine.objective.layer", "'mixed4x'", "Did you mean 'mixed4", "conv1"],
        ),
        ("recipes.mine = 3\n", 1, ["recipes.mine", "a table is needed", "not 3"]),
        ("[daemon]\nstate = \n", 2, ["config.toml:2:9", "TOML syntax"]),
        ("[daemon]\nstate = 'a'\nstate = 'b'\n", 3, ["TOML syntax"]),
    ],
)
def test_a_mistake_is_named_with_its_line(home: Path, text: str, line: int, parts: list[str]) -> None:
    message = error_of(home, text)
    assert f"{home / 'config.toml'}:{line}:" in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ('[[folders]]\ninput = "in"\noutput = "in"\n', 3, ["folders[0].output", "is the same folder as"]),
        (
            '[[folders]]\ninput = "in"\noutput = "in/out"\n',
            3,
            ["folders[0].output", "is inside", "in-dreams"],
        ),
        ('[[folders]]\ninput = "in"\noutput = "."\n', 3, ["folders[0].output", "contains"]),
        ('[[folders]]\ninput = "in"\noutput = "link/out"\n', 3, ["folders[0].output", "is inside"]),
        (FOLDER + '[daemon]\nstate = "in/state"\n', 5, ["daemon.state", "is inside", "outside"]),
        (FOLDER + '[plugins]\nfolder = "in/plugins"\n', 5, ["plugins.folder", "is inside", "run code"]),
        (FOLDER + '[plugins]\nfolder = "."\n', 5, ["plugins.folder", "contains", "run code"]),
        (
            FOLDER + '[[folders]]\ninput = "in"\noutput = "two"\n',
            5,
            ["folders[1].input", "is the same", "taken twice"],
        ),
        (
            FOLDER + '[[folders]]\ninput = "in/a"\noutput = "two"\n',
            5,
            ["folders[1].input", "is inside", "sub-folders"],
        ),
        (
            FOLDER + '[[folders]]\ninput = "in2"\noutput = "link/x"\n',
            6,
            ["folders[1].output", "dreamt again"],
        ),
    ],
)
def test_folders_that_overlap_are_refused(home: Path, text: str, line: int, parts: list[str]) -> None:
    for name in ("in/out", "in/a", "in/x", "in/plugins", "two", "in2"):
        (home / name).mkdir()
    (home / "link").symlink_to(home / "in")
    message = error_of(home, text)
    assert message.startswith(f"{home / 'config.toml'}:{line}: ")
    for part in parts:
        assert part in message


def test_a_file_in_place_of_a_folder_is_named(home: Path) -> None:
    (home / "file").touch()
    assert "is not a folder" in error_of(home, '[[folders]]\ninput = "file"\noutput = "out"\n')


def test_folders_need_not_exist_to_ask_about_them(tmp_path: Path) -> None:
    assert assemble(write(tmp_path, FOLDER)).settings.folders[0].input == tmp_path / "in"


def test_relative_paths_start_at_the_file_and_links_are_followed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "conf").mkdir()
    (home / "alias").symlink_to(home / "in")
    path = write(home / "conf", '[[folders]]\ninput = "../alias"\noutput = "../out"\n')
    monkeypatch.chdir(home)
    folder = load_settings(Path("conf/config.toml")).folders[0]
    assert (folder.input, folder.output) == (home / "in", home / "out")
    assert load_settings(path).state == home / "conf" / "state"


def test_a_user_that_does_not_exist_is_named(home: Path) -> None:
    message = error_of(home, '[daemon]\nstate = "~nobody-of-this-name/x"\n')
    assert "config.toml:2: daemon.state" in message
    assert "~nobody-of-this-name" in message


def test_the_configuration_is_found_in_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user, here, named, asked = (home / name / "config.toml" for name in ("user/deepdream", "here", "named", "asked"))
    for path in (user, here, named, asked):
        path.parent.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "user"))
    monkeypatch.setattr("platformdirs.user_config_path", lambda _: user.parent)
    monkeypatch.delenv("DEEPDREAM_CONFIG", raising=False)
    monkeypatch.chdir(here.parent)
    assert find_config() is None
    user.touch()
    assert find_config() == user
    here.touch()
    assert find_config() == Path("config.toml")
    named.touch()
    monkeypatch.setenv("DEEPDREAM_CONFIG", str(named))
    assert find_config() == named
    asked.touch()
    assert find_config(asked) == asked


def test_a_configuration_that_is_not_there_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadOption, match=r"--config: the file '.*nope.toml' does not exist\. 'deepdream init'"):
        find_config(home / "nope.toml")
    with pytest.raises(BadOption, match=r"is a folder\. Name the file: '.*config\.toml'"):
        find_config(home)
    monkeypatch.setenv("DEEPDREAM_CONFIG", str(home / "gone.toml"))
    with pytest.raises(BadOption, match=r"\$DEEPDREAM_CONFIG: the file '.*gone\.toml'"):
        find_config()


def test_the_place_of_a_device_that_is_not_there(home: Path) -> None:
    assembly = assemble(write(home, '[engine]\ntile_px = 512\ndevice = "cuda:99"\n'))
    said = r"config\.toml:3: engine\.device: 'cuda:99' is not on this machine"
    with pytest.raises(BadOption, match=said), assembly.placing_device():
        device_names(assembly.settings.engine.device)
    with pytest.raises(BadOption, match=r"^other$"), assembly.placing_device():
        raise BadOption("other")


def test_a_configuration_is_never_replaced(tmp_path: Path) -> None:
    path = write(tmp_path, "[daemon]\n")
    with pytest.raises(BadOption, match="is there already and was left as it is"):
        write_template(tmp_path)
    assert path.read_text() == "[daemon]\n"
