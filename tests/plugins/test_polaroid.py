"""The tutorial's sink, called twice at once: by two entries of a folder, or by a call that was given up and goes on."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

import deepdream_plugins
from deepdream_plugins import Selection, load_catalogue
from tests.delivering import Desk

EXAMPLES = Path(deepdream_plugins.__file__).parent.parent / "examples"


def test_two_calls_at_once_do_not_take_each_others_unfinished_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load_catalogue(Selection(folder=EXAMPLES)).sinks["polaroid"].spec
    delivery = Desk(tmp_path).dream()
    both, real = threading.Barrier(2), Image.Image.save

    def save(picture: Image.Image, *args: object, **options: object) -> None:
        real(picture, *args, **options)  # type: ignore[arg-type]
        both.wait(5)

    monkeypatch.setattr(Image.Image, "save", save)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(spec.deliver, delivery, width=100, border=10) for _ in range(2)]:
            done.result()
    (made,) = (tmp_path / "out" / "polaroids").iterdir()
    with Image.open(made) as polaroid:
        assert polaroid.size == (120, 115)
