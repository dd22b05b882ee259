from decimal import Decimal

import pytest

from analytics_client.outcome import Ledger, Outcome, Reason


def test_an_outcome_decodes_its_event_exactly_and_lazily() -> None:
    outcome = Outcome(Reason.DELIVERED, 200, 1, body=b'{"messageId":"m","p":19.990,"n":1' + b"0" * 5_000 + b"}")
    assert outcome.message_id == "m"
    assert outcome.event is not None
    assert str(outcome.event["p"]) == "19.990"
    assert isinstance(outcome.event["p"], Decimal)
    assert outcome.event["n"] == 10**5_000
    assert Outcome(Reason.DELIVERED, body=b'{"hitId":"h"}', id_key="hitId").message_id == "h"


def test_a_refusal_may_have_no_event() -> None:
    outcome = Outcome(Reason.INVALID, cause="event: is required")
    assert (outcome.event, outcome.message_id, outcome.status, outcome.attempts) == (None, None, None, 0)


def test_neither_body_nor_cause_is_shown() -> None:
    outcome = Outcome(Reason.REJECTED, 400, 2, "secret", b'{"email":"secret"}')
    assert "secret" not in repr(outcome)
    with pytest.raises(AttributeError):
        outcome.status = 5  # type: ignore[misc]


def test_the_ledger_balances_and_a_snapshot_stays() -> None:
    ledger = Ledger()
    ledger.accepted = 10
    ledger.end(Reason.DELIVERED, 6)
    ledger.end(Reason.REJECTED, 2)
    ledger.refuse(Reason.INVALID)
    ledger.refuse(Reason.INVALID)
    stats = ledger.snapshot(2, {"adjusted": 1})
    ledger.refuse(Reason.OVERFLOW)
    assert (stats.calls, stats.accepted, stats.delivered, stats.pending) == (12, 10, 6, 2)
    assert stats.refused == {Reason.INVALID: 2}
    assert stats.failed == {Reason.REJECTED: 2}
    assert stats.notices == {"adjusted": 1}
    assert repr(stats) == (
        "Stats(calls=12, accepted=10, refused={'invalid': 2}, recovered=0, delivered=6, failed={'rejected': 2}, "
        "pending=2, notices={'adjusted': 1})"
    )
    with pytest.raises(TypeError):
        stats.refused[Reason.INVALID] = 5  # type: ignore[index]
