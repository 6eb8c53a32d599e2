"""Letters for labels: whatever a name is written in, as far as there are fonts for it."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_engine.errors import BadOption

if TYPE_CHECKING:
    from PIL import ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Pillow's own font, which is always there, has ASCII alone. These are found by name where systems keep theirs.
_SYSTEM_FONTS = (
    "NotoSans-Regular.ttf",
    "DejaVuSans.ttf",
    "LiberationSans-Regular.ttf",
    "Arial Unicode.ttf",
    "Arial.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKjp-Regular.otf",
    "Hiragino Sans GB.ttc",
)
_NO_CHARACTER = "\U0010ffff"
_MISSING = "?"


class Letters:
    """Fonts of one size: that of the file ``path``, if any, Pillow's own, and those of the system."""

    def __init__(self, path: str, size_px: int) -> None:
        self._fonts = _fonts(path, size_px)

    def fitted(self, text: str, room: float) -> tuple[str, Font]:
        """Return the text and the font to draw it with, no wider than ``room`` pixels.

        A text that is too long loses its middle: names differ at their beginning and their end. What no font has loses
        its accents or becomes a question mark.
        """
        text, font = self._writable(text)
        if font.getlength(text) <= room:
            return text, font
        kept, most = 0, len(text) - 1
        while kept < most:
            middle = (kept + most + 1) // 2
            if font.getlength(_shortened(text, middle)) <= room:
                kept = middle
            else:
                most = middle - 1
        return _shortened(text, kept), font

    def _writable(self, text: str) -> tuple[str, Font]:
        best = max(self._fonts, key=lambda font: sum(_has(font, char) for char in text))  # the first of equals
        return "".join(char if _has(best, char) else _plain(best, char) for char in text), best


def check_font(path: str) -> None:
    """Raise :class:`BadOption` unless the file ``path`` is a font."""
    _font(path, 12)


@lru_cache(maxsize=8)
def _fonts(path: str, size_px: int) -> tuple[Font, ...]:
    from PIL import ImageFont

    found: list[Font] = [_font(path, size_px)] if path else []
    found.append(ImageFont.load_default(size_px))
    for name in _SYSTEM_FONTS:
        try:
            found.append(ImageFont.truetype(name, size_px))
        except OSError:  # it is not on this system
            continue
    return tuple(found)


def _font(path: str, size_px: int) -> Font:
    from PIL import ImageFont

    try:
        return ImageFont.truetype(str(Path(path).expanduser()), size_px)
    except (OSError, RuntimeError) as error:
        raise BadOption(f"font {path!r} cannot be read as a TrueType or OpenType font ({error}).") from error


@lru_cache(maxsize=4096)
def _has(font: Font, char: str) -> bool:
    """Whether the font has a shape for ``char`` other than that of what it has not."""
    return char.isspace() or _shape(font, char) != _shape(font, _NO_CHARACTER)


@lru_cache(maxsize=4096)
def _shape(font: Font, char: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(char)
    return mask.size, bytes(mask)


def _plain(font: Font, char: str) -> str:
    bare = "".join(part for part in unicodedata.normalize("NFKD", char) if not unicodedata.combining(part))
    return bare if bare and all(_has(font, part) for part in bare) else _MISSING


def _shortened(text: str, kept: int) -> str:
    return f"{text[: (kept + 1) // 2]}...{text[len(text) - kept // 2 :]}"
