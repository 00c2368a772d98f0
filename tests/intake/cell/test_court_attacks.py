"""Nothing of a bundle can be changed unseen: by chance, by a stranger, by another service, or by whoever has the cell's
own bundle key."""

from __future__ import annotations

import base64
import json
import os
import random
from collections.abc import Callable

import pytest
from counting import Count
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from amanat import verify
from amanat.notes import Checkpoint, NoteSigner
from amanat_local.directory import ORIGINS
from amanat_local.postgres import Postgres

from .attacking import BY_WHO_SIGNS, Files, entry_names
from .court import ORDER, Court, codes, edited, forged, key_of, page, story
from .world import World

pytestmark = pytest.mark.attack

BYTES, ATTACKS = 500, 220


@pytest.fixture
async def court(world: World, migrated: Callable[[str, str], Postgres]) -> Court:
    return await story(world, migrated("intake", "intake"))


@pytest.fixture
def chance() -> random.Random:
    """By a seed that a failure shows."""
    seed = int(os.environ.get("AMANAT_SEED") or random.SystemRandom().randrange(2**32))
    print(f"AMANAT_SEED={seed}")  # noqa: T201 - pytest shows it when the test fails
    return random.Random(seed)


async def test_five_hundred_random_bytes_changed_are_five_hundred_bundles_rejected(
    court: Court, chance: random.Random, count: Count
) -> None:
    _, packed = await court.made()
    assert verify.verify(packed).proven
    for _ in range(BYTES):
        at, by = chance.randrange(len(packed)), chance.randrange(1, 256)
        changed = packed[:at] + bytes([packed[at] ^ by]) + packed[at + 1 :]
        assert not verify.verify(changed).proven, (at, by)
    count("changed bundles", BYTES)


async def test_a_byte_changed_under_a_right_checksum_is_rejected_all_the_same(
    court: Court, chance: random.Random, count: Count
) -> None:
    """The container is made anew around it, so that nothing but hashes and signatures can find it."""
    _, packed = await court.made()
    files = verify.unpack(packed)
    for _ in range(BYTES):
        name = chance.choice(sorted(files))
        at = chance.randrange(len(files[name]))
        changed = bytearray(files[name])
        changed[at] ^= chance.randrange(1, 256)
        assert not verify.verify(verify.pack({**files, name: bytes(changed)})).proven, (name, at)
    count("changed bundles", BYTES)


async def test_bytes_lost_put_in_or_behind_are_rejected(court: Court, chance: random.Random) -> None:
    _, packed = await court.made()
    for _ in range(60):
        at = chance.randrange(len(packed))
        for changed in (
            packed[:at],
            packed[at:],
            packed[:at] + b"\0" + packed[at:],
            packed + packed[:at],
            b"PK" + packed,
        ):
            if changed != packed:
                assert not verify.verify(changed).proven, at


async def test_whoever_has_the_cells_bundle_key_cannot_make_another_bundle_of_it(
    court: Court, chance: random.Random, count: Count
) -> None:
    _, packed = await court.made()
    signer, trusted = court.world.instruments.bundle_signer, court.trusted
    assert signer is not None
    assert verify.verify(forged(packed, lambda _: None, signer), trusted).proven
    found: set[str] = set()
    for number in range(ATTACKS):
        attack = BY_WHO_SIGNS[number % len(BY_WHO_SIGNS)]
        verdict = verify.verify(forged(packed, lambda files, by=attack: by(files, chance), signer), trusted)  # type: ignore[misc]  # a default holds the loop's value
        assert not verdict.proven, attack.__name__
        assert verify.report(verdict).startswith("REJECTED")
        found |= set(codes(verdict.wrong))
    assert {
        "part",
        "changed",
        "page",
        "not_in_tree",
        "malformed",
        "files",
        "withheld_is_shown",
        "erased_by_nobody",
    } < found
    count("bundles forged with the cell's own key", ATTACKS)


async def test_a_manifest_signed_by_another_key_is_rejected(court: Court) -> None:
    _, packed = await court.made()
    mine = Ed25519PrivateKey.generate()
    for name in (f"{ORIGINS}/bundles", "somebody/bundles", f"{ORIGINS}/intake"):
        again = forged(packed, lambda _: None, NoteSigner(mine, name))
        assert not verify.verify(again).proven
        assert not verify.verify(again, court.trusted).proven
    files = verify.unpack(packed)
    edited(files, verify.INDEX, lambda index: index.update(recipient="somebody else"))
    manifest = json.loads(files[verify.MANIFEST])
    files[verify.MANIFEST] = verify.manifest_of(files, {**manifest, "cell": {"id": manifest["cell"]}})
    assert codes(verify.verify(verify.pack(files)).wrong) == ["manifest_note"]  # under the signature of the honest one
    for service in ("intake", "police-link"):
        ledgers = forged(packed, lambda _: None, NoteSigner(key_of(court.world, service), f"{ORIGINS}/{service}"))
        assert not verify.verify(ledgers, court.trusted).proven

    def put_mine_in(files: Files) -> None:
        public = base64.b64encode(mine.public_key().public_bytes_raw()).decode()
        edited(files, verify.KEYS, lambda keys: keys["bundles"]["keys"][0].update(public_key=public))

    again = forged(packed, put_mine_in, NoteSigner(mine, f"{ORIGINS}/bundles"))
    assert codes(verify.verify(again, court.trusted).wrong) == ["other_keys"]
    # Without --keys this cannot be found: the verifier says so, and shows fingerprints to compare.
    alone = verify.verify(again)
    assert "keys_of_the_bundle" in codes(alone.not_proved)


async def test_an_older_checkpoint_and_a_forged_cosignature_are_rejected(court: Court) -> None:
    older = court.sql("SELECT note FROM ledger_checkpoints ORDER BY published_at LIMIT 1")
    await court.world.post(f"/v1/cases/{court.case}/records", {"kind": "incident", "record": {"history": "more"}})
    newest = await court.checkpoint()
    _, packed = await court.made()
    signer = court.world.instruments.bundle_signer
    assert signer is not None
    trusted, at = court.trusted, court.world.now
    mine = NoteSigner(Ed25519PrivateKey.generate(), f"{ORIGINS}/forensics")
    own = NoteSigner(key_of(court.world, "intake"), f"{ORIGINS}/intake")
    police = NoteSigner(key_of(court.world, "police-link"), f"{ORIGINS}/police-link")
    other_tree = Checkpoint(newest.origin, newest.size, bytes(32))
    lies: dict[str, tuple[str, str]] = {
        "stale": (verify.CHECKPOINT, older.strip("\n") + "\n"),
        "signed by the bundle key": (
            verify.CHECKPOINT, NoteSigner(signer._key, newest.origin).sign_checkpoint(newest),
        ),
        "another ledger's": (
            verify.CHECKPOINT, police.sign_checkpoint(Checkpoint(police.name, newest.size, newest.root)),
        ),
        "another's in the cell's name": (
            verify.CHECKPOINT, NoteSigner(key_of(court.world, "police-link"), newest.origin).sign_checkpoint(newest),
        ),
        "a witness that is none": (verify.COSIGNATURES, mine.cosign(newest, at) + "\n"),
        "the cell itself": (verify.COSIGNATURES, own.cosign(newest, at) + "\n"),
        "another tree": (verify.COSIGNATURES, police.cosign(other_tree, at) + "\n"),
        "a note for a cosignature": (
            verify.COSIGNATURES, police.sign_checkpoint(newest).rsplit("\n\n", 1)[1],
        ),
    }  # fmt: skip
    for what, (name, text) in lies.items():
        told = forged(packed, lambda files, put=(name, text): files.update({put[0]: put[1].encode()}), signer)  # type: ignore[misc]  # a default holds the loop's value
        assert not verify.verify(told, trusted).proven, what
    honest = forged(
        packed, lambda files: files.update({verify.COSIGNATURES: (police.cosign(newest, at) + "\n").encode()}), signer
    )
    assert verify.verify(honest, trusted).proven


async def test_an_entry_of_another_case_under_the_same_checkpoint_is_rejected(
    court: Court, chance: random.Random
) -> None:
    other, _ = await court.world.open_case(incident={"history": "another woman's"})
    await court.checkpoint()
    _, packed = await court.made()
    theirs = Court(court.world, court.postgres, other, {})
    _, foreign = await theirs.made()
    assert b"another woman" in foreign
    signer = court.world.instruments.bundle_signer
    assert signer is not None
    strangers = verify.unpack(foreign)
    for name in entry_names(strangers):

        def put_in(files: Files, name: str = name) -> None:
            files[name] = strangers[name]

        verdict = verify.verify(forged(packed, put_in, signer), court.trusted)
        assert "other_case" in codes(verdict.wrong)
    assert page(packed, verify.INDEX)["case"] != page(foreign, verify.INDEX)["case"]


async def test_a_look_put_into_a_bundle_without_an_order_is_rejected(court: Court) -> None:
    _, ordered = await court.made({**ORDER, "looks": True})
    _, packed = await court.made()
    looks = verify.unpack(ordered)
    signer = court.world.instruments.bundle_signer
    assert signer is not None
    for each in page(ordered, verify.LOOKS)["looks"]:
        name = f"entries/{each['entry']:012d}.json"

        def put_in(files: Files, name: str = name) -> None:
            files[name] = looks[name]

        assert "looks_not_ordered" in codes(verify.verify(forged(packed, put_in, signer), court.trusted).wrong)


async def test_keys_that_say_more_than_keys_are_rejected(court: Court) -> None:
    _, packed = await court.made()
    signer = court.world.instruments.bundle_signer
    assert signer is not None

    def more(files: Files) -> None:
        edited(files, verify.KEYS, lambda keys: keys.update(more=1))

    assert codes(verify.verify(forged(packed, more, signer), court.trusted).wrong) == ["malformed"]
