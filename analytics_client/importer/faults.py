"""What ends an import early: one sentence that says what was wrong, where, and what to do. Holds no row's content."""

from analytics_client.errors import AnalyticsError


class ImportStopped(AnalyticsError):
    """The import cannot go on: the disk is full, the server refuses the key, an input is broken.

    What was settled until then is in the checkpoint, and `resume` goes on from there.
    """


class InputBroken(ImportStopped):
    """An input cannot be read any further. The rows before that were read; the other inputs are not affected."""
