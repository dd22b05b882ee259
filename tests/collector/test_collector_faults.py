import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_client.collector.faults import Action, Player, Step, parse


def _take(script: str, number: int) -> list[Step]:
    player = Player(parse(script))
    return [player.take() for _ in range(number)]


@pytest.mark.parametrize("script", ["", "  ", "ok", "200"])
def test_a_script_may_say_nothing(script: str) -> None:
    assert all(step.action is Action.ANSWER and not step.latency for step in _take(script, 3))


def test_steps_are_taken_in_order_and_then_answers_are_normal() -> None:
    steps = _take("503x2, ok, 429:Retry-After=2, drop-before", 6)
    assert [step.status for step in steps] == [503, 503, 0, 429, 0, 0]
    assert [step.action for step in steps[3:]] == [Action.STATUS, Action.DROP_BEFORE, Action.ANSWER]
    assert steps[3].headers == (("Retry-After", "2"),)


@pytest.mark.parametrize("action", ["drop-before", "drop-unanswered", "drop-while", "drop-after"])
def test_every_drop_is_understood(action: str) -> None:
    assert _take(action, 1)[0].action is Action(action)


def test_a_star_repeats_the_last_step_for_ever() -> None:
    assert [step.status for step in _take("500,503*", 50)] == [500] + [503] * 49
    assert [step.status for step in _take("503x2*", 5)] == [503] * 5


def test_latency_is_in_seconds_and_answers_normally() -> None:
    step, after = _take("latency=0.25", 2)
    assert (step.action, step.latency, after.latency) == (Action.ANSWER, 0.25, 0.0)


def test_headers_are_joined_with_semicolons_and_quoted_where_they_hold_commas() -> None:
    script = '429x2:Retry-After="Wed, 21 Oct 2015 07:28:00 GMT";X-RateLimit-Reset=3,302:Location=http://localhost/x;A='
    first, second, third = _take(script, 3)
    assert first.headers == second.headers
    assert first.headers == (("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"), ("X-RateLimit-Reset", "3"))
    assert third.headers == (("Location", "http://localhost/x"), ("A", ""))


@pytest.mark.parametrize(
    ("script", "number"),
    [
        ("503,,503", 2),
        ("200,drop", 2),
        ("drop-later", 1),
        ("99", 1),
        ("199", 1),
        ("600", 1),
        ("503x0", 1),
        ("503x99999999", 1),
        ("503*,200", 1),
        ("ok:Retry-After=2", 1),
        ("drop-after:A=b", 1),
        ("503:", 1),
        ("503:Retry-After", 1),
        ("503:Bad Name=1", 1),
        ("503:Name=\r\nX: y", 1),
        ("latency=", 1),
        ("latency=1.2.3", 1),
        ("latency=-1", 1),
        ("status", 1),
    ],
)
def test_a_bad_step_is_named_with_what_is_allowed(script: str, number: int) -> None:
    with pytest.raises(ValueError, match=rf"step {number} .*allowed are .*drop-before"):
        parse(script)


@given(st.text(alphabet="0123456789x*,:;=\"'-. latencydropbefore\r\n", max_size=60))
def test_any_text_is_a_script_or_a_value_error(text: str) -> None:
    try:
        script = parse(text)
    except ValueError:
        return
    player = Player(script)
    for _ in range(5):
        step = player.take()
        assert step.action is not Action.STATUS or 201 <= step.status <= 599
