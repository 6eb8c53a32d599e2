"""``deepdream health``: whether the daemon lives, as an exit code, such as for Docker's ``HEALTHCHECK``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from deepdream_daemon.commands.former import settings_of_daemon
from deepdream_daemon.commands.group import FAILED
from deepdream_daemon.commands.shared import config_option

ANSWER_SECONDS = 5.0


@click.command()
@click.option("--ready", is_flag=True, help="Ask as well whether it takes new pictures.")
@config_option
def health(ready: bool, config: Path | None) -> int:
    """Exit with 0 if the daemon lives, else with 1.

    It is asked at [monitoring] port. Without one, only whether there is a daemon can be told.
    """
    from deepdream_daemon.running.lock import running_pid

    settings, _ = settings_of_daemon(config)
    if running_pid(settings.state) is None:
        click.echo("not running; start it: deepdream run")
        return FAILED
    port = settings.monitoring.port
    if not port:
        click.echo("running; whether it hangs can be asked once [monitoring] port is set")
        return FAILED if ready else 0
    for page in ("/healthz", "/readyz") if ready else ("/healthz",):
        is_well, reason = _ask(port, page)
        if not is_well:
            click.echo(reason)
            return FAILED
    click.echo("ready" if ready else "healthy")
    return 0


def _ask(port: int, page: str) -> tuple[bool, str]:
    """Return whether the daemon answers well, or else why not."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", page)
        response = connection.getresponse()
        body = response.read(1 << 16)
    except (OSError, http.client.HTTPException) as error:
        return False, f"no answer at http://127.0.0.1:{port}{page}: {error or type(error).__name__}"
    finally:
        connection.close()
    if response.status == 200:
        return True, ""
    try:
        told = json.loads(body)
        hanging = [f"{part} has not been seen for {age:.0f} s" for part, age in dict(told.get("hanging", {})).items()]
        reasons = [*hanging, *map(str, told.get("reasons", []))]
    except (ValueError, AttributeError, TypeError):
        return False, f"{page} at port {port} is not deepdream's; is that the port of another program?"
    return False, "; ".join(reasons) or f"{page} answers {response.status}"
