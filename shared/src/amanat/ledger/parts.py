"""Content that can be shown in parts: each committed to by itself, so that one is proven and another stays hidden.

A court may have an examination's findings and never its treatment, though one record holds both, and one leaf commits
to it. What an entry keeps sealed is a master of 32 bytes. From it come, by HMAC-SHA256, the salt of the leaf and one
salt for each part; none of them says anything of the master or of another. The document that is committed to has in a
part's place `hex SHA-256(salt of the part ‖ canonical JSON of the part)`. Whoever gets the document, the leaf's salt
and the salts of the parts shown can check these parts, and can guess nothing of the others: not even whether there is
anything in them, for a part that is empty is committed to like any other.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from amanat import canonical

PARTS = "parts"
"""The name under which a document has its parts' commitments."""
WHOLE = "whole"
"""The part that every parted content has: the sealed text to the byte, for an audit. It is never shown."""


@dataclass(frozen=True)
class Parted:
    """What a row holds: in clear `columns`, which is operational, and hidden `parts`, by name."""

    columns: Mapping[str, JsonValue]
    parts: Mapping[str, JsonValue]

    def committed(self, master: bytes) -> dict[str, JsonValue]:
        """What stands in the document."""
        hidden: dict[str, JsonValue] = {
            name: part_commitment(value, part_salt(master, name)) for name, value in self.parts.items()
        }
        return {**self.columns, PARTS: hidden}


def entry_salt(master: bytes) -> bytes:
    """32 bytes: the salt of an entry's leaf."""
    return hmac.digest(master, b"entry", hashlib.sha256)


def part_salt(master: bytes, name: str) -> bytes:
    """32 bytes: the salt of one part."""
    return hmac.digest(master, b"part:" + name.encode(), hashlib.sha256)


def part_commitment(value: JsonValue, salt: bytes) -> str:
    """64 hexadecimal digits that stand for one part."""
    return hashlib.sha256(salt + canonical.dumps(value)).hexdigest()


def opens(value: JsonValue, salt: bytes, committed: str) -> bool:
    """Whether this part is what was committed to."""
    return hmac.compare_digest(part_commitment(value, salt), committed)
