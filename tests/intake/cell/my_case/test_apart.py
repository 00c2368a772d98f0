"""One cell's claims and calls are no other's, and a claim that ended meanwhile opens nothing: each guard by itself;
`test_joins` has the statements with row-level security open."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from amanat.errors import NotFound
from intake.my_case import schemas
from intake.my_case.repository import claims as repository
from intake.my_case.service.secret_words import bound_to
from intake.my_case.service.signing_in import Claim as Proved
from intake.my_case.service.signing_in import visited
from intake.my_case.service.taking_back import take_back_from_afar
from intake.my_case.service.viewing import view

from ..world import KARACHI, LAHORE, POLICE, World, consent
from .cell import Claim, at_desk, issue
from .test_from_afar import take
from .test_sign_ins import database_of, tools_of


@pytest.fixture
async def owed(world: World) -> tuple[Claim, UUID]:
    """A claim at Karachi, and the call that the cell owes."""
    case, _ = await world.open_case(consent(POLICE, "identity", "incident"))
    claim = await issue(world, case)
    return claim, UUID((await take(world, claim, category="incident"))["call"])


async def test_with_the_tenant_join_removed_row_level_security_still_blocks(
    world: World, owed: tuple[Claim, UUID]
) -> None:
    claim, call = owed
    async with world.main.transaction((LAHORE,)) as session:
        # Asked as if it were Karachi's: the statement's own join would let it through.
        assert await repository.read_claim(session, [KARACHI], claim.case) is None
        assert await repository.open_calls(session, [KARACHI], after=0, limit=9) == []
        assert await repository.find_call(session, [KARACHI], call) is None
        assert await repository.read_afar(session, [KARACHI], [call]) == []
        assert await repository.end_claim(session, KARACHI, claim.case, world.now) is None
        assert await repository.undo_afar(session, KARACHI, call, world.now) == []
        assert not await repository.finish_call(session, KARACHI, call, "somebody", world.now)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("main", "DELETE FROM claims"),
        ("main", "UPDATE claims SET pin_hash = ''"),
        ("main", "DELETE FROM sign_ins"),
        ("main", "UPDATE sign_ins SET at = now()"),
        ("main", "DELETE FROM calls"),
        ("main", "UPDATE afar_withdrawals SET categories = '{}'"),
        ("gate", "SELECT ended_at FROM claims"),
        ("gate", "UPDATE claims SET pin_hash = ''"),
        ("gate", "SELECT code_sealed FROM claims"),
        ("gate", "INSERT INTO claims (id) VALUES (gen_random_uuid())"),
        ("gate", "UPDATE sign_ins SET outcome = 'miss'"),
        ("gate", "UPDATE calls SET done_at = now()"),
    ],
)
async def test_no_role_has_more_than_it_needs(world: World, role: str, statement: str) -> None:
    database = world.main if role == "main" else world.gate
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with database.transaction((KARACHI,)) as session:
            await session.execute(text(statement))


@pytest.mark.parametrize("ended", ["ended", "replaced"])
async def test_a_claim_that_ended_after_it_was_proved_opens_and_takes_nothing(world: World, ended: str) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"))
    claim = await issue(world, case)
    tools, database = tools_of(world), database_of(world)
    digest, now = tools.claim_digest(claim.code), datetime.now(UTC)
    visit = tools.visits.read(tools.visits.begin(digest, now, bound_to(digest, KARACHI, case)), now)
    assert visit is not None
    proved = await visited(database, visit)
    assert isinstance(proved, Proved)
    if ended == "ended":
        await at_desk(world, f"/v1/cases/{case}/claim/ending")
    else:
        await issue(world, case)
    with pytest.raises(NotFound):
        await view(database, proved, "en", datetime.now(UTC), tools)
    wish = schemas.TakeBack(session="unused")
    with pytest.raises(NotFound):
        await take_back_from_afar(database, proved, wish, datetime.now(UTC), tools)
    assert [row.category for row in await world.rows("SELECT category FROM keys")] == ["identity"]
    looks = await world.rows("SELECT referral, refused FROM looks WHERE purpose = 'own_view'")
    assert [(row.referral, row.refused is not None) for row in looks] == [(None, True)]
