"""All sinks are found without importing what they need to deliver."""

from __future__ import annotations

import os
import subprocess
import sys

from deepdream_plugins import load_catalogue

HEAVY = ("torch", "PIL", "numpy", "aiohttp", "asyncio", "fsspec", "s3fs", "jeepney", "ssl")


def test_the_built_in_sinks_are_listed_without_importing_what_they_deliver_with() -> None:
    code = (
        "import sys; import deepdream_plugins.builtin.sinks as sinks; names = [s.name for s in sinks.deepdream_sinks()]"
        f"; print(names, [name for name in {HEAVY} if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == "['contact_sheet', 'animation', 'copy', 'webhook', 'notification'] []"


def test_every_option_of_the_sinks_says_what_it_is() -> None:
    sinks = load_catalogue().sinks
    for owned in sinks.values():
        assert owned.spec.limit_seconds > 0
        for option in owned.spec.options:
            assert len(option.help) > 5, (owned.spec.name, option.name)
            assert option.default is not None or option.name == "url"
