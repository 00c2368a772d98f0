"""What was known of her age when: a page of the past must not follow from what was learned later."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from amanat.contracts.records import Person, Record
from amanat.db import AnyRow
from intake.service.ages import newest_telling_age
from intake.service.documents import open_document
from intake.service.ending import PERSONS, readable
from intake.service.instruments import Instruments

Known = Sequence[tuple[datetime, Person | None]]
"""From when on which record told her age, oldest first; before the first none did."""


@dataclass(frozen=True)
class Recorded:
    """A record of who she is, and the one that it corrects."""

    at: datetime
    id: UUID
    corrects: UUID | None
    record: Record


def known_of_her(rows: Sequence[AnyRow], instruments: Instruments) -> Known:
    """`rows` are all of the case's sealed `person` records, the corrected ones too, oldest first. One that does not
    open is left out: she must see what is shared, and take it back, all the same."""
    opened, _ = readable(
        PERSONS,
        rows,
        lambda row: Recorded(row.recorded_at, row.id, row.corrects, open_document(row, instruments).record),
    )
    return known_of(opened)


def known_of(records: Sequence[Recorded]) -> Known:
    """The same of records that are open already, oldest first."""

    def known(at: datetime) -> Person | None:
        there = [each for each in records if each.at <= at]
        corrected = {each.corrects for each in there}
        return newest_telling_age(each.record for each in reversed(there) if each.id not in corrected)

    return [(at, known(at)) for at in sorted({each.at for each in records})]


def known_at(known: Known, at: datetime) -> Person | None:
    """The record that told her age at that moment."""
    return next((person for since, person in reversed(known) if since <= at), None)
