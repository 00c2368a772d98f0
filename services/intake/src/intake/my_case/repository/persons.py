"""All that was ever recorded of who she is, where what was known at a moment of the past counts."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from amanat.consent import Access
from amanat.db import AnyRow
from intake.models import records
from intake.repository.cases import own_only


async def read_persons(session: AsyncSession, access: Access, tenant: str, case: str) -> Sequence[AnyRow]:
    """The case's sealed `person` records, the corrected ones too, oldest first."""
    statement = (
        select(records)
        .where(records.c.tenant == tenant, records.c.case_code == case, records.c.kind == "person", own_only(access))
        .order_by(records.c.position)
    )
    return (await session.execute(statement)).all()
