"""The sink ``notification``: a message on the desktop. Dreams that finish soon after one another share one, which
counts them.

On Linux it goes over D-Bus as the Desktop Notifications Specification says (freedesktop.org), on macOS through
``osascript``.
"""

from __future__ import annotations

import html
import importlib.util
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_engine.errors import BadOption, BadPicture, NotDelivered
from deepdream_plugins.builtin.sinks.deliveries import one_at_a_time, shown
from deepdream_plugins.builtin.sinks.files import bytes_writer, replace
from deepdream_plugins.events import Delivery
from deepdream_plugins.records import Option, SinkSpec

if TYPE_CHECKING:
    from PIL import Image

_APP = "DeepDream"
_PICTURE_PX = 128
_BACKGROUND = (255, 255, 255)
_ANSWER_SECONDS = 8.0
_OSASCRIPT = "/usr/bin/osascript"
_SCRIPT = ("on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run")


@dataclass
class _Told:
    """The notification that was shown last: its number, when, and the keys of the dreams it counts."""

    number: int = 0
    at: float = 0.0
    keys: list[str] = field(default_factory=list)


def deliver(delivery: Delivery, *, gather_seconds: float, picture: bool) -> None:
    """Show a notification, or count the dream in the one that was shown a moment ago."""
    with one_at_a_time(delivery) as state:
        memory = state / "told.json"
        told = _read(memory)
        if delivery.key in told.keys:
            return
        if not 0 <= time.time() - told.at < gather_seconds:
            told = _Told()
        told.keys.append(delivery.key)
        count = len(told.keys)
        title = "A dream is finished" if count == 1 else f"{count} dreams are finished"
        body = f"{shown(Path(delivery.output).name)} ({delivery.recipe})"
        if sys.platform == "darwin":
            _by_script(title, body)
        else:
            told.number = _by_bus(told.number, title, body, _picture(delivery) if picture else None)
        told.at = time.time()
        replace(memory, bytes_writer(json.dumps(asdict(told)).encode("ascii")), delivery.state)


def session_bus() -> str:
    """Return the address of the desktop's message bus; :class:`NotDelivered` if there is no desktop here."""
    if address := os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return address
    usual = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") / "bus"
    if usual.is_socket():
        return f"unix:path={usual}"
    raise NotDelivered(
        f"There is no desktop session here: DBUS_SESSION_BUS_ADDRESS is not set and {str(usual)!r} is not there. Run "
        f"the daemon in your session, such as by a service of your user, or leave the sink 'notification' out."
    )


def _by_bus(number: int, title: str, body: str, picture: Image.Image | None) -> int:
    """Show a notification in the place of the one with ``number``, if there is still such, and return its number."""
    from jeepney import DBusErrorResponse
    from jeepney.io.blocking import open_dbus_connection

    address = session_bus()
    try:
        with open_dbus_connection(address) as bus:
            capabilities = _call(bus, "GetCapabilities")[0]
            text = html.escape(body, quote=False) if "body-markup" in capabilities else body
            hints: dict[str, tuple[str, Any]] = {"category": ("s", "transfer.complete")}
            if picture is not None:
                raw = (picture.width, picture.height, picture.width * 3, False, 8, 3, picture.tobytes())
                hints["image-data"] = ("(iiibiiay)", raw)
            arguments: tuple[Any, ...] = (_APP, number, "", title, text, [], hints, -1)
            return int(_call(bus, "Notify", "susssasa{sv}i", arguments)[0])
    except DBusErrorResponse as error:
        raise NotDelivered(
            f"The desktop showed no notification ({shown(f'{error.name}: {error.data}')}). "
            f"Is a notification service running?"
        ) from error
    except (OSError, RuntimeError, ValueError, LookupError) as error:  # a time-out is an OSError
        raise NotDelivered(
            f"The desktop's message bus {address!r} does not answer ({shown(str(error)) or type(error).__name__})."
        ) from error


def _call(bus: Any, method: str, signature: str | None = None, arguments: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    from jeepney import DBusAddress, new_method_call
    from jeepney.wrappers import unwrap_msg

    service = DBusAddress(
        "/org/freedesktop/Notifications",
        bus_name="org.freedesktop.Notifications",
        interface="org.freedesktop.Notifications",
    )
    reply = bus.send_and_get_reply(new_method_call(service, method, signature, arguments), timeout=_ANSWER_SECONDS)
    answer: tuple[Any, ...] = unwrap_msg(reply)
    return answer


def _by_script(title: str, body: str) -> None:
    """Hand the texts over as arguments: in the script itself, a name might be read as a part of it."""
    script = [argument for line in _SCRIPT for argument in ("-e", line)]
    try:
        done = subprocess.run(
            [_OSASCRIPT, *script, title, body],
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotDelivered(f"osascript could not show the notification ({error}).") from error
    if done.returncode:
        raise NotDelivered(f"osascript could not show the notification ({done.stderr.strip()}).")


def _picture(delivery: Delivery) -> Image.Image | None:
    """Return the dream in small; the message is worth showing without it, too."""
    from deepdream_plugins.builtin.sinks.pictures import small

    try:
        return small(Path(delivery.output), _PICTURE_PX, _BACKGROUND)
    except (OSError, BadPicture):
        return None


def _read(memory: Path) -> _Told:
    try:
        return _Told(**json.loads(memory.read_text(encoding="ascii")))
    except FileNotFoundError:
        return _Told()


def check(**_options: object) -> None:
    """Refuse the sink where the library that it needs is missing."""
    if sys.platform != "darwin" and importlib.util.find_spec("jeepney") is None:
        raise BadOption(
            "name: the sink 'notification' needs a library that is not installed: "
            "pip install 'deepdream-daemon[notification]'"
        )


SPEC = SinkSpec(
    name="notification",
    help="A notification on the desktop for each dream, or for several that finish together",
    deliver=deliver,
    check=check,
    limit_seconds=30.0,
    options=(
        Option(
            name="gather_seconds",
            type=float,
            default=60.0,
            minimum=0,
            maximum=86400,
            help="dreams no farther apart than this share one notification, which counts them; 0 shows each",
        ),
        Option(name="picture", type=bool, default=True, help="whether it shows the dream (on Linux)"),
    ),
)
