"""The collector's SQLite file: its tables, its version, and how it is opened.

This file owns the schema and the opening, and refuses files that are not a collector's. It must not read or write
events.
"""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

_VERSION = 1
_APPLICATION = 0x616E636F  # "anco": says that a file is a collector's
_LOCK_WAIT = 0.25  # seconds to wait for another process that reads or writes the file
_SCHEMA = """
CREATE TABLE seen (key BLOB PRIMARY KEY, digest BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, key BLOB NOT NULL, service TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
    user TEXT NOT NULL, received_at TEXT NOT NULL, copies INTEGER NOT NULL, size INTEGER NOT NULL,
    violations BLOB NOT NULL, body BLOB NOT NULL
);
CREATE UNIQUE INDEX events_by_key ON events (key);
CREATE INDEX events_by_type ON events (type);
CREATE INDEX events_by_user ON events (user);
CREATE TABLE counts (name TEXT NOT NULL, label TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (name, label));
"""


def open_database(path: str | os.PathLike[str] | None) -> sqlite3.Connection:
    """Open a collector's database, and make it if it is not there. None means in memory.

    Raises:
        sqlite3.Error: It is no collector's database, or another process has it.
        OSError: The file cannot be made or opened.
    """
    if path is not None:
        # Created here and not by SQLite, so that nobody else can read the personal data in it (-wal and -shm follow).
        os.close(os.open(Path(path), os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite3.connect(
        ":memory:" if path is None else path, timeout=_LOCK_WAIT, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA trusted_schema = OFF")
    found = _pragma(db, "application_id"), _pragma(db, "user_version")
    empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if not empty and found != (_APPLICATION, _VERSION):
        raise sqlite3.DatabaseError("it is not a collector's database, or one of another version")
    # One collector per file: the counts are also held in memory.
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("BEGIN EXCLUSIVE")
    if empty:
        for statement in _statements():
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION}")
        db.execute(f"PRAGMA user_version = {_VERSION}")
    db.execute("COMMIT")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    value: int = db.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _statements() -> Iterator[str]:
    return (statement for statement in _SCHEMA.split(";") if statement.strip())
