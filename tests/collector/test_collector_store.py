import json
import sqlite3
import stat
from pathlib import Path

import pytest

from analytics_client.collector.exchange import Event, Violation
from analytics_client.collector.store import Store, StoreError

NOTE = Violation("rule.id", "$.a", "A sentence.")


def _store(path: Path | None = None, *, keep: int = 1_000, keep_bytes: int = 10**9) -> Store:
    return Store(path, keep, keep_bytes)


def _event(
    number: int | str, body: bytes = b"{}", *, digest: bytes = b"d", kind: str = "track", user: str = "u"
) -> Event:
    return Event("segment", str(number), kind, user, body, digest)


def _add(store: Store, *events: Event, size: int = 10, status: int | None = 200) -> None:
    store.add(events, received_at="2022-02-01T19:14:18.381Z", size=size, status=status)


def _ids(store: Store) -> list[str]:
    return [json.loads(event)["id"] for event in store.events(limit=10_000).events]


def test_an_empty_store_counts_nothing() -> None:
    store = _store()
    assert store.stats() == {
        "requests": 0,
        "bytes": 0,
        "arrived": 0,
        "unique": 0,
        "duplicates": 0,
        "differing": 0,
        "violations": 0,
        "statuses": {},
        "by_type": {},
        "by_rule": {},
    }
    assert store.events(limit=10).total == 0
    store.close()


def test_events_are_shown_as_they_came() -> None:
    store = _store()
    event = Event("segment", "m", "track", "u", b'{"n":18446744073709551616}', b"d", violations=(NOTE,))
    store.add([event], received_at="now", size=5, status=200, notes=[NOTE])
    [shown] = store.events(limit=10).events
    assert json.loads(shown) == {
        "id": "m",
        "service": "segment",
        "type": "track",
        "user_id": "u",
        "received_at": "now",
        "copies": 1,
        "event": {"n": 18446744073709551616},
        "violations": [{"rule": "rule.id", "path": "$.a", "sentence": "A sentence."}],
    }
    stats = store.stats()
    assert (stats["violations"], stats["by_rule"]) == (2, {"rule.id": 2})
    store.close()


def test_copies_are_counted_and_differing_ones_noticed() -> None:
    store = _store()
    _add(store, _event(1, digest=b"a"), _event(2, digest=b"a"))
    _add(store, _event(1, digest=b"a"), _event(2, digest=b"b"))
    _add(store, _event(2, digest=b"a"))
    stats = store.stats()
    assert (stats["arrived"], stats["unique"], stats["duplicates"], stats["differing"]) == (5, 2, 3, 1)
    assert stats["by_type"] == {"track": 2}
    assert [json.loads(event)["copies"] for event in store.events(limit=10).events] == [2, 3]
    store.close()


def test_copies_within_one_request_are_copies() -> None:
    store = _store()
    _add(store, _event(1), _event(1))
    assert store.stats()["duplicates"] == 1
    store.close()


def test_the_same_id_at_another_service_is_another_event() -> None:
    store = _store()
    _add(store, _event(1), Event("segmentstream", "1", "track", "u", b"{}", b"d"))
    assert store.stats()["unique"] == 2
    store.close()


def test_requests_are_counted_with_their_status() -> None:
    store = _store()
    _add(store, size=10)
    _add(store, size=20, status=503)
    _add(store, size=30, status=None)
    stats = store.stats()
    assert (stats["requests"], stats["bytes"], stats["statuses"]) == (3, 60, {"200": 1, "503": 1})
    store.close()


def test_pages_filters_and_orders() -> None:
    store = _store()
    _add(store, *(_event(n, kind="page" if n % 2 else "track", user=f"u{n % 3}") for n in range(10)))

    def ids(**query: object) -> list[str]:
        page = store.events(**{"limit": 100, **query})  # type: ignore[arg-type]
        return [json.loads(event)["id"] for event in page.events]

    assert ids() == [str(n) for n in range(10)]
    assert ids(limit=3, offset=2) == ["2", "3", "4"]
    assert ids(kind="page") == ["1", "3", "5", "7", "9"]
    assert ids(user="u0", kind="track") == ["0", "6"]
    assert ids(newest=True, limit=2) == ["9", "8"]
    assert ids(user="nobody") == ids(kind="'; DROP TABLE events") == []
    assert store.events(limit=2, kind="page").total == 5
    first = store.events(limit=4)
    assert [json.loads(event)["id"] for event in store.events(limit=4, after=first.last_seq).events] == [
        "4",
        "5",
        "6",
        "7",
    ]
    last = store.events(limit=4, newest=True)
    assert [json.loads(event)["id"] for event in store.events(limit=1, after=last.last_seq, newest=True).events] == [
        "5"
    ]
    store.close()


def test_the_oldest_bodies_make_room_by_number_and_counts_stay_exact() -> None:
    store = _store(keep=5)
    for start in range(0, 20, 4):
        _add(store, *(_event(n) for n in range(start, start + 4)))
    assert _ids(store) == ["15", "16", "17", "18", "19"]
    _add(store, _event(0), _event(19))
    stats = store.stats()
    assert (stats["arrived"], stats["unique"], stats["duplicates"]) == (22, 20, 2)
    assert store.events(limit=1).total == 5
    store.close()


def test_the_oldest_bodies_make_room_by_size() -> None:
    store = _store(keep_bytes=10_000)
    for n in range(20):
        _add(store, _event(n, b"[" + b" " * 2_000 + b"]"))
    assert _ids(store) == ["16", "17", "18", "19"]
    _add(store, _event("large", b"[" + b" " * 50_000 + b"]"))
    assert _ids(store) == ["large"]
    store.close()


def test_a_file_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    store = _store(path)
    _add(store, _event(1), _event(2))
    before = store.stats()
    store.close()
    store = _store(path)
    assert store.stats() == before
    _add(store, _event(2), _event(3))
    assert _ids(store) == ["1", "2", "3"]
    assert store.stats()["duplicates"] == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store.close()
    store.close()


def test_the_bounds_hold_after_a_restart(tmp_path: Path) -> None:
    store = _store(tmp_path / "events.db", keep=3)
    _add(store, *(_event(n) for n in range(3)))
    store.close()
    store = _store(tmp_path / "events.db", keep=3)
    _add(store, _event(3))
    assert _ids(store) == ["1", "2", "3"]
    store.close()


def test_a_full_disk_is_one_clear_error_and_nothing_is_half_written() -> None:
    store = _store()
    _add(store, _event(1))
    [pages] = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match=r"cannot write its database memory: .*full"):
        _add(store, *(_event(n, b"[" + b" " * 5_000 + b"]") for n in range(2, 20)))
    store.note(size=7, status=503)
    stats = store.stats()
    assert (stats["arrived"], stats["unique"], _ids(store)) == (1, 1, ["1"])
    assert (stats["requests"], stats["bytes"], stats["statuses"]) == (2, 17, {"200": 1, "503": 1})
    store._db.execute("PRAGMA max_page_count = 1000000")
    _add(store, *(_event(n) for n in range(2, 20)))
    assert store.stats()["arrived"] == 19
    store.close()


def test_an_error_in_the_middle_leaves_no_open_transaction() -> None:
    store = _store()
    store._db.execute(
        "CREATE TRIGGER no BEFORE INSERT ON events WHEN NEW.id = 'bad' BEGIN SELECT RAISE(ABORT, 'no such luck'); END"
    )
    with pytest.raises(StoreError, match="no such luck"):
        _add(store, _event("good"), _event("bad"))
    assert (store.stats()["arrived"], _ids(store)) == (0, [])
    _add(store, _event("good"))
    assert (store.stats()["unique"], store.stats()["duplicates"], _ids(store)) == (1, 0, ["good"])
    store.close()


def test_what_was_only_counted_in_memory_is_written_later(tmp_path: Path) -> None:
    store = _store(tmp_path / "events.db")
    store.note(size=7, status=503)
    _add(store, _event(1))
    _add(store, _event(2))
    before = store.stats()
    store.close()
    store = _store(tmp_path / "events.db")
    assert store.stats() == before
    assert (before["requests"], before["statuses"]) == (3, {"200": 2, "503": 1})
    store.close()


def test_one_file_is_for_one_collector(tmp_path: Path) -> None:
    store = _store(tmp_path / "events.db")
    with pytest.raises(StoreError, match="locked"):
        _store(tmp_path / "events.db")
    store.close()


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_bytes(b"no database" * 1000)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    before = other.read_bytes()
    for path, words in ((text, "not a database"), (other, "not a collector's"), (tmp_path / "no" / "x.db", "No such")):
        with pytest.raises(StoreError, match=words):
            _store(path)
    assert (text.read_bytes(), other.read_bytes()) == (b"no database" * 1000, before)


def test_a_closed_database_is_a_clear_error() -> None:
    store = _store()
    store.close()
    with pytest.raises(StoreError, match="cannot read"):
        store.events(limit=1)
