"""The checkpoint of one input: which of its rows are settled, on disk, whole or not at all.

A row is settled when the server has taken its event, or when it stands in the reject file. The file is written beside
itself, forced to disk, and renamed: after a power cut there is the old one or the new one. Owns the form of the file
and the sentences for a checkpoint that does not belong to what is imported. Sends and reads nothing.
"""

import base64
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from analytics_client.errors import ConfigError
from analytics_client.importer.faults import ImportStopped

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is known of an import of one input.

    Attributes:
        identity: of the input: see `inputs.identity`.
        mapping: the mapping's digest.
        destination: where the events go.
        low: every row up to this number is settled.
        beyond: settled rows after it: with several requests at once, some overtake others.
        delivered: events that the server took.
        rejected: rows in the reject file.
        rejects: the name of the reject file, and its bytes that belong to settled rows.
        done: the input was read to its end.
    """

    identity: Mapping[str, Any]
    mapping: str
    destination: str
    low: int = 0
    beyond: frozenset[int] = field(default=frozenset())
    delivered: int = 0
    rejected: int = 0
    rejects: tuple[str, int] = ("", 0)
    done: bool = False

    def check(self, now: "Checkpoint", name: str) -> None:
        """Refuse to go on with another input, mapping or destination than those of this checkpoint.

        Raises:
            ConfigError: which of them is another, and what to do.
        """
        what = ""
        if dict(self.identity) != dict(now.identity):
            what = f"{name} has changed since its import stopped"
        elif self.mapping != now.mapping:
            what = f"the mapping, or how {name} is read, is another one than when its import stopped"
        elif self.destination != now.destination:
            what = f"the import of {name} went to {self.destination}, and now would go to {now.destination}"
        if what:
            raise ConfigError(f"{what}: undo that, or begin anew with --restart (equal rows keep their ids)")


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint.

    Raises:
        ImportStopped: it cannot be written; the one that was there is unharmed.
    """
    content = asdict(checkpoint) | {"version": _VERSION, "beyond": _packed(checkpoint.low, checkpoint.beyond)}
    fresh = path.with_name(path.name + ".new")
    try:
        with fresh.open("wb", buffering=0) as file:
            write_all(file.fileno(), (json.dumps(content, indent=1) + "\n").encode())
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise ImportStopped(
            f"the checkpoint {path} cannot be written ({error.strerror}): nothing was sent after the last one; "
            "make room, or choose another place with --state, and go on with --resume"
        ) from None


def load(path: Path) -> Checkpoint | None:
    """Read a checkpoint; None if there is none.

    Raises:
        ConfigError: it cannot be read, or is not one.
    """
    try:
        content = json.loads(path.read_bytes())
        if content.pop("version") != _VERSION:
            raise ValueError("version")  # noqa: TRY301 - as damaged as the rest
        content["beyond"] = _unpacked(content["low"], content["beyond"])
        content["rejects"] = tuple(content["rejects"])
        return Checkpoint(**content)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"the checkpoint {path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path} is no checkpoint that this version wrote: begin anew with --restart") from None


def write_all(descriptor: int, content: bytes) -> None:
    """Write everything, or raise OSError: a full disk may take a part first."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: Path) -> None:
    """Force a directory's names to disk, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _packed(low: int, beyond: Iterable[int]) -> str:
    numbers = [each - low - 1 for each in beyond]
    bits = bytearray(max(numbers, default=-1) // 8 + 1)
    for number in numbers:
        bits[number >> 3] |= 1 << (number & 7)
    return base64.b64encode(bits).decode()


def _unpacked(low: int, text: str) -> frozenset[int]:
    bits = base64.b64decode(text, validate=True)
    return frozenset(
        low + 1 + 8 * place + bit for place, byte in enumerate(bits) if byte for bit in range(8) if byte >> bit & 1
    )
