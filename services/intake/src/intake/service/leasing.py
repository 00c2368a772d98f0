"""Leases: keys for seconds, to whom a referral is open now, on record before they leave (DESIGN.md, "A lease").

The agency is the token's, never the body's. Unknown, foreign, another organisation's and closed give one same empty
item. A lease reads the referral `FOR SHARE`, a withdrawal takes it `FOR UPDATE`: none leaves after the key is gone.
"""

import asyncio
import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger
from amanat.contracts.values import Identifier
from amanat.db import AnyRow
from amanat.kek import KekPrivate, unwrap
from amanat.principal import Principal
from amanat.sealing import Unopenable
from intake.errors import GateClosed
from intake.repository import keys, restorations
from intake.service.instruments import Instruments
from intake.service.sources import LEASES

_UNOPENED = Counter("amanat_lease_unopened_total", "Asks for a lease of which a key did not open", ["agency"])
_log = structlog.get_logger(__name__)


class LeaseItem(BaseModel):
    """What an agency's service asks a lease for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    referral: str = Field(max_length=40, pattern=r"^[ -~]*$")
    organisation: Identifier
    purpose: Identifier


class LeaseRequest(BaseModel):
    """A batch of asks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: tuple[LeaseItem, ...] = Field(min_length=1, max_length=50)


class LeasedKey(BaseModel):
    """A data key in base64."""

    category: str
    epoch: int
    key_id: UUID
    key: str = Field(repr=False)


class LeaseGiven(BaseModel):
    """What one ask gets; empty, it says nothing about why. `unopened`: there is something, whose key does not open at
    this gate; who asked can read nothing of it now, and must not take it for ended."""

    referral: str
    consent_version: int = 0
    expires_in_s: float = 0
    keys: tuple[LeasedKey, ...] = ()
    unopened: bool = False


class LeaseAnswer(BaseModel):
    """Answers in the order of the asks."""

    leases: tuple[LeaseGiven, ...]


async def lease(
    session: AsyncSession,
    principal: Principal,
    items: Sequence[LeaseItem],
    now: datetime,
    kek: KekPrivate,
    instruments: Instruments,
) -> LeaseAnswer:
    """Leases what each item may have; of one whose key does not open it says so. The records of it commit with this
    transaction, before the answer is sent.

    Raises GateClosed after a restore, until the gate is reopened.
    """
    if await restorations.open_request(session) is not None:
        raise GateClosed
    given: dict[int, LeaseGiven] = {}
    recorded: list[dict[str, Any]] = []
    # Referrals are locked in the order of their codes, like everywhere, whatever the order of the asks.
    for position, item in sorted(enumerate(items), key=lambda numbered: numbered[1].referral):
        referral = await keys.lock_for_lease(session, principal.agency, item.organisation, item.purpose, item.referral)
        rows = await keys.live_keys(session, referral.tenant, referral.code, now) if referral is not None else []
        if referral is None or not rows:
            given[position] = LeaseGiven(referral=item.referral)
            continue
        try:
            opened = await asyncio.to_thread(_opened, kek, rows)
        except Unopenable:
            # One spoilt wrap is one referral's misfortune: the others of the batch get their keys.
            given[position] = LeaseGiven(referral=item.referral, unopened=True)
            _UNOPENED.labels(principal.agency).inc()
            _log.error("lease_unopened", agency=principal.agency, organisation=item.organisation, cell=referral.tenant)
            continue
        ends = [(row.until - now).total_seconds() for row in rows if row.until is not None]
        given[position] = LeaseGiven(
            referral=item.referral,
            consent_version=referral.consent_version,
            expires_in_s=min([instruments.lease_of(principal.agency), *ends]),
            keys=tuple(
                LeasedKey(
                    category=row.category,
                    epoch=row.epoch,
                    key_id=row.key_id,
                    key=base64.b64encode(opened[row.key_id]).decode(),
                )
                for row in rows
            ),
        )
        recorded.append(
            {
                "id": instruments.new_id(),
                "tenant": referral.tenant,
                "referral": referral.code,
                "client": principal.client,
                "token_id": principal.token_id,
                "categories": sorted({row.category for row in rows}),
                "consent_version": referral.consent_version,
                "at": now,
            }
        )
    await keys.record_leases(session, recorded)
    statements = [LEASES.statement("leased", row["referral"], now, row) for row in recorded]
    await ledger.enter(session, statements, instruments.at_rest, instruments.randomness)
    return LeaseAnswer(leases=tuple(given[position] for position in range(len(items))))


def _opened(kek: KekPrivate, rows: Sequence[AnyRow]) -> dict[UUID, bytes]:
    """The rows' data keys by their ids. Raises Unopenable if one of them does not open."""
    secrets = _unsealed(kek, {row.secret_id: (row.generation, row.sealed) for row in rows})
    return {row.key_id: unwrap(secrets[row.secret_id], row.key_id, row.wrap) for row in rows}


def _unsealed(kek: KekPrivate, sealed: dict[UUID, tuple[int, bytes]]) -> dict[UUID, bytes]:
    """Each request's secret, opened by its generation in one call per generation."""
    opened: dict[UUID, bytes] = {}
    for generation in {generation for generation, _ in sealed.values()}:
        ids = [secret_id for secret_id, (of, _) in sealed.items() if of == generation]
        opened.update(zip(ids, kek.unseal(generation, [sealed[each][1] for each in ids]), strict=True))
    return opened
