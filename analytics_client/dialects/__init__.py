"""The APIs this package speaks: one file each, and the base that a user's own dialect is made from."""

from analytics_client.dialects.base import Dialect, Frame, Route
from analytics_client.dialects.rudderstack import RudderStack
from analytics_client.dialects.segment import Segment
from analytics_client.dialects.segmentstream import SegmentStream

#: The dialects that have a name: what `Client(dialect="...")` accepts besides an object.
DIALECTS: dict[str, Dialect] = {each.name: each for each in (Segment(), RudderStack(), SegmentStream())}

__all__ = ["DIALECTS", "Dialect", "Frame", "Route", "RudderStack", "Segment", "SegmentStream"]
