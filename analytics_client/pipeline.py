"""The way of a call: from its arguments to bytes in the queue, in the caller's thread.

    call -> message -> before_send -> dialect and encoding -> hub.put

Owns the order of these steps, the user's `before_send`, and what becomes of a call that is refused on the way: counted,
reported, logged once; raised in strict mode, never otherwise. The steps themselves belong to their own modules.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from analytics_client import scopes
from analytics_client.config import Config
from analytics_client.encoding import encode, too_large
from analytics_client.errors import InvalidMessage, MessageTooLarge, QueueFull
from analytics_client.message import Defaults, Message, build, detached
from analytics_client.notices import Notices
from analytics_client.outcome import Outcome, Reason
from analytics_client.stamps import Stamps
from analytics_client.version import __version__

if TYPE_CHECKING:
    from analytics_client.delivery.chunks import Envelope
    from analytics_client.delivery.lifecycle import Delivery

LIBRARY = {"name": "analytics-client-python", "version": __version__}

_CAUSES = {
    Reason.OVERFLOW: "the queue holds max_queue_bytes already; see on_full",
    Reason.CLOSED: "the client was closed",
}
_INDEX = re.compile(r"\[\d+\]")


class Pipeline:
    """Takes calls.

    Args:
        config: the client's.
        notices: for values that are left out.
        delivery: takes the bytes.
        envelopes: how events of each kind are sent; a kind that is missing is none of the dialect's.
        stamps: ids and the time.
    """

    def __init__(
        self,
        config: Config,
        notices: Notices,
        delivery: "Delivery",
        envelopes: "dict[str, Envelope]",
        stamps: Stamps | None = None,
    ) -> None:
        self._config = config
        self._notices = notices
        self._delivery = delivery
        self._envelopes = envelopes
        self._stamps = stamps or Stamps()
        self._defaults = Defaults.prepare(config.context, config.integrations, LIBRARY)

    def submit(
        self,
        kind: str,
        own: dict[str, Any],
        user_id: Any,
        anonymous_id: Any,
        context: Any,
        timestamp: Any,
        integrations: Any,
        message_id: Any,
    ) -> str | None:
        """Take one call; its arguments are those of `message.build`. Return the message id, or None if refused."""
        config, stamps, delivery, report = self._config, self._stamps, self._delivery, self._report
        if not delivery.marker[0]:
            delivery.check_process()  # before anything else: whatever a child has inherited may be locked
        event = b""
        try:
            message = build(
                kind,
                own,
                user_id,
                anonymous_id,
                context,
                timestamp,
                integrations,
                message_id,
                self._defaults,
                scopes.current(),
                stamps.message_id() if message_id is None else "",
                stamps.now() if timestamp is None else "",
                report,
            )
            if config.before_send is not None:
                screened = _screened(message, config.before_send)
                if screened is None:
                    self._refused(Reason.FILTERED, "before_send returned None")
                    return None
                message = screened
            envelope = self._envelopes.get(message["type"])
            if envelope is None:
                raise _no_such_call(config.dialect.name, message["type"])  # noqa: TRY301 - handled as the rest here
            event = encode(message, config.dialect, report, config.default)
            if len(event) > envelope.event_room:
                raise too_large(event, envelope.tail_bytes, envelope.event_limit)  # noqa: TRY301
            person = message.get("anonymousId") or message["userId"]
            news = delivery.hub.put(event, envelope, person)
            reason = delivery.attend(news, event, envelope, person) if news or config.sync else None
        except Exception as error:
            self._refused_for(error, event)
            return None
        if reason is not None:
            self._refused(reason, _CAUSES[reason], event)
            return None
        accepted_id: str = message["messageId"]
        return accepted_id

    def _report(self, path: str, problem: str) -> None:
        """A value has no form or no place: refuse the event in strict mode, else say so once."""
        if self._config.strict:
            raise InvalidMessage(path, problem)
        # One line for a whole list of such values.
        self._notices.add("adjusted", _INDEX.sub("[]", path), f"an event was adjusted: {path}: {problem}")

    def _refused_for(self, error: Exception, event: bytes) -> None:
        if not isinstance(error, InvalidMessage):
            # A bug of ours, or an object that raises in an unusual place. The text of the exception may hold the value.
            error = InvalidMessage("message", f"building it raised {type(error).__name__}")
        reason = Reason.TOO_LARGE if isinstance(error, MessageTooLarge) else Reason.INVALID
        self._refused(reason, str(error), event, error)

    def _refused(self, reason: Reason, cause: str, event: bytes = b"", error: InvalidMessage | None = None) -> None:
        body = event + b"}" if event else b""
        self._delivery.refuse(reason, Outcome(reason, cause=cause, body=body, id_key=self._config.dialect.id_key))
        if self._config.strict:
            if error is not None:
                raise error from None
            if reason is Reason.OVERFLOW:
                raise QueueFull(cause)
        if reason is not Reason.FILTERED:
            where = "" if error is None else _INDEX.sub("[]", error.path)
            self._notices.say(f"refused_{reason}", where, f"a call was refused as {reason}: {cause}")


def _no_such_call(dialect: str, kind: str) -> InvalidMessage:
    return InvalidMessage("type", f"{dialect} has no {kind} call")


def _screened(message: Message, before_send: Callable[[Message], Message | None]) -> Message | None:
    """Ask the user's hook. Whatever goes wrong in it, nothing goes out that it should have removed."""
    try:
        screened = before_send(detached(message))
    except Exception as error:
        raise InvalidMessage("before_send", f"raised {type(error).__name__}: the event is not sent") from None
    if screened is None:
        return None
    if not isinstance(screened, dict):
        raise InvalidMessage("before_send", f"must return the message or None, not {type(screened).__name__}")
    for key in ("type", "messageId", "timestamp", "context"):
        if type(screened.get(key)) is not type(message[key]):
            raise InvalidMessage("before_send", f"must return a message with its {key}")
    if not any(screened.get(key) and isinstance(screened[key], str) for key in ("anonymousId", "userId")):
        raise InvalidMessage("before_send", "must return a message with its userId or its anonymousId, as text")
    return screened
