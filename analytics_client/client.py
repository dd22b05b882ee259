"""The Client: six calls (and RudderStack's merge), flush, close, stats. Wires the parts together.

Owns the public signatures and what they promise. The way of a call to the queue is `pipeline`'s, the way from there to
the server `delivery`'s. In production no call raises, whatever it is given.
"""

import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from analytics_client.config import Config
from analytics_client.dialects import Dialect
from analytics_client.disabled import Disabled
from analytics_client.message import FIELDS
from analytics_client.notices import Notices
from analytics_client.outcome import Outcome, Stats
from analytics_client.pipeline import Pipeline

if TYPE_CHECKING:
    from analytics_client.delivery.chunks import Envelope
    from analytics_client.delivery.lifecycle import Delivery
    from analytics_client.delivery.wire import Transport

#: Seconds that `flush` and `close` wait where the caller says nothing.
_PATIENCE = 10.0


class Client:
    """Sends events to one source of one API. Make one per source and share it: every method is thread-safe.

    Every option that is text, a number or a switch may stand in the environment instead, as `ANALYTICS_` and its name
    in capitals; an argument wins. Durations are in seconds, sizes in bytes. None means not given.

    Args:
        write_key: the source's write key; SegmentStream's API token.
        dialect: `segment`, `rudderstack`, `segmentstream`, or a `Dialect` of your own. Default: `segment`.
        host: base URL. Default: the dialect's. Segment's EU region is `https://events.eu1.segmentapis.com`; RudderStack
            has none in common: give your data plane URL.
        flush_at: events that make a batch due. Default: 500.
        flush_interval: age that makes a batch due. Default: 0.5.
        max_queue_bytes: bound of what is held in memory, in flight included. Default: 64 MiB.
        on_full: `drop_newest` (the call returns None), `drop_oldest` or `block`. Default: `drop_newest`.
        gzip: compress bodies. Not for SegmentStream. Default: False.
        timeout: of one attempt in all. Default: 15.
        max_retries: attempts after the first before an event fails as `expired`; those answered with a Retry-After do
            not count. Default: no bound but `max_retry_time`.
        max_retry_time: from an event's first attempt until it fails as `expired`. Default: 12 hours.
        concurrency: requests at once; each person's events keep their order. Default: 1, for SegmentStream 8.
        batch: send batches; False sends each event to its own endpoint. Default: True.
        sync: send within the call, which then takes up to `timeout`. Default: False.
        enabled: False makes every call return None and do nothing else. Default: True.
        strict: raise `InvalidMessage`, `MessageTooLarge` and `QueueFull` at the call: for tests. Default: False.
        debug: log each attempt to the logger `analytics_client`, without bodies. Default: False.
        context: merged into every event's context, under the scope's and the call's own.
        integrations: likewise.
        before_send: called with each message (a dict it may change) before it is encoded; returns the message, or
            None to drop it. If it raises, the event is refused: what should have been removed must not go out.
        on_delivered: called with an `Outcome` for each event the server accepted, in the delivery's thread.
        on_failed: likewise for each event that failed and each call that was refused.
        default: called with a value that has no form in JSON; returns one that has, or raises.
        transport: sends requests instead of the one in here: see `Transport`.
        proxies: scheme to URL. Default: the environment's, read once.
        ca_file: certificates to trust. Default: certifi's, or `REQUESTS_CA_BUNDLE`.
        allow_insecure: allow http to hosts that are not this machine. Default: False.
        max_event_bytes: bound of one event. Default: the API's (32,767; SegmentStream 65,536).
        max_batch_bytes: bound of one body. Default: 500,000 (SegmentStream 65,536; RudderStack takes up to 4,000,000).
        exit_timeout: that the end of the process waits for events still queued. Default: 5.
        flush_on_sigterm: close all clients when SIGTERM comes, before it does what it did before. For a client made in
            the main thread. Default: False.

    Raises:
        ConfigError: an option is wrong or missing; the sentence says which and what to do.
    """

    def __init__(
        self,
        write_key: str | None = None,
        *,
        dialect: str | Dialect | None = None,
        host: str | None = None,
        flush_at: int | None = None,
        flush_interval: float | None = None,
        max_queue_bytes: int | None = None,
        on_full: str | None = None,
        gzip: bool | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        max_retry_time: float | None = None,
        concurrency: int | None = None,
        batch: bool | None = None,
        sync: bool | None = None,
        enabled: bool | None = None,
        strict: bool | None = None,
        debug: bool | None = None,
        context: Mapping[str, Any] | None = None,
        integrations: Mapping[str, Any] | None = None,
        before_send: Callable[[dict[str, Any]], dict[str, Any] | None] | None = None,
        on_delivered: Callable[[Outcome], object] | None = None,
        on_failed: Callable[[Outcome], object] | None = None,
        default: Callable[[Any], Any] | None = None,
        transport: "Transport | None" = None,
        proxies: Mapping[str, str] | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        allow_insecure: bool | None = None,
        max_event_bytes: int | None = None,
        max_batch_bytes: int | None = None,
        exit_timeout: float | None = None,
        flush_on_sigterm: bool | None = None,
        **unknown: object,
    ) -> None:
        # The arguments above, by their names: `Config` knows them all, and which of them is wrong.
        given = {name: value for name, value in locals().items() if name not in ("self", "write_key", "unknown")}
        self._config = config = Config.load(write_key, given | unknown)
        self._notices = notices = Notices()
        self._delivery: Delivery | Disabled
        self._submit: Callable[..., str | None]
        if config.enabled:
            self._delivery, envelopes = _started(config, notices)
            self._submit = Pipeline(config, notices, self._delivery, envelopes).submit
            # By a weak reference: a callback that holds this client must not keep it alive by way of the registry.
            weakref.finalize(self, _abandon, weakref.ref(self._delivery)).atexit = False
        else:
            self._delivery = Disabled()
            self._submit = self._delivery.submit

    # -- the calls -----------------------------------------------------------------------------------------------

    def identify(
        self,
        user_id: Any = None,
        traits: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        timestamp: Any = None,
        anonymous_id: Any = None,
        integrations: Mapping[str, Any] | None = None,
        message_id: str | None = None,
    ) -> str | None:
        """Tie a person to their traits (Segment HTTP API, Identify; RudderStack HTTP API, Identify).

        Args:
            user_id: text, an integer or a UUID; or `anonymous_id`, or both.
            traits: what is known of the person.
            context: merged over the scope's and the client's.
            timestamp: when it happened: a datetime (naive means UTC), ISO 8601 text or seconds since 1970; now if
                left out.
            anonymous_id: the id of a person who has no other yet.
            integrations: destination name to True, False or a mapping of its options.
            message_id: fewer than 100 characters; a new UUID if left out. The server drops a second one.

        Returns:
            The message id, or None if the event was not accepted: see `stats` and `on_failed` for why.

        Raises:
            InvalidMessage, MessageTooLarge, QueueFull: with `strict=True` only.
        """
        own = {"traits": traits}
        return self._submit("identify", own, user_id, anonymous_id, context, timestamp, integrations, message_id)

    def track(
        self,
        user_id: Any = None,
        event: str | None = None,
        properties: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        timestamp: Any = None,
        anonymous_id: Any = None,
        integrations: Mapping[str, Any] | None = None,
        message_id: str | None = None,
        *,
        traits: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Record what a person did (Segment HTTP API, Track; RudderStack HTTP API, Track; SegmentStream HTTP API).

        Args:
            event: the event's name, `Item Purchased`.
            properties: what belongs to it.
            traits: RudderStack only: traits for this event alone.

        The other arguments, the result and the errors are those of `identify`.
        """
        own = {"event": event, "properties": properties, "traits": traits}
        return self._submit("track", own, user_id, anonymous_id, context, timestamp, integrations, message_id)

    def page(
        self,
        user_id: Any = None,
        category: str | None = None,
        name: str | None = None,
        properties: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        timestamp: Any = None,
        anonymous_id: Any = None,
        integrations: Mapping[str, Any] | None = None,
        message_id: str | None = None,
    ) -> str | None:
        """Record that a person saw a page (Segment HTTP API, Page; RudderStack HTTP API, Page).

        Args:
            category: of the page.
            name: of the page; RudderStack requires one.
            properties: path, url, referrer, title and what else belongs to it.

        The other arguments, the result and the errors are those of `identify`.
        """
        own = {"category": category, "name": name, "properties": properties}
        return self._submit("page", own, user_id, anonymous_id, context, timestamp, integrations, message_id)

    def screen(
        self,
        user_id: Any = None,
        category: str | None = None,
        name: str | None = None,
        properties: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        timestamp: Any = None,
        anonymous_id: Any = None,
        integrations: Mapping[str, Any] | None = None,
        message_id: str | None = None,
    ) -> str | None:
        """Record that a person saw a screen of an app; arguments as for `page`."""
        own = {"category": category, "name": name, "properties": properties}
        return self._submit("screen", own, user_id, anonymous_id, context, timestamp, integrations, message_id)

    def group(
        self,
        user_id: Any = None,
        group_id: Any = None,
        traits: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        timestamp: Any = None,
        anonymous_id: Any = None,
        integrations: Mapping[str, Any] | None = None,
        message_id: str | None = None,
    ) -> str | None:
        """Tie a person to a group (Segment HTTP API, Group; RudderStack HTTP API, Group).

        Args:
            group_id: text, an integer or a UUID.
            traits: of the group.

        The other arguments, the result and the errors are those of `identify`.
        """
        own = {"groupId": group_id, "traits": traits}
        return self._submit("group", own, user_id, anonymous_id, context, timestamp, integrations, message_id)

    def alias(
        self,
        previous_id: Any = None,
        user_id: Any = None,
        context: Mapping[str, Any] | None = None,
        timestamp: Any = None,
        integrations: Mapping[str, Any] | None = None,
        message_id: str | None = None,
        *,
        traits: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Say that two ids are one person's (Segment HTTP API, Alias; RudderStack HTTP API, Alias).

        Args:
            previous_id: the id that was used until now.
            user_id: the id that is used from now on.
            traits: RudderStack only.

        The other arguments, the result and the errors are those of `identify`.
        """
        own = {"previousId": previous_id, "traits": traits}
        return self._submit("alias", own, user_id, None, context, timestamp, integrations, message_id)

    def merge(
        self,
        user_id: Any = None,
        merge_properties: Sequence[Mapping[str, Any]] | None = None,
        anonymous_id: Any = None,
        context: Mapping[str, Any] | None = None,
        timestamp: Any = None,
        integrations: Mapping[str, Any] | None = None,
        message_id: str | None = None,
    ) -> str | None:
        """Tie identifiers to one profile: RudderStack only, deprecated there (RudderStack HTTP API, Merge).

        Args:
            merge_properties: `[{"type": "email", "value": "alex@example.com"}, ...]`.

        The other arguments, the result and the errors are those of `identify`.
        """
        own = {"mergeProperties": merge_properties}
        return self._submit("merge", own, user_id, anonymous_id, context, timestamp, integrations, message_id)

    # -- flush, close, stats -------------------------------------------------------------------------------------

    def flush(self, timeout: float = _PATIENCE) -> bool:
        """Wait until every event accepted before is settled (delivered or failed) and its callback has returned.

        Args:
            timeout: seconds to wait at the most.

        Returns:
            True if all are settled. False if not in time; at once where waiting is useless: the endpoint is at fault
            for longer than that, or this is a callback.
        """
        return self._delivery.flush(timeout)

    def close(self, timeout: float = _PATIENCE) -> bool:
        """Refuse further calls, flush, and stop; what is still unsent then fails as `closed`.

        Args:
            timeout: seconds to wait at the most.

        Returns:
            What `flush` would.
        """
        return self._delivery.close(timeout)

    async def aflush(self, timeout: float = _PATIENCE) -> bool:  # noqa: ASYNC109 - the field's name for it
        """Do what `flush` does without blocking the event loop."""
        return await self._delivery.aflush(timeout)

    async def aclose(self, timeout: float = _PATIENCE) -> bool:  # noqa: ASYNC109
        """Do what `close` does without blocking the event loop."""
        return await self._delivery.aclose(timeout)

    @property
    def enabled(self) -> bool:
        """Whether calls do anything: False for a client made with `enabled=False`."""
        return self._config.enabled

    def notice(self, name: str, detail: str, sentence: str) -> None:
        """Count a trouble in `stats.notices`, and log it the first time: for integrations, which must not raise.

        Args:
            name: what it is counted under.
            detail: tells one trouble of that name from another; each is logged once.
            sentence: what is logged. It must hold no secret and nothing of an event.
        """
        self._notices.add(name, detail, sentence)

    @property
    def stats(self) -> Stats:
        """A frozen snapshot of the ledger, of this process."""
        return self._delivery.stats()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        name = self._config.dialect.name
        if not self._config.enabled:
            return f"<Client {name} disabled>"
        pending, held, in_flight = self._delivery.load()
        stats = self.stats
        return (
            f"<Client {name} queue={pending} {_size(held)}/{_size(self._config.max_queue_bytes)} inflight={in_flight} "
            f"delivered={stats.delivered} failed={sum(stats.failed.values())}>"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Client is not pickled: create it in the child process, from the same options")


def _started(config: Config, notices: Notices) -> "tuple[Delivery, dict[str, Envelope]]":
    """Load what delivers, requests with it: here and now, in the thread that makes the client.

    A thread that is importing while another one forks leaves the child an import that never ends.
    """
    from analytics_client.delivery.chunks import Envelope  # noqa: PLC0415
    from analytics_client.delivery.lifecycle import Delivery  # noqa: PLC0415

    return Delivery(config, notices), Envelope.measure_all(config.dialect, FIELDS, config)


def _abandon(reference: "weakref.ref[Delivery]") -> None:
    delivery = reference()
    if delivery is not None:
        delivery.abandon()


def _size(amount: int) -> str:
    if amount < 1024:
        return f"{amount}B"
    size, unit = (amount / 1024, "KiB") if amount < 1024 * 1024 else (amount / 1024 / 1024, "MiB")
    return f"{size:.1f}".removesuffix(".0") + unit
