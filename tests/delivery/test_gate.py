from analytics_client.delivery.gate import Gate
from analytics_client.delivery.retry import decide
from analytics_client.delivery.wire import Response
from tests.support.clock import longest

DOWN = decide(Response(503), 0)
WRONG = decide(Response(401), 0)
SLOW = decide(Response(429, {"Retry-After": "100"}), 0)


def test_open_it_lets_everybody_through() -> None:
    gate = Gate()
    assert gate.admits(0)
    gate.enter()
    assert gate.admits(0)


def test_closed_it_lets_one_probe_through_when_its_time_has_come() -> None:
    gate = Gate()
    assert gate.shut(gate.enter(), DOWN, now=10, uniform=longest)
    assert not gate.admits(10.4)
    assert gate.admits(10.5)
    ticket = gate.enter()
    assert not gate.admits(99)
    assert not gate.shut(ticket, DOWN, now=11, uniform=longest)
    assert not gate.admits(11.9)
    assert gate.admits(12)
    assert gate.open(gate.enter())
    assert gate.fault is None
    assert gate.admits(12)


def test_requests_that_fail_together_are_one_failure() -> None:
    gate = Gate()
    tickets = [gate.enter() for _ in range(8)]
    for ticket in tickets:
        gate.shut(ticket, DOWN, now=0, uniform=longest)
    assert gate.opens_at == 0.5


def test_but_each_may_bring_a_retry_after() -> None:
    gate = Gate()
    first, second = gate.enter(), gate.enter()
    gate.shut(first, DOWN, now=0, uniform=longest)
    gate.shut(second, SLOW, now=0, uniform=longest)
    assert gate.opens_at == 100


def test_old_news_does_not_open_it() -> None:
    gate = Gate()
    late, failing = gate.enter(), gate.enter()
    gate.shut(failing, DOWN, now=0, uniform=longest)
    assert not gate.open(late)
    assert gate.fault is DOWN


def test_a_probe_that_tells_nothing_is_anybodys_turn_again() -> None:
    gate = Gate()
    gate.shut(gate.enter(), DOWN, now=0, uniform=longest)
    ticket = gate.enter()
    gate.leave(ticket)
    assert gate.admits(0.5)


def test_a_wrong_setting_is_probed_each_minute() -> None:
    gate = Gate()
    gate.shut(gate.enter(), WRONG, now=0, uniform=longest)
    assert gate.opens_at == 60
    gate.shut(gate.enter(), WRONG, now=60, uniform=longest)
    assert gate.opens_at == 120


def test_success_forgets_the_failures() -> None:
    gate = Gate()
    for now in range(6):
        gate.shut(gate.enter(), DOWN, now=now, uniform=longest)
    gate.open(gate.enter())
    gate.shut(gate.enter(), DOWN, now=100, uniform=longest)
    assert gate.opens_at == 100.5
