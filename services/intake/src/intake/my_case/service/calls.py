"""Calls that the cell owes her, by the safe channel."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from amanat import pages
from amanat.categories import Agency, Category
from amanat.errors import NotFound
from amanat.principal import Principal
from intake.my_case import schemas
from intake.my_case.repository import claims
from intake.my_case.service.tools import Tools
from intake.repository import cases
from intake.service.cases import entry


async def owe(session: AsyncSession, tenant: str, case: str, reason: str, call: UUID, now: datetime) -> None:
    """The cell is to call her, whether she has a page of her own or not. The case is locked by the caller."""
    row = {"id": call, "tenant": tenant, "case_code": case, "claim": None, "reason": reason, "at": now}
    await claims.add_call(session, row)


async def listed(
    session: AsyncSession, principal: Principal, path: str, cursor: str | None, limit: int, tools: Tools
) -> schemas.CallsListed:
    """Open calls of one's own cells, oldest first: operational, so it opens nothing and makes no look. Raises
    BadCursor."""
    scope = f"{path} {','.join(sorted(principal.cells))}"
    after = int(tools.cursors.decode(cursor, scope=scope)[0]) if cursor is not None else 0
    rows = await claims.open_calls(session, principal.tenants, after=after, limit=limit + 1)
    page = pages.page(rows, limit=limit, position=[(row.position,) for row in rows], cursors=tools.cursors, scope=scope)
    afar = await claims.read_afar(session, principal.tenants, [row.id for row in page.items])
    return schemas.CallsListed(
        items=tuple(
            schemas.CallShown(
                call=row.id,
                case=row.case_code,
                cell=row.tenant,
                reason=row.reason,
                at=row.at,
                withdrawn=tuple(
                    schemas.TakenFromAfar(
                        consent=each.consent_id,
                        agency=Agency(each.agency),
                        organisation=each.organisation,
                        categories=tuple(Category(name) for name in each.categories),
                        undone_at=each.undone_at,
                    )
                    for each in afar
                    if each.call_id == row.id
                ),
            )
            for row in page.items
        ),
        next=page.next,
    )


async def finish(session: AsyncSession, principal: Principal, call: UUID, now: datetime) -> schemas.CallDone:
    """The call was made. Repeating it changes nothing. Raises NotFound for another cell's."""
    row = await claims.find_call(session, principal.tenants, call)
    if row is None:
        raise NotFound
    await cases.lock_case(session, principal.tenants, row.case_code)
    if await claims.finish_call(session, row.tenant, call, principal.subject, now):
        await cases.touch_case(session, row.tenant, row.case_code)
        await cases.add_timeline(session, row.tenant, row.case_code, [entry(now, "call_made", call=str(call))])
        return schemas.CallDone(call=call, done_at=now)
    again = await claims.find_call(session, principal.tenants, call)
    return schemas.CallDone(call=call, done_at=again.done_at if again is not None else now)
