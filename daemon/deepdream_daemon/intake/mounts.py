"""Which file systems tell of no changes that another machine makes: folders on them are scanned, not watched."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import psutil

_REMOTE = frozenset(
    {
        "9p",
        "acfs",
        "afpfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "drvfs",
        "gfs2",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs3",
        "nfs4",
        "ocfs2",
        "prl_fs",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
        "webdav",
    }
)
"""As mount tables call them: other machines, or the host of a virtual one, change files behind the kernel's back."""


def is_remote(kind: str) -> bool:
    """Tell whether a file system of this kind may change without a notification.

    Anything may be behind FUSE: ``sshfs``, ``rclone``, a cloud's drive.
    """
    name = kind.lower()
    return name in _REMOTE or name == "fuse" or name.startswith(("fuse.", "osxfuse", "macfuse"))


def kind_of(folder: Path, mounts: Iterable[tuple[str, str]]) -> str:
    """Return the kind of file system that ``folder`` is on; empty when it cannot be found out.

    ``mounts`` are places and kinds in the order in which they were mounted.
    """
    found, kind = -1, ""
    for place, name in mounts:
        length = len(place)
        if length >= found and folder.is_relative_to(place):  # the last one mounted on a place covers the others
            found, kind = length, name
    return kind


def all_mounts() -> list[tuple[str, str]]:
    """Return what is mounted where on this machine, and of which kind it is."""
    try:
        return [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]
    except (OSError, RuntimeError):  # no /proc, or not for us
        return []
