import threading

import pytest

from analytics_client.delivery.bells import Bell
from analytics_client.delivery.chunks import Job, News
from analytics_client.delivery.hub import ReentrantCallError
from analytics_client.delivery.wire import Response
from analytics_client.outcome import Outcome, Reason
from tests.support.harness import Harness


def test_a_reentrant_put_waits_at_the_side_and_is_taken_in() -> None:
    it = Harness()
    it.put(1)
    with it.hub:
        assert it.hub.put(b'{"n":99', it.envelope, "u") is News.NOTHING
        assert not it.hub.refuse(Reason.INVALID, Outcome(Reason.INVALID))
        assert it.queue.pending == 1
    assert it.queue.pending == 2
    stats = it.hub.stats({})
    assert (stats.accepted, stats.refused) == (2, {Reason.INVALID: 1})
    it.run()
    assert it.ended(Reason.DELIVERED) == [0, 99]
    it.check()


def test_what_was_left_at_the_side_rouses_a_consumer() -> None:
    it = Harness()
    roused: list[bool] = []
    it.hub.rouse = lambda: roused.append(True)
    with it.hub:
        it.hub.put(b'{"n":1', it.envelope, "u")
    assert roused == [True]


def test_a_put_into_an_append_under_way_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a signal handler does: track, in the middle of a track."""
    it = Harness()
    append = it.queue.append
    depth: list[int] = []

    def interrupted(event: bytes, envelope: object, person: str) -> News:
        if not depth:
            depth.append(1)
            it.put(1)
        return append(event, it.envelope, person)

    monkeypatch.setattr(it.queue, "append", interrupted)
    it.put(1)
    it.run()
    assert it.hub.stats({}).accepted == 2
    assert len(it.ended(Reason.DELIVERED)) == 2


def test_a_reentrant_put_that_finds_no_room_fails_as_overflow() -> None:
    it = Harness(max_queue_bytes=100)
    it.put(1)
    with it.hub:
        it.hub.put(b'{"n":99,"x":"' + b"x" * 100 + b'"', it.envelope, "u")
    it.run()
    assert it.ended(Reason.OVERFLOW) == [99]
    it.check()


def test_waiting_calls_are_refused_inside_the_lock() -> None:
    it = Harness()
    with it.hub:
        with pytest.raises(ReentrantCallError):
            it.hub.mark()
        assert it.hub.stats({}).accepted == 0
        assert it.hub.load() == (0, 0, 0)
    it.hub.mark()


def test_drop_newest_refuses_and_keeps_what_is_there() -> None:
    it = Harness(max_queue_bytes=190, on_full="drop_newest")
    it.put(3)
    assert it.hub.put(b'{"n":9', it.envelope, "u") is News.FULL
    it.run()
    assert it.ended(Reason.DELIVERED) == [0, 1]


def test_drop_oldest_fails_the_oldest_and_reports_each() -> None:
    it = Harness(max_queue_bytes=800, on_full="drop_oldest")
    for _ in range(20):
        it.put(1)
        it.step()  # a consumer that reports, and finds nothing due
    it.run()
    delivered, dropped = it.ended(Reason.DELIVERED), it.ended(Reason.OVERFLOW)
    assert delivered == list(range(20 - len(delivered), 20))
    assert dropped == list(range(20 - len(delivered)))
    assert it.hub.load()[1] == 0
    it.check()


def test_drop_oldest_drops_no_more_than_can_be_reported() -> None:
    it = Harness(max_queue_bytes=8_000, on_full="drop_oldest")
    it.put(1_000)
    assert it.queue.held_bytes <= 8_000
    stats = it.hub.stats({})
    assert 0 < stats.failed[Reason.OVERFLOW] * 70 < 8_000 / 5 + 140
    it.run()
    assert len(it.ended(Reason.OVERFLOW)) == stats.failed[Reason.OVERFLOW]
    it.check()


def test_without_a_listener_the_oldest_are_dropped_without_end() -> None:
    it = Harness(max_queue_bytes=800, on_full="drop_oldest", on_failed=None)
    it.put(1_000)
    assert it.hub.stats({}).accepted == 1_000
    it.run()
    assert it.ended(Reason.DELIVERED)[-1] == 999


def test_refusals_beyond_a_thousand_are_only_counted() -> None:
    it = Harness()
    for _ in range(1_500):
        it.hub.refuse(Reason.INVALID, Outcome(Reason.INVALID))
    it.run()
    assert it.hub.stats({}).refused == {Reason.INVALID: 1_500}
    assert len(it.outcomes) == 1_000
    it.hub.refuse(Reason.INVALID, Outcome(Reason.INVALID))
    it.run()
    assert len(it.outcomes) == 1_001


def test_looking_at_a_mark() -> None:
    it = Harness(Response(503))
    it.put(1)
    mark, bell = it.flush(), Bell()
    deadline = it.clock.now + 5
    assert it.hub.look(mark, deadline, bell) is None
    it.step()
    assert it.hub.look(mark, it.clock.now + 0.4, bell) is False  # the gate opens later than that
    assert it.hub.look(mark, deadline, bell) is None
    it.clock.advance(0.5)
    it.step()
    assert it.hub.look(mark, deadline, bell) is True


def test_a_wrong_setting_makes_waiting_useless_at_once() -> None:
    it = Harness(Response(401))
    it.put(1)
    mark = it.flush()
    it.step()
    assert it.hub.look(mark, it.clock.now + 1_000, Bell()) is False


def test_after_close_nothing_is_taken_in() -> None:
    it = Harness()
    it.put(1)
    assert it.hub.close()
    assert not it.hub.close()
    assert it.hub.put(b"x", it.envelope, "u") is News.CLOSED
    it.run()
    assert it.ended(Reason.DELIVERED) == [0]


def test_what_is_drained_is_settled_once() -> None:
    it = Harness()
    it.put(3)
    it.flush()
    job = it.hub.next_job(None)
    assert isinstance(job, Job)
    [part] = job.chunk.parts
    it.put(2)
    parts, _ = it.hub.drain(Reason.CLOSED)
    assert sum(len(each.events) for each in parts) == 5
    assert not it.hub.settle(job, part, Reason.DELIVERED)
    it.hub.split(job, part)
    it.hub.put_back(job)
    it.hub.finish(job)
    stats = it.hub.stats({})
    assert (stats.failed, stats.delivered, stats.pending) == ({Reason.CLOSED: 5}, 0, 0)
    assert it.hub.next_job(Bell()) is None


def test_hiring_wakes_a_sleeper_before_it_starts_another() -> None:
    it = Harness(concurrency=2)
    assert not it.hub.hire()  # for what?
    it.put(1)
    assert it.hub.hire()
    bell = Bell()
    assert it.hub.next_job(bell) == 0.5
    assert not it.hub.hire()  # the sleeper was rung
    assert it.hub.hire()  # nobody sleeps now
    assert not it.hub.hire()  # and that was the last one
    it.hub.resign()
    assert it.hub.hire()


def test_a_consumer_with_nothing_to_do_may_leave() -> None:
    it = Harness()
    bell = Bell()
    it.put(1)
    it.hub.hire()
    assert it.hub.next_job(bell, may_leave=True) == 0.5
    it.run()
    assert it.hub.next_job(bell, may_leave=True) is None
    assert it.hub.workers() == 0


def test_a_retired_hub_lets_its_consumers_go_when_all_is_done() -> None:
    it = Harness()
    it.put(1)
    it.hub.hire()
    assert it.hub.retire(it.clock.now + 5)
    assert not it.hub.is_retired()
    job = it.hub.next_job(Bell())
    assert isinstance(job, Job)  # nobody will flush any more: everything is due
    it.hub.put_back(job)
    it.run()
    assert it.hub.next_job(Bell()) is None
    assert it.hub.is_retired()


def test_a_ring_before_the_wait_is_not_lost() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    bell.wait(60)
    woken = threading.Event()

    def sleep() -> None:
        bell.wait(60)
        woken.set()

    thread = threading.Thread(target=sleep)
    thread.start()
    assert not woken.is_set()
    bell.ring()
    thread.join(10)
    assert woken.is_set()
    bell.wait(0)
    bell.wait(-1)
