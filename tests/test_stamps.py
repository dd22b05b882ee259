import re
import uuid

from analytics_client.stamps import Stamps


def test_an_id_is_a_random_uuid_from_the_source_given() -> None:
    stamps = Stamps(random=lambda size: bytes(range(size)))
    assert stamps.message_id() == "000102030405060708090a0b0c0d0e0f"
    assert uuid.UUID(stamps.message_id()) == uuid.UUID(bytes=bytes(range(16)))


def test_ids_differ() -> None:
    stamps = Stamps()
    ids = {stamps.message_id() for _ in range(10_000)}
    assert len(ids) == 10_000
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in ids)


def test_the_time_is_read_at_each_call() -> None:
    times = iter([1_643_742_858_381_000_000, 1_643_742_858_381_999_999, 1_643_742_858_382_000_000])
    stamps = Stamps(wall_ns=lambda: next(times))
    assert [stamps.now() for _ in range(3)] == [
        "2022-02-01T19:14:18.381Z",
        "2022-02-01T19:14:18.381Z",
        "2022-02-01T19:14:18.382Z",
    ]
