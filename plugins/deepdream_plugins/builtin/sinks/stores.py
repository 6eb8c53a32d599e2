"""Uploads to what fsspec reaches: whole or not at all, and never in the place of another file."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from deepdream_engine.errors import BadOption, DeepDreamError, NotDelivered, unknown
from deepdream_plugins.builtin.sinks.deliveries import shown
from deepdream_plugins.builtin.sinks.files import fitted, numbered
from deepdream_plugins.expanding import redacted

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

S3 = ("s3", "s3a")
_WHOLE_AT_ONCE = {*S3, "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci"}
"""Stores in which an object is there as a whole or not at all, so that no other name is needed meanwhile."""
_READ_ONLY = ("http", "https", "data", "reference")
_S3_SETTINGS = {"connect_timeout": 15, "read_timeout": 60, "retries": {"max_attempts": 3, "mode": "standard"}}
_CHUNK_BYTES = 1 << 20


def upload(dream: Path, url: str, key: str, endpoint: str, secrets: Mapping[str, str]) -> None:
    """Put a copy of the file at ``url``/``key``, or under the next number that is free beside other files.

    What goes wrong is :class:`NotDelivered`, without the ``secrets`` that ``url`` may have in it.
    """
    try:
        _upload(dream, url, key, endpoint)
    except NotDelivered as error:
        raise NotDelivered(redacted(str(error), secrets)) from None
    except DeepDreamError:
        raise
    except Exception as error:  # every file system has errors of its own
        raise NotDelivered(redacted(_told(url, error), secrets)) from error


def check_store(url: str) -> None:
    """Refuse what cannot be written to, and what needs a library that is not there."""
    from fsspec.registry import get_filesystem_class, known_implementations, registry

    scheme = urlsplit(url).scheme
    if "::" in url:
        raise BadOption("url: chained addresses ('::') are not written to. Name the place itself.")
    if scheme in _READ_ONLY:
        raise BadOption(f"url: {scheme}:// cannot be written to. To tell a web server of dreams, take 'webhook'.")
    if scheme in registry:
        return
    if scheme not in known_implementations:
        raise BadOption(f"url: {unknown('kind of address', scheme, sorted(known_implementations))}")
    library = known_implementations[scheme]["class"].partition(".")[0]
    if library != "fsspec" and importlib.util.find_spec(library) is None:  # to import it takes a second
        needed = "'deepdream-daemon[s3]'" if scheme in S3 else library
        raise BadOption(f"url: {scheme}:// needs a library that is not installed: pip install {needed}")
    if library == "fsspec":
        try:
            get_filesystem_class(scheme)
        except ImportError as error:
            raise BadOption(f"url: {scheme}:// needs a library that is not installed: {error}") from error


def _upload(dream: Path, url: str, key: str, endpoint: str) -> None:
    import fsspec

    scheme = urlsplit(url).scheme
    arguments: dict[str, Any] = {}
    if scheme in S3:
        arguments["config_kwargs"] = _S3_SETTINGS
        if endpoint:
            arguments["endpoint_url"] = endpoint
    if scheme not in _WHOLE_AT_ONCE:
        arguments["skip_instance_cache"] = True  # it may hold a connection that broke since
    store, base = fsspec.url_to_fs(url, **arguments)
    folder, _, name = f"{base.rstrip('/')}/{key}".rpartition("/")
    for number in itertools.count(1):
        target = f"{folder}/{numbered(name, number)}"
        store.invalidate_cache()  # somebody else may write there, too
        try:
            if not store.exists(target):
                _put_new(store, scheme, dream, target)
                break
        except FileExistsError:  # somebody was quicker
            pass
        if _is_same(store, target, dream):
            return
    store.invalidate_cache()
    size, expected = store.size(target), dream.stat().st_size
    if size != expected:
        raise NotDelivered(f"{shown(target)!r} has {size} bytes after the upload instead of {expected}.")


def _put_new(store: AbstractFileSystem, scheme: str, dream: Path, target: str) -> None:
    """Upload under a name that is free, so that no half of it is ever seen there."""
    if scheme in _WHOLE_AT_ONCE:
        # Stores that can, refuse by themselves a name that was taken meanwhile.
        can_refuse = "mode" in inspect.signature(getattr(store, "_put_file", store.put_file)).parameters
        try:
            store.put_file(str(dream), target, **({"mode": "create"} if can_refuse else {}))
        except OSError as error:
            if not can_refuse or not _knows_no_conditions(error):
                raise
            store.put_file(str(dream), target)
        return
    folder, _, name = target.rpartition("/")
    part = f"{folder}/{fitted('.' + name, '.part')}"
    store.makedirs(folder, exist_ok=True)
    store.put_file(str(dream), part)
    if store.exists(target):
        store.rm_file(part)
        raise FileExistsError(target)
    store.mv(part, target)


def _knows_no_conditions(error: OSError) -> bool:
    """Whether an S3-compatible store says that it knows no conditions on uploads."""
    answer = getattr(error.__cause__, "response", {})
    return bool(answer.get("Error", {}).get("Code") == "NotImplemented")


def _is_same(store: AbstractFileSystem, target: str, dream: Path) -> bool:
    if store.size(target) != dream.stat().st_size:
        return False
    with store.open(target, "rb", block_size=_CHUNK_BYTES) as there, dream.open("rb") as here:
        return all(there.read(len(chunk)) == chunk for chunk in iter(lambda: here.read(_CHUNK_BYTES), b""))


def _told(url: str, error: Exception) -> str:
    reason = shown(f"{type(error).__name__}: {error}")
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    hint = ""
    if isinstance(error, PermissionError) or "redential" in reason:
        hint = " Are the credentials there, and may they read and write?"
    elif isinstance(error, FileNotFoundError):
        hint = " Make the bucket or folder first."
    return f"{place!r} took no copy ({reason}).{hint}"
