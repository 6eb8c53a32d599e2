import logging

from deepdream_plugins import hookimpl

LOG = logging.getLogger("lamp")


@hookimpl
def deepdream_daemon_started(event):
    LOG.info("on, for %d folders", len(event.folders))


@hookimpl
def deepdream_job_started(event):
    LOG.info("dreaming %s", event.path)


@hookimpl
def deepdream_progress(event):
    LOG.info("%3.0f %% of %s", 100 * event.fraction, event.path)


@hookimpl
def deepdream_daemon_stopping(event):
    LOG.info("off, with %d left for the next time", event.queued)
