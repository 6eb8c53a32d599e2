"""What needs a plugin that failed to load or is switched off: it waits until the daemon is started with the plugin, and
everything else goes on.
"""

from __future__ import annotations

ADVICE = (
    "Mend the plugin (see: deepdream plugins), or do without it. Then restart the daemon, or send "
    "it SIGHUP; it goes on by itself."
)


def absence(error: Exception) -> str:
    """Return what of ``error`` tells that a plugin may be missing; ``""`` if it is a mistake for sure."""
    unavailable: str = getattr(error, "unavailable", "")
    return f"{str(error).partition(' Valid: ')[0]} {unavailable.rstrip('.')}" if unavailable else ""
