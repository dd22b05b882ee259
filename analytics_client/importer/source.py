"""Where one field of a call comes from: a column, a constant, a template of columns. Pure values."""

from dataclasses import dataclass
from string import Formatter
from typing import Any

from analytics_client.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Source:
    """The source of one field.

    Attributes:
        column: the column's name; None for constants and templates.
        value: the constant.
        pieces: of a template: texts, and columns as one-element tuples; empty otherwise.
        cast: a name of `CASTS`.
        form: of a timestamp: how it is read; found in the data if None.
        timezone: of a timestamp: what naive times mean; the mapping's if None.
    """

    column: str | None = None
    value: Any = None
    pieces: tuple[str | tuple[str], ...] = ()
    cast: str | None = None
    form: str | None = None
    timezone: str | None = None

    def columns(self) -> list[str]:
        """Return the columns it reads."""
        inner = [each[0] for each in self.pieces if isinstance(each, tuple)]
        return inner if self.column is None else [self.column]

    def key(self) -> list[Any]:
        """Return what tells it from others, for a digest."""
        return [self.column, repr(self.value), list(self.pieces), self.cast, self.form, self.timezone]


def column(name: str, cast: str | None = None, form: str | None = None, timezone: str | None = None) -> Source:
    """Take a column's value."""
    return Source(column=name, cast=cast, form=form, timezone=timezone)


def constant(value: Any) -> Source:
    """Take the same value for every row."""
    return Source(value=value)


def template(name: str, text: str, cast: str | None = None) -> Source:
    """Fill columns into a text: `{first} {last}`; braces of the text itself are doubled.

    Raises:
        ConfigError: the text is no such template.
    """
    pieces: list[str | tuple[str]] = []
    try:
        for literal, key, form, conversion in Formatter().parse(text):
            if form or conversion:
                raise ConfigError(
                    f"mapping: the template of {name} has a format after {{{key}; only columns are filled"
                )
            pieces += [literal] if literal else []
            pieces += [(key,)] if key is not None else []
    except ValueError as error:
        raise ConfigError(f"mapping: the template of {name} cannot be read: {error}") from None
    if not any(isinstance(each, tuple) and each[0] for each in pieces):
        raise ConfigError(f"mapping: the template of {name} names no column, as in {{column}}")
    return Source(pieces=tuple(pieces), cast=cast)
