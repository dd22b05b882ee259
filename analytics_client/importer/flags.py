"""The mapping as flags of a command: each flag's text becomes an entry of the dict that `RowMapping.from_dict` takes.

    --property rating:int               properties.rating = { column = "rating", cast = "int" }
    --property stars=rating:int         properties.stars = ...
    --property "*"                      every column that is not named elsewhere
    --context page.url=url              context.page.url = { column = "url" }
    --constant properties.source=crm    properties.source = { value = "crm" }
    --template "event=Rated {rating}"   event = { template = "Rated {rating}" }

Columns with "=" in their names, or a cast's name behind a colon, need a mapping file. Pure.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from analytics_client.errors import ConfigError
from analytics_client.importer.casts import CASTS
from analytics_client.importer.mapping import REST

_OBJECTS = ("properties", "traits", "context", "integrations")


def combined(
    base: Mapping[str, Any],
    *,
    columns: Mapping[str, str | None],
    kind: str | None = None,
    event: str | None = None,
    timestamp_format: str | None = None,
    timezone: str | None = None,
    nulls: Iterable[str] = (),
    entries: Mapping[str, Iterable[str]],
    constants: Iterable[str] = (),
    templates: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the mapping of a file, if any, with what the flags say over it.

    Args:
        base: the file's content, or nothing.
        columns: argument of the call to column, `{"user_id": "reviewerId"}`; `event` here is a column, too.
        kind: `--type`.
        event: `--event`, the name itself.
        timestamp_format: `--timestamp-format`.
        timezone: `--timezone`.
        nulls: `--null`, each.
        entries: `properties`, `traits`, `context` to the texts of their flags.
        constants: `--constant`, each.
        templates: `--template`, each.

    Raises:
        ConfigError: a flag's text has no such form.
    """
    content: dict[str, Any] = {
        name: dict(value) if isinstance(value, Mapping) else value for name, value in base.items()
    }
    if kind is not None:
        content["type"] = kind
    content |= {name: {"column": column} for name, column in columns.items() if column is not None}
    if event is not None:
        content["event"] = event
    if timezone is not None:
        content["timezone"] = timezone
    if timestamp_format is not None:
        when = content.get("timestamp")
        when = {"column": when} if isinstance(when, str) else when
        if not isinstance(when, Mapping) or "column" not in when:
            raise ConfigError("--timestamp-format needs the column: --timestamp COLUMN")
        content["timestamp"] = {**when, "format": timestamp_format}
    if nulls := list(nulls):
        content["nulls"] = nulls
    for name, texts in entries.items():
        for text in texts:
            _put_column(content, name, text)
    for flag, key, texts in (("--constant", "value", constants), ("--template", "template", templates)):
        for text in texts:
            field, separator, value = text.partition("=")
            if not separator or not field:
                raise ConfigError(f"{flag} is written FIELD=TEXT, as in properties.source=crm")
            _put(content, field, {key: value})
    return content


def _put_column(content: dict[str, Any], name: str, text: str) -> None:
    key, separator, column = text.partition("=")
    if not separator:
        key, column = "", text
    source: dict[str, Any] = {"column": column}
    before, colon, cast = column.rpartition(":")
    if colon and cast in CASTS:
        source = {"column": before, "cast": cast}
    if column == REST:
        inner = _table(content, name)
        inner[REST] = REST
        return
    if not source["column"]:
        raise ConfigError(f"{text!r} names no column: write [NAME=]COLUMN[:CAST]")
    path = key or source["column"]
    if name == "context" and separator:
        _put(content, f"{name}.{path}", source)
    else:
        _table(content, name)[path] = source


def _put(content: dict[str, Any], field: str, source: dict[str, Any]) -> None:
    name, dot, path = field.partition(".")
    if not dot:
        content[name] = source
        return
    if name not in _OBJECTS:
        raise ConfigError(f"{field}: before the dot stands one of {', '.join(_OBJECTS)}")
    inner = _table(content, name)
    keys = path.split(".") if name in ("context", "integrations") else [path]
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
    inner[keys[-1]] = source


def _table(content: dict[str, Any], name: str) -> dict[str, Any]:
    inner = content.setdefault(name, {})
    if inner == REST:
        inner = content[name] = {REST: REST}
    if not isinstance(inner, dict):
        raise ConfigError(f"mapping: {name} must be a table of its keys")
    return inner
