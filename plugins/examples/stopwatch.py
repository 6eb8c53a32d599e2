import logging
import time

from deepdream_plugins import hookimpl

LOG = logging.getLogger("stopwatch")


@hookimpl(wrapper=True)
def deepdream_run_batch():
    outcomes = yield  # an iterator: nothing has been dreamt yet
    return timed(outcomes)


def timed(outcomes):
    begun, done = time.monotonic(), 0
    for outcome in outcomes:
        yield outcome
        done += 1
    LOG.info("%d pictures in %.1f s", done, time.monotonic() - begun)
