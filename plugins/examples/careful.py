import logging
import shutil

from deepdream_plugins import hookimpl

LOG = logging.getLogger("careful")


@hookimpl
def deepdream_host_ready(host):
    broken = [plugin.name for plugin in host.plugins if plugin.state == "failed"]
    if broken:
        LOG.warning("not loaded: %s", ", ".join(broken))


@hookimpl
def deepdream_self_test():
    free = shutil.disk_usage(".").free
    assert free > 1e9, f"only {free / 1e9:.1f} GB are free here: make room before a long night"
