"""A call becomes a Message: a dict in the field's common form. Pure: ids, time, scope and defaults are passed in.

    {"type": "track", "messageId": ..., "timestamp": ..., "userId": ..., "event": ..., "properties": {...}, ...}

Owns which fields a call has and what they must be. What is missing stays missing: no `null` for what was not given.
Fields with a rule (ids, names, times, the mappings themselves) refuse a wrong value with `InvalidMessage`; the free
values inside mappings are `encoding`'s business. The caller's own dicts are referred to, never changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from numbers import Integral
from typing import Any
from uuid import UUID

from analytics_client.errors import InvalidMessage
from analytics_client.merging import merged
from analytics_client.scopes import ScopeValues, completed_ids
from analytics_client.timestamps import timestamp_text

Message = dict[str, Any]

#: Told of a value that has no rule, as (path, problem): raises in strict mode, else counts it and logs it once.
Report = Callable[[str, str], None]

# Segment, "newer docs" of messageId: fewer than 100 characters.
_LONGEST_MESSAGE_ID = 99


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the client adds to every message, prepared once.

    Attributes:
        context: the client-wide context as configured, or None.
        context_and_library: the same with `library` added where the caller set none: what a call without a context
            of its own carries.
        integrations: the client-wide integrations, or None.
        library: `{"name": ..., "version": ...}`.
    """

    context: Mapping[str, Any] | None
    context_and_library: Mapping[str, Any]
    integrations: Mapping[str, Any] | None
    library: Mapping[str, str]

    @classmethod
    def prepare(
        cls,
        context: Mapping[str, Any] | None,
        integrations: Mapping[str, Any] | None,
        library: Mapping[str, str],
    ) -> "Defaults":
        """Combine the client's options; the mappings are not copied deeply and must not change afterwards."""
        return cls(context, {"library": library, **(context or {})}, integrations, library)


def build(
    kind: str,
    own: dict[str, Any],
    user_id: Any,
    anonymous_id: Any,
    context: Any,
    timestamp: Any,
    integrations: Any,
    message_id: Any,
    defaults: Defaults,
    scope: ScopeValues | None,
    new_id: str,
    now: str,
    report: Report,
) -> Message:
    """Make the Message of one call.

    Args:
        kind: the call's name, `track` and so on: a key of `FIELDS`.
        own: the fields that only this kind of call has, by their name on the wire, absent ones as None.
        user_id, anonymous_id, context, timestamp, integrations, message_id: as given to the call.
        defaults: the client's.
        scope: the scope in force, or None.
        new_id: the message id to use where the caller gave none.
        now: the timestamp to use where the caller gave none.
        report: told of an integrations value that is neither a switch nor an object.

    Raises:
        InvalidMessage: a required field is missing, or a field with a rule breaks it.
    """
    message: Message = {
        "type": kind,
        "messageId": new_id if message_id is None else _message_id(message_id),
        "timestamp": now if timestamp is None else timestamp_text(timestamp),
    }
    if scope is not None:
        user_id, anonymous_id = completed_ids(user_id, anonymous_id, scope)
    if kind == "alias":
        anonymous_id = None  # alias speaks of two user ids and has no other
    if user_id is not None:
        if type(user_id) is not str or not user_id.isprintable() or user_id.isspace():
            user_id = _id("userId", user_id)
        if user_id:
            message["userId"] = user_id
    if anonymous_id is not None and (anonymous_id := _id("anonymousId", anonymous_id)):
        message["anonymousId"] = anonymous_id
    if not user_id and not anonymous_id:
        wanted = "a user_id" if kind == "alias" else "a user_id or an anonymous_id"
        raise InvalidMessage("userId", f"{kind} needs {wanted} (0 is an id, blank text is none)")

    for name, type_, required, check in FIELDS[kind]:
        value = own[name]
        if type(value) is type_ and value:
            message[name] = value
        elif value is None and not required:
            continue
        elif (checked := check(name, value)) is not None:
            message[name] = checked

    if "category" in message:
        # The two official clients put it in one place each; in both, nothing is lost.
        message["properties"] = {"category": message["category"], **message.get("properties", {})}

    if context is None and (scope is None or scope.context is None):
        message["context"] = defaults.context_and_library
    else:
        message["context"] = _context(context, scope, defaults)
    if integrations is not None or defaults.integrations or (scope is not None and scope.integrations):
        together = merged(
            merged(defaults.integrations, scope.integrations if scope else None),
            _mapping("integrations", integrations),
        )
        if together:
            message["integrations"] = _integrations(together, report)
    return message


def detached(message: Message) -> Message:
    """Copy every dict and list of the message, so that a user's hook may change it and the caller's values stay.

    Values of other types are shared. Shared and self-containing lists and dicts stay so in the copy.
    """
    root = dict(message)
    unvisited: list[Any] = [root]
    twins: dict[int, Any] = {}
    while unvisited:
        node = unvisited.pop()
        for key, value in node.items() if type(node) is dict else enumerate(node):
            if type(value) is dict or type(value) is list:
                twin = twins.get(id(value))
                if twin is None:
                    twin = twins[id(value)] = value.copy()
                    unvisited.append(twin)
                node[key] = twin
    return root


def _context(context: Any, scope: ScopeValues | None, defaults: Defaults) -> Mapping[str, Any]:
    own = _mapping("context", context)
    under = merged(defaults.context, scope.context if scope else None)
    together = merged(under, own) or {}
    # Beside the caller's own library ours would be a lie: all of it or none.
    return together if "library" in together else {"library": defaults.library, **together}


def _integrations(integrations: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Segment HTTP API, Selecting Destinations: each value a boolean or an object, names case-sensitive."""
    kept = {}
    for name, value in integrations.items():
        if isinstance(value, (bool, Mapping)):
            kept[name] = value
        else:
            report(f"integrations.{name}", f"must be True, False or a mapping, not {type(value).__name__}")
    if "all" in kept:
        report("integrations.all", "names no destination: the switch for all of them is written 'All'")
    return kept


def _id(name: str, value: Any) -> str | None:
    """Return an id as text; None for a blank one, which is as good as none."""
    if type(value) is not str:
        value = _id_text(name, value)
    # RudderStack's gateway drops invisible characters and blanks, and refuses a whole batch for an id made of them.
    if value.isprintable():
        return value if value and not value.isspace() else None
    return value if any(each.isprintable() and not each.isspace() for each in value) else None


def _id_text(name: str, value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool) or not isinstance(value, (str, Integral, UUID)):
        raise InvalidMessage(name, f"must be text, an integer or a UUID, not {type(value).__name__}")
    return str(int(value)) if isinstance(value, Integral) else str(value)


def _required_id(name: str, value: Any) -> str:
    checked = None if value is None else _id(name, value)
    if checked is None:
        raise InvalidMessage(name, "is required, and must be text that is not blank, an integer or a UUID")
    return checked


def _message_id(value: Any) -> str:
    if isinstance(value, UUID):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise InvalidMessage("messageId", "must be text that is not blank; leave it out to get a new one")
    if len(value) > _LONGEST_MESSAGE_ID:
        raise InvalidMessage("messageId", f"has {len(value):,} characters; the limit is {_LONGEST_MESSAGE_ID}")
    return value


def _text(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, Enum):
        value = value.value
    if not isinstance(value, str):
        raise InvalidMessage(name, f"must be text, not {type(value).__name__}")
    return value or None


def _required_text(name: str, value: Any) -> str:
    checked = _text(name, value)
    if checked is None:
        raise InvalidMessage(name, "is required, and must be text that is not empty")
    return checked


def _mapping(name: str, value: Any) -> dict[str, Any] | None:
    if value is None or type(value) is dict:
        return value
    if not isinstance(value, Mapping):
        raise InvalidMessage(name, f"must be a mapping, not {type(value).__name__}")
    try:
        return dict(value)
    except Exception as error:
        raise InvalidMessage(name, f"reading the mapping raised {type(error).__name__}") from None


def _merge_properties(name: str, value: Any) -> list[dict[str, Any]]:
    """RudderStack HTTP API, Merge: a list of `{"type": ..., "value": ...}`."""
    if not isinstance(value, (list, tuple)) or not value:
        raise InvalidMessage(name, "must be a list of mappings, each {'type': ..., 'value': ...}")
    checked = []
    for position, each in enumerate(value):
        mapping = _mapping(f"{name}[{position}]", each)
        if mapping is None or not {"type", "value"} <= mapping.keys():
            raise InvalidMessage(f"{name}[{position}]", "must be a mapping with the keys 'type' and 'value'")
        checked.append(mapping)
    return checked


_Check = Callable[[str, Any], Any]

# A field's name on the wire, the type whose values need no closer look when they are not empty, whether it must be
# there, and the closer look.
_Field = tuple[str, type, bool, _Check]
_CHECK_ALL = type(None)  # no value that is given has this type

_PROPERTIES: _Field = ("properties", dict, False, _mapping)
_TRAITS: _Field = ("traits", dict, False, _mapping)
_PAGE: tuple[_Field, ...] = (("category", str, False, _text), ("name", str, False, _text), _PROPERTIES)

#: What each kind of call holds besides the ids, context, integrations and stamps that all have, in the wire's order.
FIELDS: dict[str, tuple[_Field, ...]] = {
    "identify": (_TRAITS,),
    "track": (("event", str, True, _required_text), _PROPERTIES, _TRAITS),
    "page": _PAGE,
    "screen": _PAGE,
    "group": (("groupId", _CHECK_ALL, True, _required_id), _TRAITS),
    "alias": (("previousId", _CHECK_ALL, True, _required_id), _TRAITS),
    "merge": (("mergeProperties", _CHECK_ALL, True, _merge_properties),),
}
