"""What a process did to some folders, by ``strace``, and what would be left of it had the power failed at any moment.

The model is the harshest that POSIX allows: what was written to a file is lost until the file is synced, and a name
that was made, changed or removed is so only once its folder is synced. In between, anything may have come about.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import random
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CALLS = (
    "openat,creat,write,pwrite64,writev,pwritev,fsync,fdatasync,ftruncate,link,linkat,rename,renameat,renameat2,"
    "unlink,unlinkat,mkdir,mkdirat,rmdir,close"
)
_LINE = re.compile(rb"(?P<at>\d+\.\d+) (?P<name>\w+)\((?P<args>.*)\)\s+= (?P<result>-?\d+).* <(?P<took>\d+\.\d+)>$")
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"(\.\.\.)?')
_DESCRIPTOR = re.compile(rb"(\d+|AT_FDCWD)<([^>]*)>")


def strace(into: Path) -> list[str]:
    """Return what stands before a command so that its calls are written into the folder ``into``, a file a thread."""
    into.mkdir()
    return ["strace", "-ff", "-ttt", "-T", "-y", "-s", "100000000", "-e", f"trace={CALLS}", "-o", str(into / "trace")]


Left = dict[Path, tuple[int, bytes] | None]
"""Files and folders (``None``) by place; names of one file have the same number."""


@dataclass(frozen=True)
class Call:
    """A call that succeeded: its name, the paths that it names, and what it wrote where."""

    ended: float
    name: str
    paths: tuple[Path, ...]
    number: int = -1
    """Of the descriptor that it used or returned."""
    data: bytes = b""
    offset: int | None = None
    creates: bool = False
    truncates: bool = False


def read_calls(folder: Path, below: Path) -> list[Call]:
    """Return the successful calls on files below a folder, in the order in which they ended."""
    lines = [line for trace in folder.iterdir() for line in trace.read_bytes().split(b"\n")]
    calls = [call for line in lines if (call := _parse(line, below))]
    return sorted(calls, key=lambda call: call.ended)


def _parse(line: bytes, below: Path) -> Call | None:
    found = _LINE.match(line.rstrip())
    if found is None or int(found["result"]) < 0:
        return None
    name, text = found["name"].decode(), found["args"]
    ended = float(found["at"]) + float(found["took"])
    strings = [bytes(codecs.escape_decode(match[1])[0]) for match in _STRING.finditer(text)]  # type: ignore[attr-defined]
    bare = _STRING.sub(b"", text)
    descriptors = [(match[1], Path(os.fsdecode(match[2]))) for match in _DESCRIPTOR.finditer(bare)]
    if name in {"write", "pwrite64", "fsync", "fdatasync", "ftruncate", "close", "writev", "pwritev"}:
        if not descriptors or not descriptors[0][1].is_relative_to(below):
            return None
        number, path = descriptors[0]
        last = bare.rsplit(b",", 1)[-1].strip()
        offset = int(last) if name in {"pwrite64", "ftruncate", "pwritev"} else None
        return Call(ended, name, (path,), int(number), b"".join(strings)[: _length(found, name)], offset)
    bases = [path for _, path in descriptors]
    paths = tuple((base / os.fsdecode(text)) for base, text in zip(_padded(bases, len(strings)), strings, strict=True))
    if not any(path.is_relative_to(below) for path in paths):
        return None
    return Call(
        ended,
        name,
        paths,
        int(found["result"]),
        creates=b"O_CREAT" in bare,
        truncates=b"O_TRUNC" in bare,
    )


def _length(found: re.Match[bytes], name: str) -> int:
    return int(found["result"]) if "write" in name else 0


def _padded(bases: list[Path], count: int) -> list[Path]:
    """The folders that relative names are relative to: none is given for calls that take absolute ones."""
    return (bases + [Path("/")] * count)[:count]


@dataclass
class _File:
    """``now`` is what is read, ``kept`` what would be after a power cut."""

    now: bytearray = field(default_factory=bytearray)
    kept: bytes = b""


class Disk:
    """The folders below ``root`` as they are, and as they would be."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now: dict[Path, _File | None] = {}  # None is a folder
        for path in sorted(root.rglob("*")):
            if path.is_dir():
                self.now[path] = None
            elif path.is_file():
                data = path.read_bytes()
                self.now[path] = _File(bytearray(data), data)
        self.kept = dict(self.now)
        self._open: dict[int, tuple[_File | None, int, Path]] = {}

    def apply(self, call: Call) -> None:
        """Do what a call did."""
        first = call.paths[0]
        if call.name in {"openat", "creat"}:
            self._opened(call, first)
        elif call.name == "close":
            self._open.pop(call.number, None)
        elif call.name in {"write", "writev", "pwrite64", "pwritev", "ftruncate"}:
            self._written(call)
        elif call.name in {"fsync", "fdatasync"}:
            self._synced(call)
        elif call.name in {"link", "linkat"}:
            self.now[call.paths[1]] = self.now[first]
        elif call.name.startswith("rename"):
            self.now[call.paths[1]] = self.now.pop(first)
        elif call.name in {"unlink", "unlinkat", "rmdir"}:
            self.now.pop(first, None)
        elif call.name in {"mkdir", "mkdirat"}:
            self.now[first] = None

    def _opened(self, call: Call, path: Path) -> None:
        if path not in self.now:
            if not call.creates:
                return  # not ours: a folder's own root
            self.now[path] = _File()
        file = self.now[path]
        if file is not None and call.truncates:
            file.now.clear()
        self._open[call.number] = (file, 0, path)

    def _written(self, call: Call) -> None:
        file, position, path = self._open.get(call.number, (self.now.get(call.paths[0]), 0, call.paths[0]))
        if file is None:
            return
        if call.name == "ftruncate":
            size = call.offset or 0
            del file.now[size:]
            file.now.extend(b"\0" * (size - len(file.now)))
            return
        start = position if call.offset is None else call.offset
        file.now.extend(b"\0" * (start - len(file.now)))
        file.now[start : start + len(call.data)] = call.data
        if call.offset is None:
            self._open[call.number] = (file, start + len(call.data), path)

    def _synced(self, call: Call) -> None:
        path = call.paths[0]
        file = self.now.get(path)
        opened = self._open.get(call.number)
        if file is None and opened is not None:
            file = opened[0]  # it has lost its name meanwhile
        if file is not None:
            file.kept = bytes(file.now)
            return
        for name in {*self.now, *self.kept}:
            if name.parent == path:
                if name in self.now:
                    self.kept[name] = self.now[name]
                else:
                    self.kept.pop(name, None)

    def after_power_cut(self, rng: random.Random | None) -> Left:
        """Return what may be left: with ``rng`` whatever was not synced is there or not, without it is lost."""
        names = dict(self.kept)
        if rng is not None:
            for name in {*self.now, *self.kept}:
                if self.now.get(name, "none") is not self.kept.get(name, "none") and rng.random() < 0.5:
                    if name in self.now:
                        names[name] = self.now[name]
                    else:
                        names.pop(name, None)
        left: Left = {}
        some: dict[int, bytes] = {}  # a file with two names has one content
        for name in sorted(names):
            if name.parent != self.root and name.parent not in left:
                continue  # its folder was never made
            file = names[name]
            if file is not None and id(file) not in some:
                some[id(file)] = _some(file, rng)
            left[name] = None if file is None else (id(file), some[id(file)])
        return left


def _some(file: _File, rng: random.Random | None) -> bytes:
    if rng is None or file.kept == file.now or rng.random() < 0.3:
        return file.kept
    if rng.random() < 0.3:
        return bytes(file.now)
    cut = rng.randrange(len(file.now) + 1)  # a part of it arrived
    return bytes(file.now[:cut]) + file.kept[cut:]


def power_cuts(before: Disk, calls: Sequence[Call], seeds: int) -> Iterator[tuple[int, Left]]:
    """Yield every different state that a power cut may leave, with how many calls had been made by then: the harshest
    after each call, and ``seeds`` others.
    """
    seen: set[bytes] = set()
    for count in range(len(calls) + 1):
        if count:
            before.apply(calls[count - 1])
        for seed in range(seeds + 1):
            left = before.after_power_cut(random.Random(f"{count} {seed}") if seed else None)
            digest = _digest(left)
            if digest not in seen:
                seen.add(digest)
                yield count, left


def _digest(left: Left) -> bytes:
    digest = hashlib.sha256()
    for name, file in left.items():
        digest.update(os.fsencode(name) + b"\0" + (b"/" if file is None else hashlib.sha256(file[1]).digest()))
    return digest.digest()


def rebuild(left: Left, root: Path) -> None:
    """Make the folder ``root`` what would be left of it."""
    shutil.rmtree(root)
    root.mkdir()
    made: dict[int, Path] = {}
    for path, file in left.items():
        if file is None:
            path.mkdir(mode=0o700)
        elif path.name.endswith("-shm"):
            continue  # it is shared memory, and made anew from the log beside it
        elif file[0] in made:
            os.link(made[file[0]], path)
        else:
            path.write_bytes(file[1])
            made[file[0]] = path
