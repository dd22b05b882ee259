import pickle

import pytest

from analytics_client import errors
from analytics_client.errors import AnalyticsError, InvalidMessage, MessageTooLarge


def test_one_tree() -> None:
    raised = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert len(raised) == 6
    assert all(issubclass(each, AnalyticsError) for each in raised)


@pytest.mark.parametrize(
    "error", [InvalidMessage("properties.a[1]", "is bad"), MessageTooLarge(5, 4, [("properties.a", 3)])]
)
def test_errors_survive_a_process_boundary(error: InvalidMessage) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.path) == (str(error), error.path)
    assert vars(copy) == vars(error)
