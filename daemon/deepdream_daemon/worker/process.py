"""The worker process itself: what the daemon starts, and ends when the daemon does."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deepdream_daemon.configuration.settings import EngineSettings, PictureSettings
from deepdream_daemon.worker import faults, logs
from deepdream_daemon.worker.lane import Lane, LaneClosed
from deepdream_daemon.worker.serving import Bench, Serving
from deepdream_plugins.selection import Selection

BEAT_SECONDS = 0.5
_OOM_SCORE = 500
"""Of 1000, so that the kernel takes the worker before anything else of the user's when the memory runs out."""
_PR_SET_PDEATHSIG = 1


def darkroom(engine: EngineSettings, pictures: PictureSettings, selection: Selection) -> Bench:
    """Make the real renderer, with its engines on their devices, so that trouble with those shows now."""
    from deepdream_daemon.pipeline.darkroom import Darkroom
    from deepdream_plugins.catalogue import load_catalogue
    from deepdream_plugins.recipes import RecipeBook

    catalogue = load_catalogue(selection)
    renderer = Darkroom(engine, pictures.max_megapixels, catalogue.host)
    renderer.warm_up()
    return Bench(renderer=renderer, book=RecipeBook(catalogue, base_dir=selection.base_dir))


def main() -> None:
    """Serve the daemon through the socket whose number, and whose process, the arguments tell."""
    control, daemon = Lane(socket.socket(fileno=int(sys.argv[1]))), int(sys.argv[2])
    _live_with(daemon)
    code = 0
    try:
        _work(control)
    except LaneClosed:
        pass
    except BaseException:  # noqa: BLE001  (it is told, and ends the process)
        code = 1
        traceback.print_exc()
    finally:
        # Threads may be at work for plugins that never end; nothing here has to be put away.
        sys.stderr.flush()
        os._exit(code)


def _work(control: Lane) -> None:
    """Make what works here, and serve until the daemon is gone."""
    order, _ = control.receive()
    logs.forward(control, order["level"])
    try:
        bench = _made(order)
        facts = {"devices": tuple(bench.renderer.devices), "takes_pictures": bench.take_in is not None}
    except BaseException as error:  # noqa: BLE001  (the daemon says what is to be done about it)
        control.send({"fault": faults.packed(error)})
        control.receive()  # until it is closed
        return
    _disable(bench, order["disabled"])
    control.send({"ready": facts})
    threading.Thread(target=_beat, args=(control, bench), name="beat", daemon=True).start()
    _serve(control, bench)


def _serve(control: Lane, bench: Bench) -> None:
    """Do what the daemon asks by the way, until it is gone."""
    serving = Serving(bench)
    while True:
        message, numbers = control.receive()
        if "open" in message:
            serving.open(Lane(socket.socket(fileno=numbers[0])), message["open"])
        elif "drop" in message:
            serving.drop(message["drop"])
        elif "disable" in message:
            _disable(bench, message["disable"])


def _made(order: Mapping[str, Any]) -> Bench:
    module, _, name = order["factory"].partition(":")
    factory: Callable[..., Bench] = getattr(importlib.import_module(module), name)
    return factory(order["engine"], order["pictures"], Selection.from_dict(order["selection"]))


def _beat(control: Lane, bench: Bench) -> None:
    """Give signs of life, and tell what only this process knows."""
    host = bench.book.catalogue.host
    resting = threading.Event()
    try:
        while True:
            told = {
                "busy": bench.renderer.busy_seconds,
                "disabled": dict(host.health.disabled),
                "running": list(host.running()),
            }
            control.send(told)
            resting.wait(BEAT_SECONDS)
    except LaneClosed:
        os._exit(0)


def _disable(bench: Bench, disabled: Mapping[str, str]) -> None:
    for plugin, reason in disabled.items():
        bench.book.catalogue.host.health.disable(plugin, reason)


def _live_with(daemon: int) -> None:
    """Have this process end with the daemon, and be the one that the kernel takes when there is no more memory."""
    os.environ.pop("PYTHONPATH", None)  # for this interpreter alone, not for what it may start
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)  # what plugins and libraries print goes to the daemon's log
    faulthandler.enable(all_threads=False)
    faulthandler.register(signal.SIGUSR1)
    with contextlib.suppress(OSError, ValueError):  # gigabytes of no use to anyone
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform != "linux":
        return  # the end of the control lane tells
    with contextlib.suppress(OSError):
        path = Path("/proc/self/oom_score_adj")
        path.write_text(str(max(_OOM_SCORE, int(path.read_text()))))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != daemon:  # it was gone before it could be asked for
        os._exit(0)


if __name__ == "__main__":
    main()
