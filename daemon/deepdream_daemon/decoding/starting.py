"""Starting a decoder: with what this process can import, none of its secrets, and away from the terminal."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

_CODE = (
    "import importlib, json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "importlib.import_module(sys.argv[2]).main(int(sys.argv[3]), int(sys.argv[4]))"
)
_COMMAND = (sys.executable, "-I", "-X", "faulthandler", "-c", _CODE)
_KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""The rest may hold secrets."""
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# A picture's memory goes back to the system with it, so that the next has all that it may; that of its bands, which are
# read one after the other, is kept meanwhile: to have it anew for each takes longer than to decode.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(8 << 20), "MALLOC_TRIM_THRESHOLD_": str(32 << 20)}


def start(module: str, most_memory_bytes: int) -> tuple[subprocess.Popen[bytes], socket.socket, int]:
    """Return a new process that runs ``main`` of ``module``, the lane to it, and the descriptor that what libraries
    complain about comes from.
    """
    own, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    remarks, its_remarks = os.pipe()
    os.set_blocking(remarks, False)
    os.set_blocking(its_remarks, False)  # remarks that nobody reads are lost: it must not wait
    places = [os.path.abspath(place) for place in sys.path]  # noqa: PTH100  ("" is here)
    try:
        process = subprocess.Popen(
            [*_COMMAND, json.dumps(places), module, str(its.fileno()), str(most_memory_bytes)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=its_remarks,
            pass_fds=(its.fileno(),),
            env=_environment(),
            cwd="/",
            start_new_session=True,  # Ctrl-C is for the daemon, which then ends it
        )
    except BaseException:
        own.close()
        os.close(remarks)
        raise
    finally:
        its.close()
        os.close(its_remarks)
    return process, own, remarks


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    return {**kept, **_ONE_THREAD, **_MALLOC}
