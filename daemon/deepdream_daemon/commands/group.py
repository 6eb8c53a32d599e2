"""The command group: commands are imported when they are called, and every failure is one line on stderr.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 already running, 130 interrupted, 143 terminated.
A traceback appears with ``--debug`` only.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

import click

from deepdream_daemon.terminal.messages import message_of
from deepdream_engine.errors import BadOption, Cancelled, DeepDreamError, nearest

FAILED, USAGE, ALREADY_RUNNING, INTERRUPTED, TERMINATED = 1, 2, 3, 130, 143

ON_WINDOWS = (
    "DeepDream needs Linux or macOS. On Windows it runs in WSL 2: say 'wsl --install' in PowerShell, restart, and "
    'install and call deepdream in the Linux that is there then ("As a service" in its README: begun when you log on).'
)


@dataclass
class Invocation:
    """What holds for the whole command line."""

    debug: bool = False


class Exit(DeepDreamError):
    """Ends the command with a message and a certain exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


class Terminated(BaseException):
    """SIGTERM came; like ``KeyboardInterrupt``, nothing that goes on after errors may swallow it."""


class LazyGroup(click.Group):
    """A group whose commands live in modules of this package: ``modules`` maps a command to its module."""

    def __init__(self, *args: Any, modules: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """In the order of the table, which goes from first to last use."""
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of the command."""
        if cmd_name not in self.modules:
            return None
        module = importlib.import_module(f"deepdream_daemon.commands.{self.modules[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when there is no such one."""
        name = args[0]
        if name not in self.modules and not name.startswith("-"):
            raise click.UsageError(f"No such command {name!r}.{nearest(name, self.modules)}", ctx)
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override]  # it always ends the process, as click's own does by default
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the command line and end the process with its exit code."""
        if sys.platform == "win32":  # before anything is imported that is not there
            complain(ON_WINDOWS)
            sys.exit(FAILED)
        invocation = Invocation()
        is_process = args is None  # else somebody calls it as a function
        if is_process and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _terminate)
        extra.pop("standalone_mode", None)
        try:
            result = super().main(args, prog_name or "deepdream", standalone_mode=False, obj=invocation, **extra)
            sys.stdout.flush()
            code = result if isinstance(result, int) else 0
        except (Exception, KeyboardInterrupt, Terminated) as error:  # noqa: BLE001  (nobody above would show it)
            code = _report(error, invocation)
        if is_process and (threading.active_count() > 1 or code == INTERRUPTED):
            _leave_at_once(code)
        sys.exit(code)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    """Stop as after Ctrl-C: what is begun is cleaned up, what is done is told of."""
    raise Terminated


def _report(error: BaseException, invocation: Invocation) -> int:
    """Show what went wrong and return the exit code."""
    if isinstance(error, BrokenPipeError):
        # The reader has left: nothing more can be said, nor may the flush at exit complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    if invocation.debug and not isinstance(error, click.ClickException):
        traceback.print_exception(error)
    match error:
        case click.Abort() | KeyboardInterrupt() | Cancelled():
            complain("interrupted")
            return INTERRUPTED
        case Terminated():
            complain("terminated")
            return TERMINATED
        case click.ClickException():
            complain(error.format_message())
            if isinstance(error, click.UsageError) and error.ctx is not None:
                click.echo(f"Try '{error.ctx.command_path} --help'.", err=True)
            return error.exit_code
        case Exit():
            complain(str(error))
            return error.code
        case BadOption():
            complain(str(error))
            return USAGE
        case DeepDreamError():
            complain(str(error))
        case OSError() | MemoryError():
            complain(message_of(error))
        case _:
            complain(f"{type(error).__name__}: {error}. This is a defect of deepdream; --debug shows where.")
    return FAILED


def _leave_at_once(code: int) -> NoReturn:
    """End the process without taking Python down, which would not keep the exit code.

    A thread that is inside torch aborts the process. And after a Ctrl-C that came while torch was being imported,
    Python has been seen to end by the signal, although it was caught.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def complain(message: str) -> None:
    """Write one message to stderr, whatever bytes a file name in it has."""
    readable = message.encode("utf-8", "backslashreplace").decode()
    click.echo(f"deepdream: {readable}", err=True)
