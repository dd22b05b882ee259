"""A mapping tied to the columns of one table: each row becomes a call. Pure, and run once per row.

Owns finding the columns, the form of the dates, and what is left out (absent cells, texts that stand for nothing). A
row whose values do not fit raises `InvalidMessage` with the field's path and the column's name, never the value.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analytics_client.errors import ConfigError, InvalidMessage
from analytics_client.importer.casts import CASTS
from analytics_client.importer.dates import ISO, DateForm, find_form, zone_of
from analytics_client.importer.source import Source
from analytics_client.importer.tables import REASON

if TYPE_CHECKING:
    from analytics_client.importer.mapping import RowMapping

#: The name of one of the client's methods, and its keyword arguments.
Call = tuple[str, dict[str, Any]]
_Get = Callable[[Any], Any]

_ABSENT = None


class Calls:
    """Turns rows into calls: see `RowMapping.bind`.

    Attributes:
        forms: how the dates of each column are read, found or given.
    """

    def __init__(self, mapping: "RowMapping", table: "_Table", forms: dict[str, DateForm]) -> None:
        from analytics_client.importer.mapping import ARGUMENTS  # noqa: PLC0415 - that module begins with this one

        self.forms = forms
        self._arguments = {kind: frozenset(names) for kind, names in ARGUMENTS.items()}
        fields = dict(mapping.fields)
        kind = fields.pop("type")
        self._kind = str(kind.value) if kind.column is None else None
        self._kind_of = table.getter("type", kind)
        when = fields.pop("timestamp", None)
        self._time_of = None if when is None else _time_getter(table, when, forms)
        constants = {name: each.value for name, each in fields.items() if not each.columns()}
        self._constants = constants
        self._plain, rest = table.split({name: each for name, each in fields.items() if each.columns()})
        self._fields = [(name, table.getter(name, each)) for name, each in rest.items()]
        self._objects = [
            (name, _Object(name, entries, table, table.unnamed(mapping) if name in mapping.rest else ()))
            for name, entries in mapping.objects.items()
        ]

    def __call__(self, row: Any) -> Call:
        """Make the call of one row.

        Raises:
            InvalidMessage: a value does not fit: the path of the field, and what is wrong.
        """
        arguments = self._constants.copy()
        for name, place in self._plain:
            value = row[place]
            if value is not None and value != "":
                arguments[name] = value
        for name, get in self._fields:
            value = get(row)
            if value is not _ABSENT:
                arguments[name] = value
        for name, build in self._objects:
            arguments[name] = build(row)
        if self._time_of is not None:
            arguments["timestamp"] = self._time_of(row)
        kind = self._kind
        if kind is None:
            kind = self._kind_of(row)
            allowed = self._arguments.get(kind) if isinstance(kind, str) else None
            if allowed is None:
                raise InvalidMessage("type", f"must be one of {', '.join(self._arguments)}")
            arguments = {name: value for name, value in arguments.items() if name in allowed}
            if "timestamp" not in arguments and kind in ("track", "page", "screen"):
                raise InvalidMessage("timestamp", "is missing: history without its time would be stamped with now")
        return kind, arguments


class _Object:
    """Builds `properties` and the like."""

    def __init__(
        self,
        name: str,
        entries: Mapping[tuple[str, ...], Source],
        table: "_Table",
        rest: Sequence[str],
    ) -> None:
        flat = [(path[0], each) for path, each in entries.items() if len(path) == 1]
        self._constants = {key: each.value for key, each in flat if not each.columns()}
        sources = {key: each for key, each in flat if each.columns()} | {key: Source(column=key) for key in rest}
        self._plain, others = table.split(sources)
        self._flat = [(key, table.getter(f"{name}.{key}", each)) for key, each in others.items()]
        self._deep = [
            (path, table.getter(".".join((name, *path)), each)) for path, each in entries.items() if len(path) > 1
        ]

    def __call__(self, row: Any) -> dict[str, Any]:
        built = self._constants.copy()
        for key, place in self._plain:
            value = row[place]
            if value is not None and value != "":
                built[key] = value
        for key, get in self._flat:
            value = get(row)
            if value is not _ABSENT:
                built[key] = value
        for path, get in self._deep:
            value = get(row)
            if value is not _ABSENT:
                inner = built
                for key in path[:-1]:
                    inner = inner.setdefault(key, {})
                inner[path[-1]] = value
        return built


class _Table:
    """The columns, and how to get at a row's value of one."""

    def __init__(self, columns: Sequence[str] | None, sample: Sequence[Any], nulls: Sequence[str]) -> None:
        self._columns = columns
        self._nulls = frozenset(nulls)
        self._known: Sequence[str]
        if columns is None:
            self._known = list(dict.fromkeys(key for row in sample if isinstance(row, dict) for key in row))
        else:
            self._known = columns

    def check(self, mapping: "RowMapping") -> None:
        """Refuse columns that are not there, before anything is sent."""
        if self._columns is None and not self._known:
            return  # no rows, no columns
        for name in _named(mapping):
            if name not in self._known:
                raise ConfigError(
                    f"the mapping names the column {name!r}, which the data does not have: its columns are "
                    f"{', '.join(map(repr, self._known[:30])) or 'none'}"
                )
            if self._columns is not None and self._columns.count(name) > 1:
                raise ConfigError(f"the data has {self._columns.count(name)} columns {name!r}: which one is meant?")

    def unnamed(self, mapping: "RowMapping") -> list[str]:
        """Return the columns that the mapping does not name."""
        named = {*_named(mapping), REASON}
        return [each for each in self._known if each not in named]

    def split(self, sources: Mapping[str, Source]) -> tuple[list[tuple[str, int]], dict[str, Source]]:
        """Return the everyday sources, cells of a list taken as they are, by their places; and the others."""
        plain: list[tuple[str, int]] = []
        others = {}
        for key, source in sources.items():
            if self._columns is None or source.column is None or source.cast is not None or self._nulls != {""}:
                others[key] = source
            else:
                plain.append((key, self._columns.index(source.column)))
        return plain, others

    def getter(self, path: str, source: Source) -> _Get:
        if source.pieces:
            return self._template(path, source)
        if source.column is None:
            return lambda _row: source.value
        return self._cell(path, source.column, source.cast)

    def _cell(self, path: str, name: str, cast: str | None) -> _Get:
        nulls = self._nulls
        place: Any = name if self._columns is None else self._columns.index(name)
        by_name = self._columns is None
        convert = CASTS[cast] if cast is not None else None

        def get(row: Any) -> Any:
            value = row.get(place) if by_name else row[place]
            if value is None or (type(value) is str and value in nulls):
                return _ABSENT
            if convert is None:
                return value
            try:
                return convert(value)
            except ValueError as error:
                raise InvalidMessage(path, f"the column {name!r} {error}") from None

        return get

    def _template(self, path: str, source: Source) -> _Get:
        convert = CASTS[source.cast] if source.cast is not None else None
        parts: list[str | _Get] = [
            each if isinstance(each, str) else self._cell(path, each[0], "text") for each in source.pieces
        ]

        def get(row: Any) -> Any:
            filled = []
            for part in parts:
                text = part if isinstance(part, str) else part(row)
                if text is _ABSENT:
                    return _ABSENT  # half a name would be a wrong one
                filled.append(text)
            whole = "".join(filled)
            try:
                return whole if convert is None else convert(whole)
            except ValueError as error:
                raise InvalidMessage(path, f"the template {error}") from None

        return get

    def values(self, name: str, sample: Sequence[Any]) -> list[Any]:
        """Return the column's values of the sample, those that stand for nothing as None."""
        get = self._cell(name, name, None)
        found = []
        for row in sample:
            try:
                found.append(get(row))
            except (LookupError, AttributeError):
                continue  # a row that is too short is its own error, later
        return found


def bind(
    mapping: "RowMapping", columns: Sequence[str] | None, sample: Sequence[Any], known: Mapping[str, DateForm]
) -> Calls:
    """See `RowMapping.bind`."""
    table = _Table(columns, sample, mapping.nulls)
    table.check(mapping)
    forms: dict[str, DateForm] = {}
    when = mapping.fields.get("timestamp")
    if when is not None and when.column is not None:
        zone = zone_of(when.timezone or mapping.timezone)
        if when.form is not None:
            forms[when.column] = DateForm(when.form, zone)
        elif when.column in known:
            forms[when.column] = known[when.column]
        elif not sample:
            forms[when.column] = DateForm(ISO, zone)  # which cannot be mistaken for another
        else:
            forms[when.column] = find_form(when.column, table.values(when.column, sample), zone)
    return Calls(mapping, table, forms)


def _named(mapping: "RowMapping") -> list[str]:
    """Return the columns that a mapping names, in its order, each once."""
    sources = [*mapping.fields.values(), *(each for inner in mapping.objects.values() for each in inner.values())]
    return list(dict.fromkeys(name for source in sources for name in source.columns()))


def _time_getter(table: _Table, when: Source, forms: Mapping[str, DateForm]) -> _Get:
    if when.column is None:
        return table.getter("timestamp", when)
    name = when.column
    form = forms[name]
    read, get = form.read, table.getter("timestamp", Source(column=name))

    def time_of(row: Any) -> Any:
        value = get(row)
        if value is _ABSENT:
            raise InvalidMessage("timestamp", f"the column {name!r} is blank: history needs its time")
        try:
            return read(value)
        except (ValueError, OverflowError):
            raise InvalidMessage("timestamp", f"the column {name!r} is no date of the form {form.name}") from None

    return time_of
