"""Everything below the line: bytes in, requests out, outcomes back. Nothing in here looks inside an event."""
