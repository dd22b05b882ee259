import random
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from analytics_client.delivery.chunks import Chunk, Envelope, News
from analytics_client.delivery.lanes import GATHERING, BatchLanes, Lanes, PersonLanes
from tests.support.clock import FakeClock

BATCH = Envelope("/v1/batch", 100, 1_000, 999, 1, 1_000)
MERGE = Envelope("/v1/merge", 1, 1_000, 999, 1, 1_000)
SINGLE = Envelope("/track", 1, 1_000, 999, 1, 1_000)


def event(number: int) -> bytes:
    return b"%d" % number


def numbers(chunk: Chunk | None) -> list[int]:
    assert chunk is not None
    return [int(each) for each in chunk.events]


def test_a_chunk_is_due_by_count_age_or_flush() -> None:
    clock = FakeClock(0)
    lanes = BatchLanes(1, flush_at=3, flush_interval=0.5)
    assert lanes.add(event(1), BATCH, "u", 0, clock) is News.OPENED
    assert lanes.add(event(2), BATCH, "u", 0, clock) is News.NOTHING
    assert lanes.take(0) is None
    assert lanes.earliest() == 0.5
    assert lanes.add(event(3), BATCH, "u", 0, clock) is News.DUE
    assert lanes.earliest() == GATHERING
    assert lanes.add(event(4), BATCH, "u", 0, clock) is News.NOTHING
    assert lanes.take(0.9 * GATHERING) is None
    assert numbers(lanes.take(GATHERING)) == [1, 2, 3, 4]
    assert lanes.add(event(5), BATCH, "u", 0, clock) is News.OPENED
    assert lanes.earliest() is None


def test_a_full_chunk_is_due_at_once() -> None:
    lanes = BatchLanes(1, flush_at=1_000, flush_interval=1)
    news = [lanes.add(event(number), BATCH, "u", 0, FakeClock()) for number in range(BATCH.max_events)]
    assert news[-1] is News.DUE
    assert len(numbers(lanes.take(0))) == BATCH.max_events


def test_gathering_never_makes_a_chunk_wait_longer_than_its_age_allows() -> None:
    clock = FakeClock(0)
    lanes = BatchLanes(1, flush_at=2, flush_interval=0.5)
    lanes.add(event(1), BATCH, "u", 0, clock)
    clock.advance(0.499)
    lanes.add(event(2), BATCH, "u", 0, clock)
    assert lanes.earliest() == 0.5


def test_a_chunk_never_passes_its_limits() -> None:
    lanes = BatchLanes(1, flush_at=10_000, flush_interval=1)
    for number in range(1_000):
        lanes.add(b"x" * 98, BATCH, "u", 0, FakeClock())
        lanes.add(event(number), BATCH, "u", 0, FakeClock())
    lanes.make_due()
    while (chunk := lanes.take(9e9)) is not None:
        assert sum(len(each) + 2 for each in chunk.events) == chunk.size <= 1_000
        assert len(chunk.events) <= 100
        lanes.free(chunk)


def test_another_path_closes_the_chunk_and_keeps_the_order() -> None:
    lanes = BatchLanes(1, flush_at=10, flush_interval=1)
    for number, envelope in enumerate([BATCH, BATCH, MERGE, MERGE, BATCH]):
        lanes.add(event(number), envelope, "u", 0, FakeClock())
    lanes.make_due()
    taken = []
    while (chunk := lanes.take(9e9)) is not None:
        taken.append((chunk.envelope.path, numbers(chunk)))
        lanes.free(chunk)
    assert taken == [("/v1/batch", [0, 1]), ("/v1/merge", [2]), ("/v1/merge", [3]), ("/v1/batch", [4])]


def test_a_lane_has_one_chunk_out_at_a_time() -> None:
    lanes = BatchLanes(1, flush_at=1, flush_interval=1)
    lanes.add(event(1), BATCH, "u", 0, FakeClock())
    first = lanes.take(9e9)
    assert first is not None
    lanes.add(event(2), BATCH, "u", 0, FakeClock())
    assert lanes.take(9e9) is None
    lanes.restore(first, behind_next=False)
    assert numbers(lanes.take(9e9)) == [1]
    lanes.free(first)
    assert numbers(lanes.take(9e9)) == [2]


def test_behind_the_next_one() -> None:
    for lanes in (BatchLanes(1, flush_at=1, flush_interval=99), PersonLanes()):
        envelope = BATCH if isinstance(lanes, BatchLanes) else SINGLE
        for number in range(3):
            lanes.add(event(number), envelope, f"u{number}", 0, FakeClock())
            if isinstance(lanes, BatchLanes):
                lanes.make_due()
        first = lanes.take(9e9)
        assert first is not None
        lanes.restore(first, behind_next=True)
        order = []
        while (chunk := lanes.take(9e9)) is not None:
            order += numbers(chunk)
            lanes.free(chunk)
        assert order == [1, 0, 2]


def test_with_nothing_behind_it_comes_again() -> None:
    for lanes, envelope in ((BatchLanes(1, 1, 99.0), BATCH), (PersonLanes(), SINGLE)):
        lanes.add(event(0), envelope, "u", 0, FakeClock())
        first = lanes.take(9e9)
        assert first is not None
        lanes.restore(first, behind_next=True)
        assert lanes.take(9e9) is first


def test_a_slow_person_holds_up_nobody_else() -> None:
    lanes = PersonLanes()
    for number, person in enumerate("aaabbc"):
        lanes.add(event(number), SINGLE, person, 0, FakeClock())
    slow = lanes.take(0)
    assert numbers(slow) == [0]
    rest = []
    while (chunk := lanes.take(0)) is not None:
        rest += numbers(chunk)
        lanes.free(chunk)
    assert rest == [3, 4, 5]
    assert slow is not None
    lanes.free(slow)
    assert numbers(lanes.take(0)) == [1]


def test_nothing_is_kept_for_people_who_have_nothing_queued() -> None:
    lanes = PersonLanes()
    for number in range(1_000):
        lanes.add(event(number), SINGLE, f"u{number % 100}", 0, FakeClock())
    while (chunk := lanes.take(0)) is not None:
        lanes.free(chunk)
    assert not lanes._busy
    assert not lanes._parked


def test_dropping_takes_the_oldest_that_was_not_tried() -> None:
    clock = FakeClock(0)
    lanes = BatchLanes(2, flush_at=2, flush_interval=1)
    people = {hash(f"p{each}") % 2: f"p{each}" for each in range(50)}
    for number in range(6):
        clock.advance(1)
        lanes.add(event(number), BATCH, people[number % 2], 7, clock)
    assert lanes.drop_oldest() == (b"0", 7)
    dropped = [lanes.drop_oldest() for _ in range(6)]
    assert sorted(each[0] for each in dropped if each) == [b"1", b"2", b"3", b"4", b"5"]
    assert dropped[-1] is None
    assert lanes.earliest() is None

    persons = PersonLanes()
    for number, person in enumerate("aab"):
        clock.advance(1)
        persons.add(event(number), SINGLE, person, 7, clock)
    taken = persons.take(0)
    assert persons.take(0) is not None  # b, and a's second is parked
    assert persons.drop_oldest() == (b"1", 7)
    assert persons.drop_oldest() is None
    assert taken is not None
    persons.free(taken)


@given(st.integers(1, 5), st.lists(st.sampled_from("abcdefgh"), max_size=60), st.integers(0, 2**32), st.booleans())
def test_each_persons_events_leave_in_order_whatever_happens(
    count: int, people: list[str], seed: int, single: bool
) -> None:
    """Several consumers take, put back, finish, in any order: nobody's events overtake each other, and none is lost."""
    chance = random.Random(seed)
    lanes: Lanes = PersonLanes() if single else BatchLanes(count, flush_at=2, flush_interval=1)
    queue = list(enumerate(people))
    out: list[Chunk] = []
    settled: dict[str, list[int]] = defaultdict(list)
    owner = dict(queue)
    while queue or out or lanes.earliest() is not None:
        step = chance.random()
        if queue and step < 0.4:
            number, person = queue.pop(0)
            lanes.add(event(number), SINGLE if single else BATCH, person, 0, FakeClock())
        elif out and step < 0.6:
            lanes.restore(out.pop(chance.randrange(len(out))), behind_next=False)
        elif out and step < 0.8:
            chunk = out.pop(chance.randrange(len(out)))
            for number in numbers(chunk):
                settled[owner[number]].append(number)
            lanes.free(chunk)
        else:
            lanes.make_due()
            if (taken := lanes.take(9e9)) is not None:
                out.append(taken)
                together = {owner[number] for each in out for number in numbers(each)}
                assert sum(len({owner[number] for number in numbers(each)}) for each in out) == len(together)
    assert sorted(number for each in settled.values() for number in each) == list(range(len(people)))
    assert all(each == sorted(each) for each in settled.values())
