import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from analytics_client.merging import merged

TREES = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8
)
MAPPINGS = st.dictionaries(st.sampled_from("abc"), TREES, max_size=3)


def test_the_upper_value_wins_and_the_rest_stays() -> None:
    lower = {"ip": "1.1.1.1", "page": {"path": "/", "title": "Home"}, "app": {"name": "shop"}}
    upper = {"ip": "2.2.2.2", "page": {"path": "/cart"}, "app": "none"}
    assert merged(lower, upper) == {"ip": "2.2.2.2", "page": {"path": "/cart", "title": "Home"}, "app": "none"}


def test_nothing_merges_with_nothing() -> None:
    assert merged(None, None) is None
    assert merged({"a": 1}, None) == {"a": 1}
    assert merged(None, {"a": 1}) == {"a": 1}


@given(MAPPINGS, MAPPINGS)
def test_what_is_given_is_never_changed(lower: dict[str, Any], upper: dict[str, Any]) -> None:
    before = copy.deepcopy((lower, upper))
    result = merged(lower, upper)
    assert (lower, upper) == before
    assert set(result or {}) == set(lower) | set(upper)


def test_a_mapping_that_holds_itself_ends() -> None:
    lower: dict[str, Any] = {"n": 1}
    lower["me"] = lower
    upper: dict[str, Any] = {"n": 2}
    upper["me"] = upper
    result = merged(lower, upper)
    assert result is not None
    assert result["n"] == result["me"]["n"] == 2
