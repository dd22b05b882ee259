from analytics_client.delivery.chunks import EVENT_OVERHEAD, Envelope, News
from analytics_client.delivery.lanes import BatchLanes
from analytics_client.delivery.queue import MemoryQueue
from tests.support.clock import FakeClock

BATCH = Envelope("/v1/batch", 100, 1_000, 999, 1, 1_000)


def make(max_bytes: int = 10_000, flush_at: int = 5) -> MemoryQueue:
    clock = FakeClock(0)
    return MemoryQueue(BatchLanes(1, flush_at, 1.0), max_bytes, clock)


def test_the_bound_counts_what_is_in_flight() -> None:
    queue = make(max_bytes=2 * (100 + EVENT_OVERHEAD))
    assert queue.append(b"x" * 100, BATCH, "u") is News.OPENED
    assert queue.append(b"x" * 100, BATCH, "u") is News.NOTHING
    assert queue.append(b"x", BATCH, "u") is News.FULL
    queue.mark()
    chunk = queue.take(0)
    assert chunk is not None
    assert queue.append(b"x", BATCH, "u") is News.FULL
    [part] = chunk.parts
    queue.settle(chunk, part)
    assert (queue.pending, queue.held_bytes) == (0, 0)
    assert queue.append(b"x", BATCH, "u") is News.OPENED


def test_a_mark_waits_for_what_came_before_it_and_no_more() -> None:
    queue = make()
    queue.append(b"1", BATCH, "u")
    mark = queue.mark()
    queue.append(b"2", BATCH, "u")
    later = queue.mark()
    assert not queue.is_settled(mark)
    first = queue.take(0)
    assert first is not None
    queue.settle(first, first.parts[0])
    assert not queue.is_settled(mark)  # its callbacks may still run
    queue.finish(first)
    assert queue.is_settled(mark)
    assert not queue.is_settled(later)
    second = queue.take(0)
    assert second is not None
    queue.settle(second, second.parts[0])
    queue.finish(second)
    assert queue.is_settled(later)


def test_an_empty_queue_is_settled() -> None:
    queue = make()
    assert queue.is_settled(queue.mark())
    assert queue.mark() == queue.mark()


def test_dropping_settles_too() -> None:
    queue = make()
    queue.append(b"1", BATCH, "u")
    mark = queue.mark()
    assert queue.drop_oldest() == b"1"
    assert queue.is_settled(mark)
    assert queue.drop_oldest() is None
    assert (queue.pending, queue.held_bytes) == (0, 0)


def test_draining_leaves_alone_what_is_settled_and_at_its_callbacks() -> None:
    queue = make(flush_at=2)
    queue.append(b"0", BATCH, "u")
    queue.append(b"1", BATCH, "u")
    chunk = queue.take(9e9)
    assert chunk is not None
    queue.settle(chunk, chunk.parts[0])
    assert queue.drain() == []
    assert (queue.pending, queue.held_bytes) == (0, 0)


def test_draining_hands_out_every_part_once() -> None:
    queue = make(flush_at=2)
    for number in range(5):
        queue.append(b"%d" % number, BATCH, "u")
    queue.mark()
    taken = queue.take(0)
    assert taken is not None
    queue.append(b"5", BATCH, "u")
    parts = queue.drain()
    assert sorted(event for part in parts for event in part.events) == [b"%d" % each for each in range(6)]
    assert taken.drained
    assert (queue.pending, queue.held_bytes, queue.in_flight) == (0, 0, 0)
    assert queue.is_settled(queue.mark())
