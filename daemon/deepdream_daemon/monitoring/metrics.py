"""The daemon's figures for Prometheus, in a registry of their own. Gauges are read from the facts when they are asked
for; what has ended is counted as it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from deepdream_daemon.journal.claims import COPIED
from deepdream_daemon.journal.metering import Ended
from deepdream_daemon.monitoring.facts import Facts
from deepdream_daemon.running.snapshot import Snapshot
from deepdream_daemon.terminal.messages import readable
from deepdream_engine import __version__

PREFIX = "deepdream"
BUCKETS_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
"""From a thumbnail on a GPU to a poster on a laptop."""


class Metrics:
    """All there is to scrape about the daemon of ``facts``."""

    def __init__(self, facts: Facts) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            f"{PREFIX}_dream_seconds",
            "Seconds from claiming a picture to its dream.",
            ("recipe",),
            buckets=BUCKETS_SECONDS,
            registry=self._registry,
        )
        self._ended: Mapping[str, Counter] = {
            "done": self._counter("dreams", "Pictures that were dreamt since the start."),
            "failed": self._counter("failures", "Pictures that were given up since the start."),
            "vanished": self._counter("vanished", "Pictures that were deleted before their dream was done."),
        }
        self._copies: Mapping[str, Counter] = {
            "done": Counter(f"{PREFIX}_copied", "Files that were copied since the start.", registry=self._registry),
            "failed": Counter(f"{PREFIX}_copy_failures", "Files whose copying was given up.", registry=self._registry),
        }
        for collector in (_Gauges(facts), ProcessCollector(registry=None), PlatformCollector(registry=None)):
            self._registry.register(collector)
        facts.on_ended = self.count

    def count(self, ended: Iterable[Ended]) -> None:
        """Count jobs that have ended."""
        for job in ended:
            if job.recipe == COPIED:  # which is no dream
                if job.state in self._copies:
                    self._copies[job.state].inc()
                continue
            self._ended[job.state].labels(job.recipe).inc()
            if job.state == "done" and job.seconds is not None:
                self._seconds.labels(job.recipe).observe(job.seconds)

    def page(self, accept: str) -> tuple[bytes, str]:
        """Return all of it in the format that ``accept`` (of HTTP) asks for, and the name of that."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, ("recipe",), registry=self._registry)


class _Gauges(Collector):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        """Say how things are now, as far as it is known."""
        facts = self._facts
        yield _gauge("info", "The version, always 1.", {__version__: 1}, "version")
        yield _gauge("ready", "1 if new pictures are taken.", not facts.unready())
        yield _gauge("beat_age_seconds", "Since a part last showed that it lives.", facts.heartbeats.ages(), "part")
        yield from self._of_journal()
        if facts.snapshot is not None:
            yield from _of_snapshot(facts.snapshot)
            yield _gauge("snapshot_age_seconds", "How old the figures of the process are.", facts.snapshot_age_seconds)

    def _of_journal(self) -> Iterator[Metric]:
        reading = self._facts.reading
        if reading is None:
            return
        undelivered = {"pending": reading.undelivered.pending, "given up": reading.undelivered.given_up}
        yield _gauge("jobs", "Pictures in the journal.", reading.counts, "state")
        yield _gauge("queue_age_seconds", "How long the oldest picture has waited for its turn.", reading.queue_seconds)
        yield _gauge("undelivered", "Dreams that have not arrived at a sink.", undelivered, "state")
        yield _gauge("undisposed", "Pictures still to be moved or deleted.", reading.undisposed)
        yield _gauge("paused", "1 if it was paused by 'deepdream pause'.", reading.paused)
        yield _gauge("draining", "1 if it ends when nothing is queued any more.", reading.draining)
        yield _gauge("journal_writable", "0 if nothing can be written down.", reading.locked_out is None)


def _of_snapshot(snapshot: Snapshot) -> Iterator[Metric]:
    free = {readable(folder): free for folder, free in snapshot.free_bytes.items()}
    yield _gauge("settling_files", "Files that are waited for until they are whole.", snapshot.settling)
    yield _gauge("active_jobs", "Pictures under way.", len(snapshot.active))
    yield _gauge("busy_share", "Of the time with work in which the devices computed.", snapshot.busy_share)
    yield _gauge("degraded", "1 if not all is as it should be.", bool(snapshot.degraded))
    yield _gauge("disabled_plugins", "Plugins that failed again and again.", len(snapshot.disabled))
    yield _gauge("reload_failed", "1 if the configuration was changed and refused.", bool(snapshot.reload_error))
    yield _gauge("free_bytes", "On the disk of a folder that is written to.", free, "folder")
    yield _counter("reloads", "How often the configuration was taken up again.", snapshot.generation - 1)
    yield _counter("worker_restarts", "How often the worker was started anew.", snapshot.worker_restarts)
    yield _counter("watcher_restarts", "How often the watching was started anew.", snapshot.watcher_restarts)
    yield _counter("found_by_rescan", "Files that no event had told of.", snapshot.found_by_rescan)


def _gauge(name: str, text: str, value: float | Mapping[str, float] | None, label: str = "") -> Metric:
    """Return a gauge: one value, one for each ``label``, or none while it is not known."""
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=[label] if label else [])
    if isinstance(value, Mapping):
        for key, each in value.items():
            family.add_metric([key], each)
    elif value is not None:
        family.add_metric([], value)
    return family


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", text, value=value)
