"""Films in and out: clips and animations read within limits, and written in chunks that outlive a kill."""

from deepdream_daemon.films.chunks import ResumePoint as ResumePoint
from deepdream_daemon.films.chunks import Spool as Spool
from deepdream_daemon.films.frames import FilmFacts as FilmFacts
from deepdream_daemon.films.frames import Frame as Frame
from deepdream_daemon.films.options import FilmOptions as FilmOptions
from deepdream_daemon.films.writing import FilmWriter as FilmWriter
