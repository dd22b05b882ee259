"""JSON text to Python values, exactly: no digit of a number is lost, NaN is no JSON. Pure."""

import json
import re
from typing import Any

from analytics_client.importer.casts import exact_number

try:
    import orjson
except ImportError:  # other interpreters
    orjson = None  # type: ignore[assignment]

_HAS_ORJSON = orjson is not None

# Sixteen digits in a row, or an exponent of three, may be a number that a float does not hold.
_LONG_NUMBER = re.compile(rb"[\d.]{16}|\d[eE][+-]?\d{3}")


def _refused_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


#: Reads one value of a longer text.
DECODER = json.JSONDecoder(parse_float=exact_number, parse_constant=_refused_constant)


def loads(line: bytes) -> Any:
    """Read one value.

    Raises:
        ValueError: it is no JSON; the text says where, and nothing of its content.
    """
    if _HAS_ORJSON and _LONG_NUMBER.search(line) is None:
        try:
            return orjson.loads(line)
        except ValueError:
            pass  # the other one says it in the same words for every platform, and takes what orjson's floats do not
    try:
        return DECODER.decode(line.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (byte {error.start + 1})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} (column {error.colno})") from None
    except ValueError as error:
        # NaN and the like; or an integer of more than 4,300 digits.
        raise ValueError(f"is not JSON: {error}" if "is no JSON" in str(error) else "has a number too long") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
