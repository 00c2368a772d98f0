"""Who rewrites a service's ledger, with all rights on its database, is seen by the others at the next checkpoint."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, true
from sqlalchemy.exc import DBAPIError

from amanat import merkle
from amanat.contracts.checkpoints import LONGEST, CheckpointCosigned, CheckpointPublished
from amanat.ledger import witness as witnessing
from amanat.notes import Checkpoint, signed_note, split_note
from amanat.tables import cosignatures, ledger_checkpoints, witnessed

from .world import EVERY_S, SERVICES, World, origin_of

POLICE, FORENSICS, LEGAL = SERVICES
OTHERS = (FORENSICS, LEGAL)


async def _cosigned(world: World, size: int = 0) -> set[str]:
    """Who cosigned the police's newest checkpoint (of this size), as the police knows."""
    async with world[POLICE].database.transaction(()) as session:
        of = (ledger_checkpoints.c.size == size) if size else true()
        newest = select(ledger_checkpoints).where(of).order_by(ledger_checkpoints.c.number.desc()).limit(1)
        found = (await session.execute(newest)).one()
        rows = await witnessing.cosignatures_of(session, origin_of(POLICE), found.size, bytes(found.root))
    return {row.witness.rsplit("/", 1)[-1] for row in rows}


async def _history(world: World) -> None:
    """A ledger of fifty entries under cosigned checkpoints."""
    for number in (20, 0, 13, 17):
        await world[POLICE].append(number)
        await world.tick()


async def test_checkpoints_go_out_on_the_timetable_and_are_cosigned_by_all_others(world: World) -> None:
    await _history(world)
    assert await _cosigned(world, 50) == set(OTHERS)
    async with world[FORENSICS].database.transaction(()) as session:
        seen = select(witnessed.c.size).where(witnessed.c.origin == origin_of(POLICE)).order_by(witnessed.c.size)
        assert list(await session.scalars(seen)) == [20, 33, 50]
        mine = select(cosignatures.c.witness).where(cosignatures.c.origin == origin_of(FORENSICS))
        assert len(set(await session.scalars(mine))) == 2
    assert await world.all_alarms() == {}


async def test_one_tick_is_published_once_however_many_processes_there_are(world: World) -> None:
    await world[POLICE].append(3)
    await world.tick(POLICE)
    assert await world[POLICE].publish(world.now) is None
    assert await world[POLICE].publish(world.now - timedelta(seconds=1)) is None


async def test_a_witness_keeps_what_it_saw_before_it_cosigns(world: World) -> None:
    await world[POLICE].append(3)
    await world.tick(POLICE, deliver=False)
    [published] = await world[POLICE].sent()
    await world.tell([FORENSICS], published)
    async with world[FORENSICS].database.transaction(()) as session:
        assert (await session.execute(select(witnessed))).one().size == 3
    assert [row.type for row in await world[FORENSICS].sent()] == ["pk.amanat.checkpoint-cosigned.v1"]


@pytest.mark.parametrize("table", ["witnessed", "witness_states"])
async def test_a_witness_that_could_not_keep_what_it_saw_says_no_cosignature(world: World, table: str) -> None:
    """The database refuses at the commit itself, after all was said that is said in that transaction."""
    await world[POLICE].append(3)
    await world.tick(POLICE, deliver=False)
    [published] = await world[POLICE].sent()
    forensics = world[FORENSICS]
    forensics.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'full'; END$$",
        f"CREATE CONSTRAINT TRIGGER refusing AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    try:
        with pytest.raises(DBAPIError, match="full"):
            await world.tell([FORENSICS], published)
        assert await forensics.sent() == []
    finally:
        forensics.sql("DROP FUNCTION refuse() CASCADE")
    await world.tell([FORENSICS], published)
    assert [row.type for row in await forensics.sent()] == ["pk.amanat.checkpoint-cosigned.v1"]


TAMPERINGS = {
    "the end is cut off": ("DELETE FROM ledger_leaves WHERE position >= 45", "DELETE FROM ledger_entries WHERE id > 45",
                           "DELETE FROM ledger_nodes WHERE (position + 1) << level > 45"),
    "a leaf is changed": ("UPDATE ledger_leaves SET hash = sha256(hash) WHERE position = 7",),
    "an entry is changed": ("UPDATE ledger_entries SET commitment = sha256(commitment) WHERE id = 8",),
    "entry and leaf are changed": ("UPDATE ledger_entries SET commitment = sha256(commitment) WHERE id = 8",
                                   "UPDATE ledger_leaves SET hash = sha256(hash) WHERE entry = 8"),
    "all is changed and computed anew": ("UPDATE ledger_entries SET commitment = sha256(commitment) WHERE id = 8",
                                         "TRUNCATE ledger_leaves, ledger_nodes, ledger_checkpoints"),
    "two entries change places": ("UPDATE ledger_leaves SET position = -1 WHERE position = 3",
                                  "UPDATE ledger_leaves SET position = 3 WHERE position = 4",
                                  "UPDATE ledger_leaves SET position = 4 WHERE position = -1"),
    "an entry is taken out": ("DELETE FROM ledger_entries WHERE id = 8",),
    "an entry and its leaf are taken out": ("DELETE FROM ledger_entries WHERE id = 8",
                                            "DELETE FROM ledger_leaves WHERE entry = 8"),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERINGS)
@pytest.mark.parametrize("grows", [0, 30])
async def test_a_rewritten_ledger_is_seen_by_both_others_at_the_next_checkpoint(
    world: World, how: str, grows: int
) -> None:
    await _history(world)
    world[POLICE].sql(*TAMPERINGS[how])
    if grows:
        await world[POLICE].append(grows)
    await world.tick(POLICE)
    for other in OTHERS:
        [(kind, of)] = await world[other].alarms()
        assert of == POLICE
        assert kind in {"fork", "rollback", "unlinked"}
    assert await _cosigned(world) == set()


async def test_a_database_restored_from_a_backup_is_seen(world: World) -> None:
    await world[POLICE].append(20)
    await world.tick()
    tables = ("ledger_entries", "ledger_leaves", "ledger_nodes", "ledger_checkpoints")
    world[POLICE].sql(*(f"CREATE TABLE backup_{table} AS TABLE {table}" for table in tables))
    try:
        await world[POLICE].append(20)
        await world.tick()
        world[POLICE].sql(f"TRUNCATE {', '.join(tables)}")
        world[POLICE].sql(
            "INSERT INTO ledger_entries OVERRIDING SYSTEM VALUE TABLE backup_ledger_entries",
            *(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE backup_{table}" for table in tables[1:]),
        )
        await world.tick(POLICE)
        assert {(kind, of) for other in OTHERS for kind, of in await world[other].alarms()} == {("rollback", POLICE)}
    finally:
        world[POLICE].sql(*(f"DROP TABLE backup_{table}" for table in tables))


async def test_two_views_shown_to_two_services_are_seen_by_both(world: World) -> None:
    await _history(world)
    police = world[POLICE]
    await police.append(1)
    await world.tick(POLICE, deliver=False)
    shown = await police.sent()
    other = Checkpoint(police.speaker.origin, 51, merkle.leaf_hash(b"another tree"))
    lie = CheckpointPublished(previous=50, parts=0, note=police.speaker.signer.sign_checkpoint(other))
    for row in shown:
        await world.tell([FORENSICS], row)
    # The second is one that begins to trust just now: it would even cosign the other tree.
    world[LEGAL].sql("TRUNCATE witness_states, witnessed")
    await world[LEGAL].hear(world.event(f"checkpoints.{POLICE}", lie.type, lie.body()), world.now)
    await world.deliver()
    await world.tick()
    for service in SERVICES:
        await world[service].watch(world.now)
    alarms = await world.all_alarms()
    assert ("shown_to_another", POLICE) in alarms[FORENSICS]
    assert ("shown_to_another", POLICE) in alarms[LEGAL]
    world.now += timedelta(seconds=2 * EVERY_S)
    await world[POLICE].watch(world.now)
    assert ("not_ours", POLICE) in (await world.all_alarms())[POLICE]


async def test_two_views_that_both_go_on_from_one_history_are_seen_at_the_next_checkpoint(world: World) -> None:
    await _history(world)
    police = world[POLICE]
    await police.append(1)
    await world.tick(POLICE, deliver=False)
    for row in await police.sent():
        await world.tell([FORENSICS], row)
    # The same instant again, with another last entry, for the other witness alone: to it, all is consistent.
    police.sql(
        "DELETE FROM ledger_checkpoints WHERE size = 51",
        "DELETE FROM ledger_nodes WHERE level > 0",
        "DELETE FROM ledger_entries WHERE id = (SELECT entry FROM ledger_leaves WHERE position = 50)",
        "DELETE FROM ledger_leaves WHERE position = 50",
    )
    await police.append(1)
    await police.publish(world.now)
    for row in await police.sent():
        await world.tell([LEGAL], row)
    await world.deliver()
    await world[LEGAL].watch(world.now)
    assert await world[LEGAL].alarms() == []
    await world.tick()
    await world[LEGAL].watch(world.now)
    assert ("shown_to_another", POLICE) in await world[LEGAL].alarms()


async def test_a_fork_stops_cosigning_until_an_operator_says_why(world: World) -> None:
    await _history(world)
    world[POLICE].sql("UPDATE ledger_entries SET commitment = sha256(commitment) WHERE id = 8")
    await world.tick(POLICE)
    await world[POLICE].append(5)
    await world.tick(POLICE)
    assert await _cosigned(world, 55) == set()
    assert await world[FORENSICS].acknowledge(POLICE, "the disk was restored") >= 1
    await world[POLICE].append(5)
    await world.tick(POLICE)
    assert await _cosigned(world, 60) == {FORENSICS}
    assert await world[FORENSICS].alarms() == []
    assert [kind for kind, _ in await world[LEGAL].alarms()][:1] == ["fork"]


@pytest.mark.parametrize("missing", ["the proof", "a checkpoint in between"])
async def test_a_checkpoint_that_cannot_be_linked_to_the_last_one_is_not_cosigned(world: World, missing: str) -> None:
    await _history(world)
    await world[POLICE].append(9)
    await world.tick(POLICE, deliver=False)
    shown = await world[POLICE].sent()
    assert len(shown) == 2
    if missing == "a checkpoint in between":
        await world[POLICE].append(9)
        await world.tick(POLICE, deliver=False)
        shown = await world[POLICE].sent()
    for row in shown[1 if missing == "the proof" else 0 :]:
        await world.tell([FORENSICS], row)
    assert await world[FORENSICS].alarms() == [("unlinked", POLICE)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"not json",
        {"referral": "*", "previous": 0, "parts": 0, "note": "x"},
        {"referral": "*", "previous": 0, "parts": 0, "note": "x" * 3000},
        {"referral": "P-7KQ2-M4XD-1", "previous": 0, "parts": 0, "note": "x"},
    ],
)
async def test_what_is_no_checkpoint_is_an_alarm_and_harms_nothing(world: World, body: bytes) -> None:
    await world[FORENSICS].hear(world.event(f"checkpoints.{POLICE}", CheckpointPublished.type, body), world.now)
    assert await world[FORENSICS].alarms() == [("bad_checkpoint", POLICE)]


async def test_one_service_cannot_speak_for_another(world: World) -> None:
    forged = Checkpoint(origin_of(POLICE), 1, bytes(32))
    note = world[LEGAL].speaker.signer.sign_checkpoint(forged)
    lie = CheckpointPublished(previous=0, parts=0, note=note)
    for topic in (f"checkpoints.{POLICE}", f"checkpoints.{LEGAL}"):
        await world[FORENSICS].hear(world.event(topic, lie.type, lie.body()), world.now)
    assert {kind for kind, _ in await world[FORENSICS].alarms()} == {"bad_checkpoint"}
    async with world[FORENSICS].database.transaction(()) as session:
        assert (await session.execute(select(witnessed))).all() == []


async def test_no_witness_can_put_a_tree_into_anothers_mouth(world: World) -> None:
    forged = Checkpoint(origin_of(POLICE), 7, bytes(32))
    liar = world[LEGAL].speaker.signer
    notes = (
        signed_note(forged.body(), [liar.cosign(forged, world.now)]),
        signed_note(forged.body(), [*split_note(liar.sign_checkpoint(forged))[1], liar.cosign(forged, world.now)]),
    )
    for note in notes:
        lie = CheckpointCosigned(note=note)
        await world[FORENSICS].hear(world.event(f"checkpoints.{LEGAL}", lie.type, lie.body()), world.now)
    world.now += timedelta(seconds=2 * EVERY_S)
    await world[FORENSICS].watch(world.now)
    assert {(kind, of) for kind, of in await world[FORENSICS].alarms() if kind != "silence"} == {
        ("bad_checkpoint", LEGAL)
    }


async def test_nothing_on_these_topics_is_longer_than_a_kilobyte_nor_says_more_than_hashes(world: World) -> None:
    await world[POLICE].append(1000)
    await world.tick(deliver=False)
    rows = await world[POLICE].sent()
    await world[POLICE].append(3000)
    await world.tick(deliver=False)
    rows += await world[POLICE].sent()
    assert max(len(row.body) for row in rows) <= LONGEST
    assert all(set(row.headers) <= {"ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time",
                                    "content-type"} for row in rows)  # fmt: skip
