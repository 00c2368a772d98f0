"""Writes what a plan says, in the one order in which locks are taken: referrals, keys, shares, outbox, ledger."""

from datetime import datetime, timedelta

from sqlalchemy import Table, delete, func, insert, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger, outbox
from amanat.groupcommit import Rows
from amanat.kek import RequestSecret
from amanat.tables import outbox as outbox_table
from intake.changes import Changes
from intake.models import consent_events, keys, records, referrals, request_secrets, shares, timeline

SOURCE = "/intake/gate"
KEY_FENCE = 4_246_001  # advisory lock: shared while a key is minted, exclusive while a generation ends


async def hold_generation(session: AsyncSession) -> None:
    """Keep the current key generation from being retired before this transaction ends. Taken before any row lock."""
    await session.execute(text("SELECT pg_advisory_xact_lock_shared(:fence)"), {"fence": KEY_FENCE})


async def apply(
    session: AsyncSession,
    *,
    tenant: str,
    case: str,
    changes: Changes,
    secret: RequestSecret | None,
    ledger_entries: list[ledger.Entry],
    now: datetime,
) -> None:
    """Write a plan's changes for one case whose row and referrals the caller has locked.

    Ending a share deletes its keys and cancels its unpublished disclosures here, in the withdrawal's own transaction.
    """
    new = rows_of(tenant, case, changes, secret, now)
    await _insert(session, new, records, consent_events, referrals)
    for referral in changes.referrals.values():
        await session.execute(
            update(referrals)
            .where(referrals.c.tenant == tenant, referrals.c.code == referral.code)
            .values(
                state=referral.state,
                consent_version=referral.consent_version,
                next_seq=referral.next_seq,
                **({"opened_at": now} if opened_now(changes, referral.code) else {}),
            )
        )
    for code, share, _ in changes.shares_ended:
        await session.execute(
            delete(keys).where(
                keys.c.tenant == tenant,
                keys.c.referral == code,
                keys.c.category == share.category,
                keys.c.epoch <= share.epoch,
            )
        )
    await _insert(session, new, request_secrets, keys)
    for code, share, lease_seconds in changes.shares_ended:
        await session.execute(
            update(shares)
            .where(
                shares.c.tenant == tenant,
                shares.c.referral == code,
                shares.c.category == share.category,
                shares.c.epoch == share.epoch,
            )
            # Counted from here, where the referral is locked: a lease given while this waited ends before.
            .values(ended_at=now, closed_no_later_than=func.clock_timestamp() + timedelta(seconds=lease_seconds))
        )
    for code, share in changes.shares_prolonged:
        await session.execute(
            update(shares)
            .where(
                shares.c.tenant == tenant,
                shares.c.referral == code,
                shares.c.category == share.category,
                shares.c.epoch == share.epoch,
            )
            .values(until=share.until)
        )
    await _insert(session, new, shares, timeline)
    for code, share, _ in changes.shares_ended:
        await outbox.cancel(session, tenant=tenant, referral=code, category=share.category, epoch_upto=share.epoch)
    for referral in changes.referrals.values():
        if referral.state == "closed":
            await outbox.cancel_news(session, tenant=tenant, referral=referral.code)
    await outbox.add(session, *new[outbox_table])
    await ledger.append(session, ledger_entries)


def rows_of(tenant: str, case: str, changes: Changes, secret: RequestSecret | None, now: datetime) -> Rows:
    """What a plan adds, by table: all but its ledger entries, and nothing of what it changes or ends."""
    return {
        records: changes.records,
        consent_events: changes.events,
        referrals: changes.referrals_asked,
        request_secrets: [
            {"id": each.secret_id, "tenant": tenant, "generation": each.generation, "sealed": each.sealed}
            for each in (secret,)
            if each is not None
        ],
        keys: [
            {
                "key_id": key.key_id,
                "tenant": tenant,
                "referral": key.referral,
                "category": key.category,
                "epoch": key.epoch,
                "seq": key.seq,
                "secret_id": None if secret is None else secret.secret_id,
                "wrap": key.wrap,
                "created_at": now,
            }
            for key in changes.keys
        ],
        shares: [
            {
                "tenant": tenant,
                "referral": code,
                "category": share.category,
                "epoch": share.epoch,
                "opened_at": now,
                "until": share.until,
            }
            for code, share in changes.shares_opened
        ],
        timeline: [{"tenant": tenant, "case_code": case, **entry} for entry in changes.timeline],
        outbox_table: [
            outbox.row(
                topic=f"disclosures.{outgoing.agency}",
                event=outgoing.event,
                event_id=outgoing.event_id,
                tenant=tenant,
                seq=outgoing.seq,
                now=now,
                source=SOURCE,
                traced=False,
            )
            for outgoing in changes.outgoing
        ],
    }


def opened_now(changes: Changes, code: str) -> bool:
    """Whether the plan opens this referral for the first time."""
    return any(e["kind"] == "referral_opened" and e["referral"] == code for e in changes.timeline)


async def _insert(session: AsyncSession, new: Rows, *tables: Table) -> None:
    for table in tables:
        if new[table]:
            await session.execute(insert(table), list(new[table]))
