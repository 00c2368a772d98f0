"""Proofs over HTTP: against published trees alone, of one's own entries alone, and of hashes alone."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, select, text

from amanat.agency.testing import World
from amanat.ledger import checkpoints, nodes
from amanat.ledger.checkpoints import Speaker
from amanat.merkle import verify_consistency, verify_inclusion
from amanat.notes import Checkpoint, NoteSigner, NoteVerifier, split_note
from amanat.tables import cosignatures, ledger_entries, ledger_leaves

SADDAR, CLIFTON = "station-saddar", "station-clifton"
KEY = Ed25519PrivateKey.generate()
SPEAKER = Speaker("police-link", NoteSigner(KEY, "amanat.test/police-link"), uuid4)


async def ask(police: World, path: str, organisation: str = SADDAR, **query: Any) -> Any:
    async with police.client(organisation) as officer:
        return await officer.get(f"/v1/ledger/{path}", params=query)


async def looks(police: World, organisation: str, number: int) -> None:
    """Refused looks: each is an entry of the organisation's."""
    async with police.client(organisation) as officer:
        for _ in range(number):
            await officer.get(f"/v1/referrals/{police.gate.code()}")


async def publish(police: World) -> Checkpoint:
    made = await checkpoints.publish(police.worker, SPEAKER, datetime.now(UTC), 600)
    assert made is not None
    return made


def tree_of(shown: Any) -> Checkpoint:
    """The checkpoint that an answer rests on, its signature verified."""
    return NoteVerifier(KEY.public_key(), SPEAKER.origin).checkpoint(shown["note"])


def hashes(proof: list[str]) -> list[bytes]:
    return [base64.b64decode(each) for each in proof]


async def test_before_the_first_checkpoint_there_is_nothing_to_prove(police: World) -> None:
    await looks(police, SADDAR, 1)
    for path in ("checkpoint", "inclusion/0", "consistency"):
        assert (await ask(police, path)).status_code == 404


async def test_a_quiet_ledger_shows_that_it_was_published_again_by_the_time_alone(police: World) -> None:
    await looks(police, SADDAR, 1)
    await publish(police)
    first = (await ask(police, "checkpoint")).json()
    again = await publish(police)
    second = (await ask(police, "checkpoint")).json()
    assert (second["note"], second["size"]) == (first["note"], first["size"])
    assert tree_of(second) == again
    assert datetime.fromisoformat(second["published_at"]) > datetime.fromisoformat(first["published_at"])


async def test_an_entry_of_ones_own_is_proven_and_anothers_is_as_if_it_never_was(police: World) -> None:
    await looks(police, SADDAR, 5)
    await looks(police, CLIFTON, 3)
    await publish(police)
    async with police.worker.transaction(()) as session:
        leaves = select(ledger_leaves.c.position, ledger_entries.c.tenant).join(
            ledger_entries, ledger_entries.c.id == ledger_leaves.c.entry
        )
        owner = {row.position: row.tenant for row in await session.execute(leaves)}
    assert len(owner) == 8
    answers = {}
    for position, tenant in owner.items():
        for organisation in (SADDAR, CLIFTON):
            answer = await ask(police, f"inclusion/{position}", organisation)
            assert answer.status_code == (200 if organisation == tenant else 404)
            if organisation != tenant:
                answers["foreign"] = {k: v for k, v in answer.json().items() if k != "trace_id"}
                continue
            shown = answer.json()
            tree = tree_of(shown["checkpoint"])
            leaf = base64.b64decode(shown["leaf"])
            assert verify_inclusion(leaf, position, tree.size, hashes(shown["proof"]), tree.root)
    never = await ask(police, "inclusion/999999")
    assert {k: v for k, v in never.json().items() if k != "trace_id"} == answers["foreign"]


async def test_one_published_tree_is_shown_to_begin_with_another_and_no_unpublished_one_is(police: World) -> None:
    sizes = []
    for number in (3, 4, 6):
        await looks(police, SADDAR, number)
        sizes.append((await publish(police)).size)
    assert sizes == [3, 7, 13]
    for first, second in ((3, 7), (3, 13), (7, 13), (13, 13)):
        shown = (await ask(police, "consistency", first=first, second=second)).json()
        earlier, later = tree_of(shown["first"]), tree_of(shown["second"])
        assert (earlier.size, later.size) == (first, second)
        assert verify_consistency(first, second, hashes(shown["proof"]), earlier.root, later.root)
    whole = (await ask(police, "consistency")).json()
    assert (whole["first"]["size"], whole["second"]["size"]) == (3, 13)
    for first, second in ((4, 13), (3, 8), (13, 3)):
        assert (await ask(police, "consistency", first=first, second=second)).status_code == 404


@pytest.mark.parametrize(
    "damage", ["DELETE FROM ledger_nodes WHERE level = 1", "UPDATE ledger_nodes SET hash = sha256(hash)"]
)
@pytest.mark.parametrize("path", ["inclusion/0", "consistency"])
async def test_a_damaged_tree_proves_nothing_rather_than_something_false_until_it_is_mended(
    police: World, path: str, damage: str
) -> None:
    await looks(police, SADDAR, 6)
    await publish(police)
    await looks(police, SADDAR, 5)
    await publish(police)
    async with police.worker.transaction(()) as session:
        await session.execute(text(damage))
    answer = await ask(police, path)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "proof-unavailable"
    assert int(answer.headers["retry-after"]) > 0
    await nodes.rebuild(police.worker)
    assert (await ask(police, path)).status_code == 200


async def test_a_checkpoint_is_shown_with_who_cosigned_it(police: World) -> None:
    await looks(police, SADDAR, 2)
    made = await publish(police)
    witness = NoteSigner(Ed25519PrivateKey.generate(), "amanat.test/forensics")
    now = datetime.now(UTC)
    row = {"origin": made.origin, "size": made.size, "root": made.root, "witness": witness.name,
           "line": witness.cosign(made, now), "cosigned_at": now, "received_at": now}  # fmt: skip
    async with police.worker.transaction(()) as session:
        await session.execute(insert(cosignatures).values(row))
    shown = (await ask(police, "checkpoint", size=2)).json()
    assert tree_of(shown) == made
    assert [each["witness"] for each in shown["cosignatures"]] == [witness.name]
    assert split_note(shown["note"])[0] == made.body()


@pytest.mark.parametrize(
    ("path", "query"),
    [("inclusion/-1", {}), ("inclusion/x", {}), (f"inclusion/{2**63}", {}), ("checkpoint", {"size": -1})],
)
async def test_what_is_no_position_or_size_is_refused_clearly(police: World, path: str, query: dict[str, int]) -> None:
    answer = await ask(police, path, **query)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
