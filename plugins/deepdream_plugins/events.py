"""What plugins are told: frozen, JSON-safe facts about jobs and the daemon. No pictures, only where they are.

``dataclasses.asdict`` makes JSON of each. Paths are absolute. Bytes in them that are no text are escaped (``\\xff``),
but not in a :class:`Delivery`, whose paths can be opened as they are.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class JobEvent:
    """The job that an event is about: number ``job`` in the journal (0 for a photo dreamt without a daemon), the
    picture at ``path`` below the watched ``folder``, dreamt by ``recipe``."""

    job: int
    path: str
    folder: str
    recipe: str


@dataclass(frozen=True, kw_only=True)
class JobStarted(JobEvent):
    """A picture is being dreamt; ``attempt`` counts from 1."""

    attempt: int


@dataclass(frozen=True, kw_only=True)
class JobFinished(JobEvent):
    """A dream is published at ``output``, ``seconds`` after its picture was taken up."""

    output: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class JobFailed(JobEvent):
    """A picture could not be dreamt: ``final`` says whether that is the end of it, or it is tried again."""

    error: str
    advice: str
    final: bool


@dataclass(frozen=True, kw_only=True)
class JobProgress(JobEvent):
    """How much of a dream is done: ``fraction`` in [0, 1]. Told about once a second at most, the latest only."""

    fraction: float


@dataclass(frozen=True, kw_only=True)
class DaemonStarted:
    """The daemon works: ``folders`` are the watched ones."""

    version: str
    pid: int
    folders: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DaemonStopping:
    """The daemon winds down; ``queued`` jobs are left for its next start."""

    queued: int


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A published dream on its way to a sink.

    ``output`` is the dream's file below ``output_folder``, ``source`` the picture below ``folder``; ``key`` is the same
    whenever this dream is delivered again, so that who receives it can tell. ``attempt`` counts from 1. ``finished`` is
    a unix time. ``state`` is a folder that belongs to this sink of this watched folder alone, to remember things in.
    ``watched`` are all watched folders: what is put there is dreamt.
    """

    job: int
    key: str
    source: str
    folder: str
    recipe: str
    seed: int
    output: str
    output_folder: str
    finished: float
    attempt: int
    state: str
    watched: tuple[str, ...] = ()
