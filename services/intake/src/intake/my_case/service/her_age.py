"""What was known of her age when: a page of the past must not follow from what was learned later."""

from collections.abc import Sequence
from datetime import datetime

from amanat.contracts.records import Person
from amanat.db import AnyRow
from intake.service.ages import newest_telling_age
from intake.service.documents import open_document
from intake.service.instruments import Instruments

Known = Sequence[tuple[datetime, Person | None]]
"""From when on which record told her age, oldest first; before the first none did."""


def known_of_her(rows: Sequence[AnyRow], instruments: Instruments) -> Known:
    """`rows` are all of the case's sealed `person` records, the corrected ones too, oldest first."""
    opened = [(row, open_document(row, instruments).record) for row in rows]

    def known(at: datetime) -> Person | None:
        there = [(row, record) for row, record in opened if row.recorded_at <= at]
        corrected = {row.corrects for row, _ in there}
        return newest_telling_age(record for row, record in reversed(there) if row.id not in corrected)

    return [(at, known(at)) for at in sorted({row.recorded_at for row in rows})]


def known_at(known: Known, at: datetime) -> Person | None:
    """The record that told her age at that moment."""
    return next((person for since, person in reversed(known) if since <= at), None)
