import json
from dataclasses import asdict
from pathlib import Path

from deepdream_plugins import hookimpl

DIARY = Path.home() / "dreams.jsonl"


def note(event):
    with DIARY.open("a", encoding="utf-8") as diary:
        diary.write(json.dumps({"event": type(event).__name__, **asdict(event)}) + "\n")


@hookimpl
def deepdream_job_finished(event):
    note(event)


@hookimpl
def deepdream_job_failed(event):
    if event.final:
        note(event)
