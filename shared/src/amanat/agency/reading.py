"""A referral as an agency's client reads it: lease → look on record → open → check again → answer (law 6).

An unknown code, another organisation's and one whose grants are gone take the same path, in the same statements and the
same calls to the gate, to the same 404 (law 2). What the organisation itself recorded stays readable to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.agency import repository
from amanat.agency.desk import Desk
from amanat.agency.instruments import Instruments
from amanat.agency.schemas import Entry, KitShown, ReferralShown
from amanat.categories import Category
from amanat.codes import PREFIX, new_code
from amanat.consent import from_lease, own
from amanat.contracts.disclosures import DisclosedRecords
from amanat.db import AnyRow
from amanat.errors import GateUnavailable, NotFound
from amanat.lease_wire import GateAway, Lease
from amanat.ledger import Source
from amanat.looks import fetch_within, look
from amanat.principal import Principal
from amanat.sealing import associated_data, open_sealed
from amanat.tables import own_records

OLDEST_S = 1.0
"""An answer whose fetching statement began longer ago is not given: a tombstone may have come since."""
TRIES = 4
OWN_COLUMN = "sealed"
OWN_RECORDS = Source(
    own_records,
    ("tenant", "id", "referral", "kind", "recorded_at", "recorded_by", "seq"),
    sealed=(OWN_COLUMN,),
    bound=("tenant", "referral"),
)

Unchanged = Callable[[str], bool]
"""Whether the client says that it has the answer of this ETag already."""


@dataclass(frozen=True)
class Answer:
    """A body that may be sent while `good()`; None when the client has it already. `etag` follows versions only."""

    etag: str
    body: bytes | None
    good: Callable[[], bool]


@dataclass(frozen=True)
class _Asked:
    """What was asked for: `named` as the client named it, and the code for the gate when nothing is found here."""

    which: ColumnElement[bool]
    named: str
    unknown: str
    barcode: str | None = None


@dataclass(frozen=True)
class _Opened:
    row: AnyRow
    parts: dict[Category, tuple[Entry, ...]]
    own: tuple[Entry, ...]
    etag: str


async def read_referral(desk: Desk, principal: Principal, code: str, unchanged: Unchanged) -> Answer:
    """The body is a `ReferralShown`. Raises NotFound, GateUnavailable."""
    return await _read(desk, principal, _Asked(repository.of_code(code), named=code, unknown=code), unchanged)


async def read_kit(desk: Desk, principal: Principal, barcode: str, unchanged: Unchanged) -> Answer:
    """The body is a `KitShown`. Raises NotFound, GateUnavailable."""
    macs, prefix = desk.instruments.macs, PREFIX[desk.instruments.agency]
    # The gate is asked about an unknown barcode too, under a code that nobody has.
    nobody = new_code(prefix, lambda n: macs.mac("unknown-kit", barcode.encode())[:n])
    which = repository.of_kit(own(principal), barcode)
    return await _read(desk, principal, _Asked(which, named=barcode, unknown=nobody, barcode=barcode), unchanged)


async def _read(desk: Desk, principal: Principal, asked: _Asked, unchanged: Unchanged) -> Answer:
    for _ in range(TRIES):
        fetched: _Fetched | None = None
        async with desk.database.transaction(principal.tenants) as session:
            listed = await repository.versions(session, own(principal), asked.which)
            live = [row for row in listed if row.key_id is not None]
            if live or (listed and listed[0].own_seq is not None):
                etag = _etag(desk.instruments, asked, listed[0], live, listed[0].own_seq)
                if unchanged(etag):
                    return Answer(etag, None, good=lambda: True)
            code = listed[0].code if listed else asked.unknown
            lease = _held(desk, principal, code, live)
            if lease is not None:
                fetched = await _fetch(session, desk, principal, asked, code, lease, live)
        # Nothing of it is opened before that transaction has committed; and none is held open while the gate is asked.
        if fetched is None:
            lease = await _lease(desk, principal, code, live)
            async with desk.database.transaction(principal.tenants) as session:
                fetched = await _fetch(session, desk, principal, asked, code, lease, live)
        answer = _answer(desk, principal, asked, fetched)
        if answer.good():
            return answer
    raise GateUnavailable(retry_after=1)


def _held(desk: Desk, principal: Principal, code: str, live: Sequence[AnyRow]) -> Lease | None:
    need = [row.key_id for row in live]
    return desk.leases.held(code, principal.organisation, desk.instruments.purpose, need=need)


async def _lease(desk: Desk, principal: Principal, code: str, live: Sequence[AnyRow]) -> Lease:
    try:
        return await desk.leases.lease(
            code, principal.organisation, desk.instruments.purpose, need=[row.key_id for row in live]
        )
    except GateAway:
        raise GateUnavailable(retry_after=2) from None


@dataclass(frozen=True)
class _Fetched:
    """Rows, sealed, whose look is on record once their transaction has committed."""

    rows: Sequence[AnyRow]
    began: float
    named: frozenset[Category]
    lease: Lease


async def _fetch(
    session: AsyncSession,
    desk: Desk,
    principal: Principal,
    asked: _Asked,
    code: str,
    lease: Lease,
    live: Sequence[AnyRow],
) -> _Fetched:
    instruments = desk.instruments
    granted = from_lease(lease)
    leased = {lease.keys[row.key_id].category for row in live if row.key_id in lease.keys}
    named = frozenset(leased) & granted.categories
    began = desk.boottime()
    rows = await fetch_within(
        session,
        look=look(
            principal,
            look_id=instruments.new_id(),
            tenant=principal.organisation,
            referral=code,
            refused=instruments.macs.refusal(asked.named),
            purpose=instruments.purpose,
            categories=named,
            at=desk.now,
            at_rest=instruments.at_rest,
            randomness=instruments.randomness,
            leased=bool(lease.keys),
        ),
        tells=True,
        statement=repository.parts_statement(granted, own(principal), code, list(lease.keys.items())),
    )
    return _Fetched(rows, began, named, lease)


def _answer(desk: Desk, principal: Principal, asked: _Asked, fetched: _Fetched) -> Answer:
    rows, lease = fetched.rows, fetched.lease
    if not rows:
        raise NotFound
    # A category that came in only after it was named in the look is left for the next look.
    shown = [row for row in rows if row.part != repository.PART or Category(row.category) in fetched.named]
    opened = _open(desk.instruments, asked, rows[0], shown, lease, principal.organisation)
    body = _body(asked, opened).model_dump_json().encode()

    def good() -> bool:
        now = desk.boottime()
        return not opened.parts or (lease.live(now) and now - fetched.began <= OLDEST_S)

    return Answer(opened.etag, body, good)


def _open(
    instruments: Instruments, asked: _Asked, row: AnyRow, shown: Sequence[AnyRow], lease: Lease, organisation: str
) -> _Opened:
    disclosed = [each for each in shown if each.part == repository.PART]
    recorded = sorted((each for each in shown if each.part == repository.OWN), key=lambda each: int(each.seq))
    return _Opened(
        row=row,
        parts={
            Category(each.category): _disclosed(row.code, each, lease)
            for each in sorted(disclosed, key=lambda each: str(each.category))
        },
        own=tuple(
            Entry(
                record=each.kind,
                record_id=each.id,
                recorded_at=each.at,
                fields=open_own(instruments, each, organisation, row.code),
            )
            for each in recorded
        ),
        etag=_etag(instruments, asked, row, disclosed, recorded[-1].seq if recorded else None),
    )


def _disclosed(code: str, row: AnyRow, lease: Lease) -> tuple[Entry, ...]:
    aad = associated_data(
        referral=code,
        category=row.category,
        event_id=row.id,
        contract=row.kind,
        key_id=row.key_id,
        epoch=row.epoch,
    )
    plaintext = open_sealed(lease.keys[row.key_id].key, row.sealed, aad)
    return tuple(
        Entry(record=each.record, record_id=each.record_id, recorded_at=each.recorded_at, fields=each.fields)
        for each in DisclosedRecords.parse(plaintext).records
    )


def open_own(instruments: Instruments, row: AnyRow, organisation: str, referral: str) -> dict[str, Any]:
    """The fields of a record of this organisation's own on this referral. Raises amanat.sealing.Unopenable, for one
    that is another's as well, wherever it stands now."""
    opened = instruments.at_rest.open(row.sealed, **OWN_RECORDS.at(OWN_COLUMN, row.id, organisation, referral))
    fields: dict[str, Any] = json.loads(opened)
    return fields


def _body(asked: _Asked, opened: _Opened) -> BaseModel:
    row = opened.row
    opened_at: datetime = row.opened_at
    if asked.barcode is None:
        return ReferralShown(
            referral=row.code,
            state=row.state,
            opened_at=opened_at,
            kits=tuple(row.kits),
            parts=opened.parts,
            own=opened.own,
        )
    return KitShown(
        barcode=asked.barcode,
        referral=row.code,
        state=row.state,
        opened_at=opened_at,
        kits=tuple(row.kits),
        parts=opened.parts,
        own=tuple(each for each in opened.own if each.fields.get("barcode") == asked.barcode),
    )


def _etag(instruments: Instruments, asked: _Asked, row: AnyRow, live: Sequence[AnyRow], own_seq: int | None) -> str:
    """Over versions, never over content; of the organisation's own records by their last `seq`."""
    found = sorted((str(each.category), int(each.epoch), int(each.seq), each.key_id) for each in live)
    return instruments.macs.etag(
        "referral" if asked.barcode is None else f"kit {asked.barcode}",
        row.code,
        row.version,
        own_seq,
        *row.kits,
        *(part for version in found for part in version),
    )
