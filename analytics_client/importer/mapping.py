"""A mapping: which columns of a table make which fields of which call. Pure.

    mapping = RowMapping.from_dict({"type": "track", "event": "Vendor Reviewed", "user_id": "reviewerId",
                                    "timestamp": "date", "properties": {"rating": {"column": "rating", "cast": "int"}}})
    calls = mapping.bind(columns, sample_rows)     # refuses a column that is missing, dates that could mean two times
    kind, arguments = calls(row)                   # -> getattr(client, kind)(**arguments)

Owns the forms a mapping may be written in (a dict, TOML) and the sentence for each thing wrong in one. Turning rows
into calls is `binding`'s. Knows nothing of files of data, and imports nothing of the client but its errors.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from analytics_client.errors import ConfigError
from analytics_client.importer.binding import Calls, bind
from analytics_client.importer.casts import CASTS
from analytics_client.importer.dates import DateForm, zone_of
from analytics_client.importer.source import Source, column, constant, template

_COMMON = ("user_id", "context", "timestamp", "integrations", "message_id")
#: The arguments that each call takes: `Client`'s own names.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "identify": (*_COMMON, "anonymous_id", "traits"),
    "track": (*_COMMON, "anonymous_id", "event", "properties", "traits"),
    "page": (*_COMMON, "anonymous_id", "category", "name", "properties"),
    "screen": (*_COMMON, "anonymous_id", "category", "name", "properties"),
    "group": (*_COMMON, "anonymous_id", "group_id", "traits"),
    "alias": (*_COMMON, "previous_id", "traits"),
    "merge": (*_COMMON, "anonymous_id", "merge_properties"),
}
#: What must be there, beside a user_id or an anonymous_id.
REQUIRED: dict[str, tuple[str, ...]] = {
    "track": ("event", "timestamp"),
    "page": ("timestamp",),
    "screen": ("timestamp",),
    "group": ("group_id",),
    "alias": ("previous_id", "user_id"),
    "merge": ("merge_properties",),
}
_OBJECTS = ("properties", "traits", "context", "integrations")
_SCALARS = (
    *("type", "event", "user_id", "anonymous_id", "group_id", "previous_id", "name", "category", "timestamp"),
    *("message_id", "merge_properties"),
)
_SETTINGS = ("nulls", "timezone")
# Written as plain text these are meant as they stand; all others name a column.
_CONSTANT_TEXT = ("type", "event")
_SOURCE_KEYS = {"column", "value", "template", "cast", "format", "timezone"}

#: The one "column" of an object that stands for all columns that the mapping does not name.
REST = "*"


@dataclass(frozen=True, slots=True)
class RowMapping:
    """How a row becomes a call. Immutable, picklable, and equal if it says the same.

    Attributes:
        fields: the source of each argument of the call, `type` included, by the client's names.
        objects: for `properties`, `traits`, `context` and `integrations`: key path to source.
        rest: the objects that also take every column that is not named anywhere.
        nulls: texts that stand for nothing, like None: their field is left out.
        timezone: what naive times mean.
    """

    fields: Mapping[str, Source]
    objects: Mapping[str, Mapping[tuple[str, ...], Source]] = field(default_factory=dict)
    rest: tuple[str, ...] = ()
    nulls: tuple[str, ...] = ("",)
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "RowMapping":
        """Read a mapping from a dict, as TOML would give it.

        Args:
            content: each key an argument of the call. A text names a column, but for `type` and `event`, which are
                meant as they stand. A dict says more: `{"column": ..., "cast": ...}`, `{"value": ...}` for a constant,
                `{"template": "{first} {last}"}`; for the timestamp also `format` and `timezone`. `properties`,
                `traits`, `context` and `integrations` hold such entries by key; in the latter two, dicts may be nested.
                `"*"` as the value of one of these objects, or `"*" = "*"` inside it: every column not named elsewhere.
                `nulls`: texts that stand for nothing; `timezone`: of naive times.

        Raises:
            ConfigError: one sentence for the first thing wrong.
        """
        fields: dict[str, Source] = {}
        objects: dict[str, dict[tuple[str, ...], Source]] = {}
        rest = []
        for name, value in content.items():
            if name in _SETTINGS:
                continue
            if name in _SCALARS:
                plain = isinstance(value, str) and name in _CONSTANT_TEXT
                fields[name] = constant(value) if plain else _source(name, value, timed=name == "timestamp")
            elif name in _OBJECTS:
                inner = {REST: REST} if value == REST else value
                if not isinstance(inner, Mapping):
                    raise ConfigError(f"mapping: {name} must be a table of its keys, not {_kind(value)}")
                rest += [name] if inner.get(REST) == REST else []
                objects[name] = dict(_entries(name, (), {key: each for key, each in inner.items() if key != REST}))
            else:
                known = ", ".join((*_SCALARS, *_OBJECTS, *_SETTINGS))
                raise ConfigError(f"mapping: {name} is no field of a call; known are {known}")
        nulls = content.get("nulls", [""])
        if not isinstance(nulls, (list, tuple)) or not all(isinstance(each, str) for each in nulls):
            raise ConfigError('mapping: nulls must be a list of texts, as in ["", "NULL"]')
        timezone = content.get("timezone", "UTC")
        if not isinstance(timezone, str):
            raise ConfigError("mapping: timezone must be text, as in 'Europe/Berlin'")
        return cls(fields, objects, tuple(rest), tuple(nulls), timezone)

    @classmethod
    def from_toml(cls, path: str | Path) -> "RowMapping":
        """Read a mapping from a TOML file; the keys are those of `from_dict`.

        Raises:
            ConfigError: the file is not there, not TOML, or wrong.
        """
        return cls.from_dict(cls.read_toml(path))

    @staticmethod
    def read_toml(path: str | Path) -> dict[str, Any]:
        """Read the content of a TOML file, for `from_dict`.

        Raises:
            ConfigError: the file is not there, or not TOML.
        """
        try:
            return tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"the mapping {path} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise ConfigError(f"the mapping {path} is not TOML: {error}") from None

    def bind(
        self, columns: Sequence[str] | None, sample: Iterable[Any] = (), *, known: Mapping[str, DateForm] | None = None
    ) -> Calls:
        """Tie the mapping to a table.

        Args:
            columns: the table's, in the order of each row's values; None: rows are dicts (JSON objects), and a column
                is there if one row of the sample has it.
            sample: rows by which the form of the timestamps is found, where the mapping does not give it. Without any
                it is ISO 8601, which cannot be mistaken for another.
            known: forms found before, by column.

        Returns:
            A callable: a row to `(call's name, arguments)`.

        Raises:
            ConfigError: a column is missing or there twice, or the form of its dates cannot be known.
        """
        return bind(self, columns, list(sample), dict(known or {}))

    def digest(self) -> str:
        """Return 16 hexadecimal digits that differ for mappings that say something else."""
        content = [
            sorted((name, source.key()) for name, source in self.fields.items()),
            sorted((name, sorted((p, s.key()) for p, s in inner.items())) for name, inner in self.objects.items()),
            [*self.rest],
            [*self.nulls],
            self.timezone,
        ]
        return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()[:16]


def _entries(name: str, path: tuple[str, ...], content: Mapping[str, Any]) -> Iterable[tuple[tuple[str, ...], Source]]:
    for key, value in content.items():
        here = (*path, key)
        nested = isinstance(value, Mapping) and not (value.keys() & _SOURCE_KEYS and value.keys() <= _SOURCE_KEYS)
        if nested and name in ("context", "integrations"):
            yield from _entries(name, here, value)
        else:
            yield here, _source(".".join((name, *here)), value, timed=False)


def _source(name: str, value: Any, *, timed: bool) -> Source:
    if isinstance(value, str):
        return column(value)
    if isinstance(value, (bool, int, float, date)):
        return constant(value)
    if not isinstance(value, Mapping):
        raise ConfigError(f"mapping: {name} must be a column's name or a table, not {_kind(value)}")
    allowed = _SOURCE_KEYS if timed else _SOURCE_KEYS - {"format", "timezone"}
    if unknown := value.keys() - allowed:
        raise ConfigError(f"mapping: {name} has {', '.join(sorted(unknown))}; known are {', '.join(sorted(allowed))}")
    given = [key for key in ("column", "value", "template") if key in value]
    if len(given) != 1:
        raise ConfigError(f"mapping: {name} must have one of column, value and template, and has {len(given)}")
    if given == ["value"]:
        return constant(value["value"])
    for key in value:
        if not isinstance(value[key], str):
            raise ConfigError(f"mapping: {name}.{key} must be text, not {_kind(value[key])}")
    cast = value.get("cast")
    if cast is not None and (timed or cast not in CASTS):
        known = "format = ..." if timed else ", ".join(CASTS)
        raise ConfigError(f"mapping: {name}.cast is {cast!r}; known are {known}")
    if given == ["template"]:
        return template(name, value["template"], cast)
    return column(value["column"], cast, value.get("format"), value.get("timezone"))


def _check(mapping: RowMapping) -> None:
    """Refuse what no row could make a call of."""
    zone_of(mapping.timezone)
    fields = mapping.fields
    kind = fields.get("type")
    if kind is None:
        raise ConfigError(f"mapping: type is missing: one of {', '.join(ARGUMENTS)}, or a column that says which")
    if kind.column is None and kind.value not in ARGUMENTS:
        raise ConfigError(f"mapping: type must be one of {', '.join(ARGUMENTS)}, not {kind.value!r}")
    if not {"user_id", "anonymous_id"} & fields.keys():
        raise ConfigError("mapping: a user_id or an anonymous_id is needed: name the column that holds it")
    when = fields.get("timestamp")
    if when is not None:
        if when.form is not None:
            DateForm(when.form)
        if when.timezone is not None:
            zone_of(when.timezone)
    if kind.column is not None:
        return
    call = str(kind.value)
    if wrong := [name for name in (*fields, *mapping.objects) if name != "type" and name not in ARGUMENTS[call]]:
        raise ConfigError(f"mapping: {call} has no {', '.join(wrong)}; it has {', '.join(ARGUMENTS[call])}")
    if missing := [name for name in REQUIRED.get(call, ()) if name not in fields]:
        hint = ": history without its time would be stamped with now" if missing == ["timestamp"] else ""
        raise ConfigError(f"mapping: {call} needs {' and '.join(missing)}{hint}")


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"
