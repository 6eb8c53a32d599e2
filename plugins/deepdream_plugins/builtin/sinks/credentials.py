"""What may be shown of an address."""

from __future__ import annotations

from urllib.parse import urlsplit


def origin(url: str) -> str:
    """Return what may be shown of a URL, ``https://example.org:8443``: the rest of it often is a secret."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
