"""What every service says of its ledger to all others, on `checkpoints.<service>`: hashes, signatures and sizes alone.

The sole exception to the one gate (law 1). Each is 1,024 bytes at most; what is longer, or not in its one form, is an
alarm at whoever reads it.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from amanat.categories import Category
from amanat.contracts.base import Event
from amanat.contracts.values import Base64, Count

LONGEST = 1024
"""Bytes of one event's body."""
HASHES_AT_ONCE = 16
"""Hashes of a proof that one event carries: 683 characters of base64."""

PartNumber = Annotated[int, Field(strict=True, ge=0, le=8)]
"""A proof between trees of up to 2**63 entries has 64 hashes."""
Origin = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9./-]{0,78}[a-z0-9])?$")]
"""A ledger's name: the C2SP origin line of its checkpoints."""
NoteText = Annotated[str, StringConstraints(max_length=700, pattern=r"^[ -~\u2014\n]+$")]
"""A C2SP signed note."""


class CheckpointEvent(Event):
    """Of no referral: of a ledger as a whole."""

    referral: Annotated[Literal["*"], Category.OPERATIONAL] = "*"


class ConsistencyShown(CheckpointEvent):
    """A piece of the RFC 9162 proof that the tree of `size` begins with that of `previous`; its checkpoint follows."""

    type: ClassVar[str] = "pk.amanat.consistency-shown.v1"

    previous: Annotated[Count, Category.OPERATIONAL]
    size: Annotated[Count, Category.OPERATIONAL]
    part: Annotated[PartNumber, Category.OPERATIONAL]
    hashes: Annotated[Base64, Field(max_length=32 * HASHES_AT_ONCE), Category.OPERATIONAL]


class CheckpointPublished(CheckpointEvent):
    """A service's signed checkpoint, on its timetable whether anything happened or not. `previous` is the size of the
    one published before, for which `parts` pieces of proof were shown."""

    type: ClassVar[str] = "pk.amanat.checkpoint-published.v1"

    previous: Annotated[Count, Category.OPERATIONAL]
    parts: Annotated[PartNumber, Category.OPERATIONAL]
    note: Annotated[NoteText, Category.OPERATIONAL]


class CheckpointCosigned(CheckpointEvent):
    """A witness saw this checkpoint, found it consistent with all it had seen, and kept it before it signed."""

    type: ClassVar[str] = "pk.amanat.checkpoint-cosigned.v1"

    note: Annotated[NoteText, Category.OPERATIONAL]
