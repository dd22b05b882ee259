"""Rows become calls of a client: the step that the real import and the dry run have in common.

    number, raw, values -> call -> message id -> client.track(...)

A row that cannot be read, mapped or encoded is told to `refused`, with the reason, and nothing else happens to it.
"""

from collections.abc import Callable
from typing import Any, Protocol

from analytics_client import Client, InvalidMessage, MessageTooLarge
from analytics_client.importer.ids import Seen, row_ids
from analytics_client.importer.mapping import ARGUMENTS
from analytics_client.importer.tables import Bad, Row, Table


class Ledger(Protocol):
    """What must know of a row before its event may be on its way."""

    def begin(self, message_id: str, entry: tuple[int, int, Any]) -> None:
        """The row's event is about to be handed over."""

    def begin_own(self, message_id: str, entry: tuple[int, int, Any]) -> None:
        """Likewise; the id is the source's own, and may come again."""

    def cancel(self, message_id: str) -> None:
        """It was not."""


class Feed:
    """Hands the rows of one input to a client made with `strict=True`.

    Args:
        client: takes the calls.
        table: of the rows.
        place: the input's name in ids.
        calls: values to call.
        seen: counts ids of the source's own.
        ledger: told of every row.
        refused: called with number, line, raw and reason.
    """

    def __init__(
        self,
        client: Client,
        table: Table,
        place: str,
        calls: Callable[[Any], tuple[str, dict[str, Any]]],
        seen: Seen,
        ledger: Ledger,
        refused: Callable[[int, int, Any, str], None],
    ) -> None:
        self._methods: dict[str, Callable[..., str | None]] = {kind: getattr(client, kind) for kind in ARGUMENTS}
        self._content = table.content
        self._row_id = row_ids(place)
        self._calls = calls
        self._seen = seen
        self._ledger = ledger
        self._refused = refused

    def row(self, number: int, row: Row) -> tuple[str, Any] | None:
        """Take one row; return its call and its event's name, or None if it was refused."""
        line, raw, values = row
        if type(values) is Bad:
            self._refused(number, line, raw, values.reason)
            return None
        message_id = None
        try:
            kind, arguments = self._calls(values)
            message_id = arguments.get("message_id")
            if message_id is None:
                event = arguments.get("event")
                name = event if type(event) is str else ""
                message_id = self._row_id(number, self._content(raw), kind, name)
                arguments["message_id"] = message_id
                self._ledger.begin(message_id, (number, line, raw))
            elif type(message_id) is str:
                self._seen.add(message_id)
                self._ledger.begin_own(message_id, (number, line, raw))
            else:
                message_id = None
                raise InvalidMessage("messageId", "must be text")  # noqa: TRY301 - handled as the rest here
            if self._methods[kind](**arguments) is None:
                self._ledger.cancel(message_id)  # the client was closed under us
                return None
        except InvalidMessage as error:
            if message_id is not None:
                self._ledger.cancel(message_id)
            if isinstance(error, MessageTooLarge):
                reason = f"{error.size:,} bytes as an event, the limit is {error.limit:,}"
            else:
                reason = str(error)
            self._refused(number, line, raw, reason)
            return None
        return kind, arguments.get("event")

    def skip(self, row: Row) -> None:
        """Pass over a row that was settled in an earlier run: only its own id counts."""
        values = row[2]
        if type(values) is dict and type(values.get("messageId")) is str:
            self._seen.add(values["messageId"])
