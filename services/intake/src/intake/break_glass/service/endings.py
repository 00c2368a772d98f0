"""A disclosure outside that ends before its time: an order was lifted, or ought not to have been asked for.

To give takes two people, to end takes one: a supervisor of the case's cell, by name and with a reason. No withdrawal
reaches it, since it is no consent of hers; and while a court's secrecy holds she is told of its end as little as of it.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from amanat.consent import ConsentWithdrawn, own
from amanat.errors import NotFound
from amanat.principal import Principal
from intake.break_glass import schemas
from intake.break_glass.errors import NotInForce
from intake.break_glass.repository import disclosures
from intake.break_glass.service.disclosures import again, sealed, told
from intake.changes import Changes, Referral, Share
from intake.service.ending import load_to_end, plan_endings
from intake.service.instruments import Instruments
from intake.service.loading import add_event, save, setting_of
from intake.service.sources import ENDINGS, line


async def end_early(
    session: AsyncSession,
    principal: Principal,
    code: str,
    disclosure: UUID,
    body: schemas.NewEnding,
    now: datetime,
    instruments: Instruments,
) -> schemas.DisclosureTold:
    """Ends what it opened, at once and as a withdrawal does; what her own consent opens as well goes on. Said again, by
    whomever, it changes nothing. Raises NotFound, NotInForce.
    """
    case = await load_to_end(session, own(principal), principal.cells, code, instruments)
    row = await disclosures.read_disclosure(session, own(principal), case.tenant, code, disclosure)
    if row is None:
        raise NotFound
    if row.ended_at is None:
        if row.decision != "approved" or row.expires_at <= now:
            raise NotInForce
        changes, ending_id, reason = Changes(), instruments.new_id(), body.reason.encode()
        ending = {
            "id": ending_id,
            "tenant": case.tenant,
            "disclosure": disclosure,
            "reason_sealed": sealed(
                reason, ENDINGS.at("reason_sealed", ending_id, case.tenant, disclosure), instruments
            ),
            "subject": principal.subject,
            "client": principal.client,
            "token_id": principal.token_id,
            "unit": principal.unit,
            "ended_at": now,
        }
        await disclosures.add_ending(session, ending)
        changes.ledger.append(line(ENDINGS, "disclosure_ended", code, ending, reason_sealed=reason))
        withdrawn = ConsentWithdrawn(
            consent_id=row.consent, agency=row.agency, organisation=row.organisation, withdrawn_at=now
        )
        add_event(case, changes, withdrawn, instruments, now)
        changes.timeline.append(told(row._asdict(), "disclosure_ended", now))

        def its_own(referral: Referral, share: Share) -> bool:
            to = (referral.agency, referral.organisation)
            return to == (row.agency, row.organisation) and share.category in row.categories

        minter = instruments.minter()
        plan_endings(changes, case, setting_of(case, minter, instruments, now, opens=False), its_own)
        await save(session, case, changes, minter, instruments, now)
    return await again(session, principal, case.tenant, code, disclosure, now)
