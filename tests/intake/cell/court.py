"""A little case with all that a court's file can hold, under a checkpoint that another service cosigned."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import insert

from amanat import verify
from amanat.contracts.custody import KitReceived, KitReleased
from amanat.contracts.forensics import KitReported
from amanat.contracts.police_link import FirRegistered
from amanat.contracts.records import RECORDS
from amanat.contracts.records.custody import Counterpart
from amanat.ledger import checkpoints
from amanat.ledger.checkpoints import Speaker
from amanat.notes import Checkpoint, NoteSigner
from amanat.tables import cosignatures
from amanat_local.directory import ORIGINS
from amanat_local.postgres import Postgres

from .world import FORENSICS, KARACHI, LAB, POLICE, SADDAR, World, consent

KIT = "KIT-000123"
SECRETS = {
    "care": "Canary-Care-77120", "hiv": "Canary-Hiv-77121", "counselling": "Canary-Counselling-77122",
    "contact": "Canary-Contact-77123", "imagery": "Canary-Imagery-77124", "finding": "Canary-Finding-77125",
    "guardian": "Canary-Guardian-77126", "medication": "Canary-Medication-77127", "reason": "Canary-Reason-77128",
    "treatment": "Canary-Treatment-77129",
}  # fmt: skip
"""What no bundle may ever show."""
OPINION = "Findings agree with recent force"
ORDER = {"basis": "court_order", "reference": "Order 12 of 2026", "recipient": "The Special Court, Karachi"}


def key_of(world: World, service: str) -> Ed25519PrivateKey:
    key = load_pem_private_key(world.keys.ledger(service).read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


@dataclass
class Court:
    """A case ready for court, and who may do anything to the cell's database."""

    world: World
    postgres: Postgres
    case: str
    referrals: Mapping[str, str]

    def sql(self, *statements: str) -> str:
        return self.postgres.sql("intake", *statements)

    async def ask(
        self, body: Mapping[str, Any] = ORDER, *, key: str = "", cell: str = KARACHI, role: str = "cell_records"
    ) -> httpx.Response:
        async with self.world.keeper(cell, role) as client:
            return await client.post(
                f"/v1/cases/{self.case}/bundles", json=body, headers={"Idempotency-Key": key or str(uuid4())}
            )

    async def made(self, body: Mapping[str, Any] = ORDER) -> tuple[dict[str, Any], bytes]:
        """A bundle's answer and its bytes."""
        answer = await self.ask(body)
        assert answer.status_code == 201, answer.text
        return answer.json(), await self.read(answer.headers["Location"])

    async def read(self, location: str) -> bytes:
        async with self.world.keeper() as client:
            answer = await client.get(location)
        assert answer.status_code == 200, answer.text
        return answer.content

    @property
    def trusted(self) -> verify.Keys:
        return verify.Keys.read("--keys", self.world.keys.directory_file.read_bytes(), spelt_once=False)

    async def checkpoint(self, *witnesses: str) -> Checkpoint:
        """Sequences, publishes, and has the checkpoint cosigned."""
        return await checkpoint(self.world, *witnesses)


async def checkpoint(world: World, *witnesses: str) -> Checkpoint:
    speaker = Speaker("intake", NoteSigner(key_of(world, "intake"), f"{ORIGINS}/intake"), uuid4)
    world.now = max(world.now + timedelta(seconds=1), datetime.now(UTC))
    done = await checkpoints.publish(world.gate, speaker, world.now, 600)
    assert done is not None
    for each in witnesses or ("police-link", "forensics"):
        name = f"{ORIGINS}/{each}"
        line = NoteSigner(key_of(world, each), name).cosign(done, world.now)
        row = {"origin": done.origin, "size": done.size, "root": done.root, "witness": name, "line": line,
               "cosigned_at": world.now, "received_at": world.now}  # fmt: skip
        async with world.gate.transaction(()) as session:
            await session.execute(insert(cosignatures).values(row))
    return done


def half(agency: str, organisation: str, **more: Any) -> Any:
    at = datetime.now(UTC)
    return RECORDS["custody_half"](counterpart=Counterpart(agency=agency, organisation=organisation), at=at, **more)


async def story(world: World, postgres: Postgres) -> Court:
    """Consents, one withdrawn; an examination, corrected; a kit that goes to the laboratory with one gap; a FIR and a
    laboratory's report; and of everything withheld a canary."""
    told = {
        "examination": {"examiner_name": "WMLO Invented", "opinion": OPINION, "opinion_reasons": "fresh abrasions",
                        "injuries": [{"site": "left wrist", "type": "abrasion"}], "washed": False,
                        "treatment": SECRETS["treatment"], "hiv_test": "reactive",
                        "medication": [SECRETS["medication"]]},
        "care": {"notes": SECRETS["care"]},
        "counselling": {"notes": SECRETS["counselling"]},
        "contact": {"number": SECRETS["contact"]},
        "images": [{"description": SECRETS["imagery"], "sha256": "a" * 64}],
        "digital": [{"description": "a message", "sha256": "b" * 64}],
    }  # fmt: skip
    unsafe = {"guardian_unsafe": True, "reason": SECRETS["guardian"]}
    case, referrals = await world.open_case(
        consent(POLICE, "incident", "identity", "investigation"),
        consent(FORENSICS, "incident", "examination", safety_finding=unsafe),
        **told,
    )
    court = Court(world, postgres, case, referrals)
    assert (await world.post(f"/v1/cases/{case}/kits", {"barcode": KIT})).status_code == 201
    to_saddar = {"counterpart": {"agency": "police-link", "organisation": SADDAR}, "seal_number": "S-1",
                 "temperature_c": 4.5, "person_name": "Constable Invented"}  # fmt: skip
    assert (await world.post(f"/v1/kits/{KIT}/release", to_saddar)).status_code == 201
    police, lab = referrals[POLICE], referrals[FORENSICS]
    taken = half("intake", KARACHI, seal_number="S-1")
    await world.fact(POLICE, KitReceived(referral=police, barcode=KIT, half=taken))
    await world.fact(POLICE, KitReleased(referral=police, barcode=KIT, half=half("forensics", LAB, seal_number="S-1")))
    broken = half("police-link", SADDAR, seal_intact=False, seal_number="S-2", accepted=True)
    await world.fact(FORENSICS, KitReceived(referral=lab, barcode=KIT, half=broken))
    fir = RECORDS["fir"](fir_number="77/2026", police_station="Saddar", sections=("376 PPC",))
    await world.fact(POLICE, FirRegistered(referral=police, record=fir))
    report = RECORDS["laboratory_report"](
        report_number="LAB-9", conclusion="profile obtained", hiv_finding=SECRETS["finding"]
    )
    await world.fact(FORENSICS, KitReported(referral=lab, barcode=KIT, record=report))
    await correct(world, case, "opinion", "no force can be told of", "a slip of the pen")
    await correct(world, case, "hiv_test", "non_reactive", SECRETS["reason"])
    assert (await world.withdraw(case, await world.consent_of(case, FORENSICS))).status_code == 200
    assert await world.parked() == []
    await world.leased(POLICE, police)
    await court.checkpoint()
    return court


async def correct(world: World, case: str, name: str, value: Any, reason: str) -> None:
    """The newest examination, with one field written anew."""
    read = await world.get(f"/v1/cases/{case}")
    newest = [each for each in read.json()["records"] if each["kind"] == "examination"][-1]
    body = {"kind": "examination", "record": {**newest["content"], name: value}, "corrects": newest["record"],
            "reason": reason}  # fmt: skip
    added = await world.post(f"/v1/cases/{case}/records", body, If_Match=read.headers["etag"])
    assert added.status_code == 201, added.text


def forged(packed: bytes, change: Callable[[dict[str, bytes]], None], signer: NoteSigner) -> bytes:
    """The bundle after a change of its files, its manifest made and signed anew by whoever has a key."""
    files = verify.unpack(packed)
    change(files)
    manifest = json.loads(files[verify.MANIFEST])
    files[verify.MANIFEST] = verify.manifest_of(files, {**manifest, "cell": {"id": manifest["cell"]}})
    files[verify.NOTE] = signer.sign(verify.note_of(signer.name, manifest["bundle"], files[verify.MANIFEST])).encode()
    return verify.pack(files)


def edited(files: dict[str, bytes], name: str, change: Callable[[Any], None]) -> None:
    """One of its JSON files, changed and in its one spelling again."""
    document = json.loads(files[name])
    change(document)
    files[name] = verify.canonical(document)


def page(packed: bytes, name: str) -> Any:
    """One of its JSON files."""
    return json.loads(verify.unpack(packed)[name])


def codes(said: list[verify.Said]) -> list[str]:
    return [each.code for each in said]
