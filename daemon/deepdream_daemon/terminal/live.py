"""The screen of ``deepdream run`` on a terminal: what is being dreamt, what waits, what came of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deepdream_daemon.configuration.settings import Settings
from deepdream_daemon.terminal.messages import readable, shortened, told_apart

if TYPE_CHECKING:
    from deepdream_daemon.running.background import Background, Phase
    from deepdream_daemon.running.snapshot import Active, Snapshot, Trouble

Names = Mapping[Path, str]
"""What the pictures on the screen are called there."""

REFRESHES_PER_SECOND = 4
RESULTS, ERRORS, BARS = 5, 3, 12
LONGEST_ERROR = 200
_PHASES = {
    "starting": "Starting …",
    "running": "Ctrl-C stops.",
    "stopping": "Stopping; what is not finished soon is queued again. Ctrl-C once more stops at once.",
    "stopped": "Stopped.",
}
_COUNT_STYLES = {
    "running": "cyan",
    "publishing": "cyan",
    "done": "green",
    "failed": "red",
    "waiting": "yellow",
}


def live(background: Background, console: Console) -> Live:
    """Return the display; it asks for a snapshot a few times a second in a thread of its own."""
    screen = Screen(background)
    return Live(
        get_renderable=screen.render,
        console=console,
        refresh_per_second=REFRESHES_PER_SECOND,
        vertical_overflow="crop",
    )


class Screen:
    """Draws one snapshot after the other."""

    def __init__(self, background: Background) -> None:
        self._background = background

    def render(self) -> RenderableType:
        """Return the whole screen."""
        daemon = self._background.daemon
        return draw(daemon.settings, daemon.snapshot(), self._background.phase)


def draw(settings: Settings, snapshot: Snapshot, phase: Phase = "running", hint: str = "") -> RenderableType:
    """Return the screen that shows ``snapshot``, and a hint at the end: by default, how far the daemon is."""
    troubles = _still_true(snapshot)
    shown = [job.path for job in snapshot.active[:BARS]]
    shown += [done.path for done in snapshot.finished[-RESULTS:]]
    shown += [trouble.path for trouble in troubles]
    names = told_apart(shown, [folder.input for folder in settings.folders])
    parts: list[RenderableType] = [_folders(settings), _counts(snapshot), *_wishes(snapshot)]
    if snapshot.degraded:
        parts.append(Text(f"! {readable(snapshot.degraded)}", style="bold yellow"))
    if snapshot.disabled:
        parts.append(_disabled(snapshot.disabled))
    if snapshot.active:
        parts += [Text(), _bars(snapshot.active, names)]
    if snapshot.finished:
        parts += [Text(), _results(snapshot, names)]
    if troubles:
        parts += [Text(), _errors(troubles, names)]
    parts += [Text(), Text(hint or _PHASES[phase], style="dim")]
    return Group(*parts)


def _folders(settings: Settings) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    for index, folder in enumerate(settings.folders):
        table.add_row(
            Text("DeepDream" if index == 0 else "", style="bold magenta"),
            _name(folder.input),
            Text("→", style="dim"),
            _name(folder.output),
            Text(f"({folder.recipe})", style="dim"),
        )
    return table


def _counts(snapshot: Snapshot) -> Text:
    line = Text()
    counts = {"settling": snapshot.settling, **snapshot.counts}
    for state, number in counts.items():
        if number or state in ("queued", "done"):
            line.append(f"{number} {state}   ", style=_COUNT_STYLES.get(state, "") if number else "dim")
    undelivered = snapshot.undelivered
    if undelivered is not None and undelivered.pending:
        line.append(f"{undelivered.pending} undelivered   ", style="yellow")
    if undelivered is not None and undelivered.given_up:
        line.append(f"{undelivered.given_up} given up   ", style="red")
    if snapshot.busy_share is not None and snapshot.active:
        line.append(f"devices {snapshot.busy_share:.0%} busy   ", style="dim")
    if snapshot.worker_restarts:
        often = "once" if snapshot.worker_restarts == 1 else f"{snapshot.worker_restarts} times"
        why = f" (it {shortened(readable(snapshot.last_death))})" if snapshot.last_death else ""
        line.append(f"worker started again {often}{why}", style="yellow")
    return line


def _wishes(snapshot: Snapshot) -> list[RenderableType]:
    """Return a line for each thing that the operator has asked for."""
    told = {
        "paused: no picture is begun until: deepdream resume": snapshot.paused,
        "draining: nothing new is taken; it ends when all that is queued is dreamt": snapshot.draining,
    }
    return [Text(text, style="bold cyan") for text, is_so in told.items() if is_so]


def _disabled(plugins: Mapping[str, str]) -> Text:
    names = ", ".join(map(readable, plugins))
    what = "plugin" if len(plugins) == 1 else "plugins"
    text = Text(f"! disabled {what}: {names}", style="bold yellow")
    for reason in dict.fromkeys(plugins.values()):
        text.append(f"\n  {shortened(readable(reason), LONGEST_ERROR)}", style="not bold dim")
    return text


def _bars(active: tuple[Active, ...], names: Names) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for job in active[:BARS]:
        table.add_row(
            _name(names[job.path]),
            Text(job.recipe, style="dim"),
            ProgressBar(total=1.0, completed=job.fraction, width=28, pulse=job.fraction == 0),
            Text(f"{job.fraction:4.0%}"),
            Text(f"{job.seconds:.0f} s", style="dim"),
            Text(job.detail or job.stage, style="dim"),
        )
    if len(active) > BARS:
        table.add_row(Text(f"and {len(active) - BARS} more", style="dim"))
    return table


def _results(snapshot: Snapshot, names: Names) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for done in snapshot.finished[-RESULTS:]:
        table.add_row(
            Text("✓", style="green"),
            _name(names[done.path]),
            _name(done.output),
            Text(f"{done.seconds:.1f} s", style="dim"),
        )
    return table


def _errors(troubles: Iterable[Trouble], names: Names) -> RenderableType:
    """Show each error once, with the pictures that met it."""
    groups: dict[tuple[bool, str, str], list[Path]] = {}
    for trouble in troubles:
        groups.setdefault((trouble.final, trouble.error, trouble.advice), []).append(trouble.path)
    table = Table.grid(padding=(0, 2))
    for (final, error, advice), paths in list(groups.items())[-ERRORS:]:
        name = _name(names[paths[-1]])
        if len(paths) > 1:
            name.append(f" and {len(paths) - 1} more", style="dim")
        text = Text(shortened(readable(error), LONGEST_ERROR))
        if advice:
            between = " " if error.endswith((".", "?", "!")) else ". "
            text.append(f"{between}{readable(advice)}", style="dim")
        table.add_row(Text("✗", style="red") if final else Text("…", style="yellow"), name, text)
    return table


def _still_true(snapshot: Snapshot) -> list[Trouble]:
    """Return the last trouble of each job, unless it was put off and is done by now."""
    done = {finished.job for finished in snapshot.finished}
    last = {trouble.job: trouble for trouble in snapshot.errors}
    return [trouble for trouble in last.values() if trouble.final or trouble.job not in done]


def _name(path: Path | str) -> Text:
    return Text(readable(path), overflow="ellipsis")
