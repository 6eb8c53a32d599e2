"""The command line ``deepdream``. Nothing but click is imported until a command runs."""

from __future__ import annotations

import click

from deepdream_daemon.commands.group import Invocation, LazyGroup

MODULES = {
    "demo": "demo",
    "init": "init",
    "run": "run",
    "dream": "dream",
    "redream": "redream",
    "journey": "journey",
    "status": "status",
    "explain": "journal",
    "retry": "requests",
    "forget": "requests",
    "pause": "control",
    "resume": "control",
    "drain": "control",
    "health": "health",
    "service": "service",
    "recipes": "recipes",
    "models": "catalogue",
    "layers": "networks",
    "classes": "networks",
    "atlas": "atlas",
    "inspect": "inspect",
    "objectives": "catalogue",
    "ascents": "catalogue",
    "transforms": "catalogue",
    "schedules": "catalogue",
    "filters": "catalogue",
    "sinks": "catalogue",
    "plugins": "plugins",
    "config": "config",
    "train": "train",
    "evaluate": "evaluate",
    "bench": "bench",
}


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from deepdream_engine import __version__

        click.echo(f"deepdream {__version__}")
        ctx.exit()


@click.group(
    "deepdream",
    cls=LazyGroup,
    modules=MODULES,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
@click.option("--no-plugins", is_flag=True, help="Use built-in plugins only; no other is imported.")
@click.pass_context
def main(ctx: click.Context, debug: bool, no_plugins: bool) -> None:
    """DeepDream that runs by itself: drop a picture into a folder, its dream appears in another.

    \b
    deepdream demo               see it work, from a painted sky to its dream
    deepdream init && deepdream run
    deepdream dream PHOTO.jpg    one picture, now
    """
    ctx.ensure_object(Invocation).debug = debug
    if no_plugins:
        from deepdream_daemon.configuration.assembly import without_plugins

        ctx.with_resource(without_plugins())
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
