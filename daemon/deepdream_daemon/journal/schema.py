"""The journal's tables, version by version: a new journal goes through the same steps as an old one that is brought up
to date, so that both are the same.

A version only adds tables, never changes those before it. So this program brings a file of an older version up to date
where it may write, and has the newer tables in memory, empty, where it may only read. There is no way back: a program
refuses the file of a version that it does not know.
"""

from __future__ import annotations

SCHEMA_VERSION = 4

_VERSION_1 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    source BLOB NOT NULL,            -- os.fsencode of the absolute path
    folder BLOB NOT NULL,            -- the watched input folder that it came from
    sha256 TEXT NOT NULL,            -- of the picture; empty when it could not be read
    recipe TEXT NOT NULL,
    seed INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'publishing', 'done', 'failed', 'vanished')),
    attempts INTEGER NOT NULL DEFAULT 0,
    delays INTEGER NOT NULL DEFAULT 0,  -- times put off in a row
    due REAL NOT NULL DEFAULT 0,     -- unix time before which it is not claimed; 0 for at once (or NEVER)
    error TEXT, advice TEXT,
    temp BLOB, target BLOB, output_sha256 TEXT,
    output_inode TEXT,               -- unsigned, so too large for an INTEGER on some file systems
    created REAL NOT NULL, updated REAL NOT NULL, seconds REAL
);
CREATE INDEX jobs_by_source ON jobs (source);
CREATE INDEX jobs_to_claim ON jobs (due, id) WHERE state = 'queued';
CREATE INDEX jobs_at_work ON jobs (state) WHERE state IN ('running', 'publishing');
CREATE INDEX jobs_ended ON jobs (state, updated) WHERE state IN ('done', 'failed', 'vanished');
CREATE TABLE files (                 -- what became of every file that was taken or refused
    directory BLOB NOT NULL, name BLOB NOT NULL,
    fingerprint TEXT NOT NULL, job INTEGER, verdict TEXT NOT NULL,
    PRIMARY KEY (directory, name)
) WITHOUT ROWID;
CREATE TABLE outputs (               -- everything that was ever published, to recognise it anywhere
    sha256 TEXT NOT NULL, path BLOB NOT NULL, job INTEGER NOT NULL, PRIMARY KEY (sha256, path)
) WITHOUT ROWID;
CREATE INDEX outputs_by_path ON outputs (path);
CREATE INDEX outputs_by_job ON outputs (job);
CREATE TABLE history (
    id INTEGER PRIMARY KEY, source BLOB NOT NULL, job INTEGER, at REAL NOT NULL, what TEXT NOT NULL,
    times INTEGER NOT NULL DEFAULT 1 -- the same in a row is one line, with the time of the last
);
CREATE INDEX history_by_source ON history (source);
CREATE TABLE holds (                 -- output directories that cannot be written to at the moment
    folder BLOB NOT NULL, directory BLOB NOT NULL, error TEXT NOT NULL, advice TEXT NOT NULL, since REAL NOT NULL,
    PRIMARY KEY (folder, directory)
) WITHOUT ROWID;
CREATE TABLE tally (state TEXT PRIMARY KEY, jobs INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO tally VALUES
    ('queued', 0), ('running', 0), ('publishing', 0), ('done', 0), ('failed', 0), ('vanished', 0);
CREATE TRIGGER tally_insert AFTER INSERT ON jobs BEGIN
    UPDATE tally SET jobs = jobs + 1 WHERE state = NEW.state;
END;
CREATE TRIGGER tally_delete AFTER DELETE ON jobs BEGIN
    UPDATE tally SET jobs = jobs - 1 WHERE state = OLD.state;
END;
CREATE TRIGGER tally_update AFTER UPDATE OF state ON jobs WHEN OLD.state <> NEW.state BEGIN
    UPDATE tally SET jobs = jobs - 1 WHERE state = OLD.state;
    UPDATE tally SET jobs = jobs + 1 WHERE state = NEW.state;
END;
"""

_VERSION_2 = """
CREATE {temp} TABLE choices (        -- recipes that a plugin chose when the picture was taken
    job INTEGER PRIMARY KEY, recipe TEXT NOT NULL, plugin TEXT NOT NULL
);
CREATE {temp} TABLE deliveries (     -- which dream goes to which sink, written together with the job's being done
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job INTEGER NOT NULL,
    folder BLOB NOT NULL,            -- the watched input folder that names the sink
    sink TEXT NOT NULL,              -- its name; of several with one name, the second has "-2" behind it
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'given up')),
    attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL, error TEXT,
    finished REAL NOT NULL,          -- when the dream was published
    updated REAL NOT NULL,
    UNIQUE (job, sink)
);
CREATE INDEX {schema}deliveries_due ON deliveries (folder, sink, due, id) WHERE state = 'pending';
CREATE {temp} TABLE delivery_tally (state TEXT PRIMARY KEY, deliveries INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO delivery_tally VALUES ('pending', 0), ('delivered', 0), ('given up', 0);
CREATE {temp} TRIGGER delivery_tally_insert AFTER INSERT ON deliveries BEGIN
    UPDATE delivery_tally SET deliveries = deliveries + 1 WHERE state = NEW.state;
END;
CREATE {temp} TRIGGER delivery_tally_delete AFTER DELETE ON deliveries BEGIN
    UPDATE delivery_tally SET deliveries = deliveries - 1 WHERE state = OLD.state;
END;
CREATE {temp} TRIGGER delivery_tally_update AFTER UPDATE OF state ON deliveries WHEN OLD.state <> NEW.state BEGIN
    UPDATE delivery_tally SET deliveries = deliveries - 1 WHERE state = OLD.state;
    UPDATE delivery_tally SET deliveries = deliveries + 1 WHERE state = NEW.state;
END;
CREATE {temp} TRIGGER jobs_forgotten AFTER DELETE ON jobs BEGIN
    DELETE FROM choices WHERE job = OLD.id;
    DELETE FROM deliveries WHERE job = OLD.id;
END;
CREATE {temp} TABLE disabled_plugins (  -- by the running daemon, because they failed again and again
    name TEXT PRIMARY KEY, reason TEXT NOT NULL, since REAL NOT NULL
) WITHOUT ROWID;
"""

_VERSION_3 = """
CREATE {temp} TABLE controls (       -- what the operator has asked for: 'paused', 'draining'
    name TEXT PRIMARY KEY, value TEXT NOT NULL, since REAL NOT NULL
) WITHOUT ROWID;
CREATE {temp} TABLE disposals (      -- what shall become of a source: written when its dream is announced, in force
                                     -- once its job is done
    job INTEGER PRIMARY KEY,
    how TEXT NOT NULL CHECK (how IN ('move', 'trash', 'delete')),
    fingerprint TEXT NOT NULL,       -- of the source that was dreamt; another one is left alone
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'given up')),
    target BLOB,                     -- where it is moved to, announced before it is
    attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL DEFAULT 0, error TEXT,
    updated REAL NOT NULL
);
CREATE INDEX {schema}disposals_due ON disposals (due, job) WHERE state = 'pending';
CREATE {temp} TRIGGER disposals_forgotten AFTER DELETE ON jobs BEGIN
    DELETE FROM disposals WHERE job = OLD.id;
END;
"""

_VERSION_4 = """
CREATE {temp} TABLE previews (       -- what a job has published before its dream, which alone may replace it
    job INTEGER PRIMARY KEY, target BLOB NOT NULL, sha256 TEXT NOT NULL,
    visible INTEGER NOT NULL,        -- 0 from its announcement until it is there
    updated REAL NOT NULL
);
"""

_VERSION_3_INDICES = """
CREATE INDEX jobs_by_folder ON jobs (folder, due, id) WHERE state = 'queued';
CREATE INDEX jobs_to_copy ON jobs (folder, due, id) WHERE state = 'queued' AND recipe = '(copied)';
CREATE INDEX jobs_by_content ON jobs (sha256, recipe) WHERE state = 'done';
"""
"""On tables of version 1, so not for a file that may only be read."""


def steps_from(version: int, *, in_memory: bool = False) -> str:
    """Return the statements that bring a journal of ``version`` (0 for none) to :data:`SCHEMA_VERSION`, or that make
    what it lacks ``in_memory``, for this connection alone."""
    words = {"temp": "TEMP", "schema": "temp."} if in_memory else {"temp": "", "schema": ""}
    indices = "" if in_memory and version else _VERSION_3_INDICES
    steps = (_VERSION_1, _VERSION_2.format(**words), _VERSION_3.format(**words) + indices, _VERSION_4.format(**words))
    return "".join(steps[version:])
