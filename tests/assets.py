"""Large files that some tests can use: pictures and weights too large, or not ours, to be part of the project.

They lie in the folder that ``DEEPDREAM_TEST_ASSETS`` names, or in ``shared`` beside the checkout. Tests that ask
for one are skipped where it is absent.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("DEEPDREAM_TEST_ASSETS") or Path(__file__).resolve().parents[2] / "shared")


def asset(name: str) -> Path:
    """Return the file or folder ``name`` among the assets, or skip the test."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"needs {name} in DEEPDREAM_TEST_ASSETS")
    return path
