"""The current person and context, kept in a context variable, so that a call may leave them out.

Owns `scope` and the rule for completing a pair of ids. Must not know clients or messages: the client asks `current()`.
Integrations hand in an object whose values are found out late (`scope.of`): most requests make no event.
A scope follows asyncio tasks and `asyncio.to_thread` by itself; `carry` takes it into a thread pool.
"""

import contextvars
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar

from analytics_client.merging import merged

P = ParamSpec("P")
T = TypeVar("T")


class ScopeValues(Protocol):
    """What calls inside a block find; None is what it does not say.

    `scope.of` takes an object of your own: its attributes may be properties, read at the calls that need them.
    """

    @property
    def user_id(self) -> Any:
        """For calls that give no id of their own."""

    @property
    def anonymous_id(self) -> Any:
        """Likewise."""

    @property
    def context(self) -> Mapping[str, Any] | None:
        """Merged under the call's own."""

    @property
    def integrations(self) -> Mapping[str, Any] | None:
        """Merged likewise."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What the enclosing `scope(...)` blocks add up to."""

    user_id: Any = None
    anonymous_id: Any = None
    context: Mapping[str, Any] | None = None
    integrations: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Nested:
    """One scope inside another, combined when it is read."""

    outer: ScopeValues
    inner: ScopeValues

    @property
    def user_id(self) -> Any:
        return completed_ids(self.inner.user_id, self.inner.anonymous_id, self.outer)[0]

    @property
    def anonymous_id(self) -> Any:
        return completed_ids(self.inner.user_id, self.inner.anonymous_id, self.outer)[1]

    @property
    def context(self) -> Mapping[str, Any] | None:
        return merged(self.outer.context, self.inner.context)

    @property
    def integrations(self) -> Mapping[str, Any] | None:
        return merged(self.outer.integrations, self.inner.integrations)


_current: contextvars.ContextVar[ScopeValues | None] = contextvars.ContextVar("analytics_client_scope", default=None)

#: The scope in force here and now, or None.
current = _current.get


def completed_ids(user_id: Any, anonymous_id: Any, outer: ScopeValues) -> tuple[Any, Any]:
    """Fill the ids that are None from `outer`, never pairing one person's id with another's.

    A missing id is taken over only while the id that was given is the outer one too, or the outer scope has none of
    that kind: an event about somebody else must not be tied to the visitor whose request it was made in.
    """
    if user_id is None and (anonymous_id is None or outer.anonymous_id in (None, anonymous_id)):
        return outer.user_id, outer.anonymous_id if anonymous_id is None else anonymous_id
    if anonymous_id is None and outer.user_id in (None, user_id):
        return user_id, outer.anonymous_id
    return user_id, anonymous_id


class scope:  # noqa: N801 - used like a function
    """Fill what calls inside this block leave out. Nests; the inner block's values win.

    Args:
        user_id: for calls that give no id of their own (or give this scope's anonymous id).
        anonymous_id: likewise.
        context: merged deeply over the client's and under the call's.
        integrations: merged likewise.
    """

    __slots__ = ("_given", "_token")

    def __init__(
        self,
        user_id: Any = None,
        anonymous_id: Any = None,
        *,
        context: Mapping[str, Any] | None = None,
        integrations: Mapping[str, Any] | None = None,
    ) -> None:
        self._given: ScopeValues = Scope(user_id, anonymous_id, context, integrations)
        self._token: contextvars.Token[ScopeValues | None] | None = None

    @classmethod
    def of(cls, given: ScopeValues) -> "scope":
        """Return a block with the values of `given`, each read when a call needs it: for what costs to find out."""
        block = cls.__new__(cls)  # without a `Scope` to throw away: this is done for each request
        block._given = given  # noqa: SLF001 - our own
        block._token = None  # noqa: SLF001
        return block

    def __enter__(self) -> ScopeValues:
        given, outer = self._given, _current.get()
        if outer is not None:
            nested = _Nested(outer, given)
            plain = type(outer) is type(given) is Scope
            given = Scope(*(getattr(nested, name) for name in Scope.__slots__)) if plain else nested
        self._token = _current.set(given)
        return given

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._token is not None
        # A generator that is closed by another task leaves its block in a foreign context, where there is nothing of
        # ours to restore.
        try:  # noqa: SIM105 - `suppress` would cost more than all the rest
            _current.reset(self._token)
        except ValueError:
            pass


def carry(function: Callable[P, T]) -> Callable[P, T]:
    """Wrap `function` so that it runs in the scope in force now: `pool.submit(carry(work), item)`."""
    here = contextvars.copy_context()

    def carried(*args: P.args, **kwargs: P.kwargs) -> T:
        # A copy for each run: one context cannot be entered by two threads at once.
        return here.copy().run(function, *args, **kwargs)

    return carried
