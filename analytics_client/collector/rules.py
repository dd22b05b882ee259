"""What the documents do not allow: rules.json, compiled.

This file owns the reading of rules.json and turns a failed rule into a violation. Pure but for reading that one file of
the package; it must not know what a service answers to a violation.

Each service and call has one validator over all of its rules, which is enough for nearly every event. Only when that
one fails are the rules asked one by one which of them it was.
"""

from decimal import Decimal
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any

import orjson
from jsonschema_rs import Draft202012Validator

from analytics_client.collector.exchange import Violation

MAX_PATHS = 5
"""Places reported per rule and event: an event with a thousand bad switches makes one point, not a thousand."""

_MAX_PATH_LENGTH = 200


class RuleBook:
    """The rules of all services."""

    def __init__(self, text: bytes) -> None:
        document = orjson.loads(text)
        self._defs: dict[str, Any] = document["$defs"]
        self._sets: dict[str, list[str]] = document["sets"]
        self._rules: list[dict[str, Any]] = document["rules"]
        self._sentences: dict[str, str] = {rule["id"]: rule["says"] for rule in self._rules}
        self._checks: dict[tuple[str, str], _Check] = {}

    def check(self, service: str, call: str, document: Any) -> tuple[Violation, ...]:
        """List what the service's documents do not allow in this document of this call."""
        check = self._checks.get((service, call))
        if check is None:
            check = self._checks[service, call] = _Check(self._defs, self._rules_for(service, call))
        return check(document)

    def violation(self, rule: str, path: str = "$") -> Violation:
        """Make the violation of a rule that has no schema.

        Raises:
            KeyError: There is no such rule.
        """
        return Violation(rule, path, self._sentences[rule])

    def _rules_for(self, service: str, call: str) -> list[dict[str, Any]]:
        return [rule for rule in self._rules if call in self._calls(rule, service)]

    def _calls(self, rule: dict[str, Any], service: str) -> list[str]:
        names: list[str] = rule.get("on", {}).get(service, [])
        return [call for name in names for call in self._sets.get(name, [name])]


class _Check:
    """The rules of one service and call, all at once and one by one."""

    def __init__(self, defs: dict[str, Any], rules: list[dict[str, Any]]) -> None:
        self._all = Draft202012Validator({"$defs": defs, "allOf": [rule["schema"] for rule in rules]})
        self._each = [
            (rule["id"], rule["says"], Draft202012Validator({"$defs": defs, **rule["schema"]})) for rule in rules
        ]

    def __call__(self, document: Any) -> tuple[Violation, ...]:
        try:
            return self._violations(document)
        except ValueError:
            # jsonschema_rs cannot give back numbers of more than 4,300 digits, and before 0.37 takes no Decimal. How
            # long a number is, is no rule's business.
            return self._violations(_with_short_numbers(document))

    def _violations(self, document: Any) -> tuple[Violation, ...]:
        if self._all.is_valid(document):
            return ()
        return tuple(
            Violation(rule, path, sentence)
            for rule, sentence, validator in self._each
            if not validator.is_valid(document)
            for path in _places(validator, document)
        )


def _with_short_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_short_numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_short_numbers(inner) for inner in value]
    return 0 if isinstance(value, Decimal) else value


def _places(validator: Draft202012Validator, document: Any) -> list[str]:
    """Give the paths at which a rule fails, each once (a rule may fail twice at one place)."""
    errors = islice(validator.iter_errors(document), MAX_PATHS)
    return list(dict.fromkeys(_json_path(error.instance_path) for error in errors))


def _json_path(steps: list[str | int]) -> str:
    """Write a path as JSONPath does; names that are no plain words stand in brackets."""
    path = "$"
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if step.isidentifier() else f"[{orjson.dumps(step).decode()}]"
    return path if len(path) <= _MAX_PATH_LENGTH else path[:_MAX_PATH_LENGTH] + "…"


@cache
def rule_book() -> RuleBook:
    """Read the package's rules.json, once per process."""
    return RuleBook(resources.files(__package__).joinpath("rules.json").read_bytes())
