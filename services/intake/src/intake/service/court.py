"""Court bundles: the court file of a case with its proofs, made, kept on record, and made again the same.

A bundle is never stored. What it was made of besides the case's own rows (the checkpoint, the cosignatures, what was
waiting then) is kept sealed, so that the same bundle can be made again until one of its entries is erased or changed.
"""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from amanat import ledger, verify
from amanat.categories import Agency, Category
from amanat.consent import own
from amanat.db import Database
from amanat.errors import NotFound
from amanat.ledger.entries import instant
from amanat.ledger.known import Ledgers
from amanat.ledger.proofs import witnessed
from amanat.looks import fetch
from amanat.principal import Principal
from intake.errors import BundleChanged, BundlesUnavailable, NothingWitnessed
from intake.repository import cases, consents, court
from intake.schemas import Body, ShortText
from intake.service import court_file, court_orders
from intake.service.court_index import render
from intake.service.court_stamp import stamp
from intake.service.instruments import Instruments
from intake.service.reading import keeper
from intake.service.sources import BUNDLES, CONSENT_EVENTS, SOURCES

PURPOSE = "court"
_SHOWN = [Category(each) for each in sorted(verify.SHOWN)]
_CONSENTS = f"{CONSENT_EVENTS.table.name}/"
# Two threads: at most two bundles are in memory, and the event loop goes on.
_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="court")
_Result = TypeVar("_Result")


class NewBundle(Body):
    """A bundle of a case's court file is asked for: on what basis, and for whom."""

    basis: Literal["court_order", "consent", "statutory_duty"]
    reference: ShortText = Field(description="of the order, the consent or the duty; kept sealed, and in the bundle")
    recipient: ShortText = Field(description="who gets it: the court, the prosecutor; kept sealed, and in the bundle")
    looks: bool = Field(default=False, description="who looked at the case: only where a court ordered it")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.looks and self.basis != "court_order":
            raise ValueError("who looked is shown only where a court ordered it")
        return self


class BundleMade(BaseModel):
    """A bundle that was made. `wrong` says what a verifier will reject, by its codes: a record that no longer matches
    its entry, say. It is made all the same: a court must see that."""

    case: str
    bundle: UUID
    made_at: datetime
    manifest_sha256: str
    entries: int
    waiting: int = Field(description="entries that no cosigned checkpoint holds yet, and that are only named")
    pdf: bool
    wrong: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Made:
    """A bundle, and what is kept of it."""

    answer: BundleMade
    packed: bytes
    row: dict[str, Any]
    sealed: bytes


async def look_at(database: Database, principal: Principal, code: str, now: datetime, instruments: Instruments) -> str:
    """The cell that keeps the case; that its file is looked at for a court, or the refusal, is committed before
    anything of it is opened. Raises NotFound."""
    rows = await fetch(
        database,
        tenants=principal.tenants,
        look=instruments.look(
            principal,
            tenant=await keeper(database, principal, code),
            code=code,
            purpose=PURPOSE,
            categories=_SHOWN,
            at=now,
        ),
        statement=court.case_statement(own(principal), principal.tenants, code),
    )
    if not rows:
        raise NotFound
    return str(rows[0].tenant)


async def make(
    database: Database, principal: Principal, code: str, body: NewBundle, now: datetime, instruments: Instruments
) -> Made:
    """Makes a bundle; nothing is kept of it until `keep`. Raises NotFound, NothingWitnessed, BundlesUnavailable."""
    signer, directory = instruments.bundle_signer, instruments.directory
    if signer is None or directory.bundles is None:
        raise BundlesUnavailable
    tenant = await look_at(database, principal, code, now, instruments)
    access, bundle_id = own(principal), instruments.new_id()
    async with database.transaction(principal.tenants) as session:
        checkpoint = await witnessed(session, Agency.INTAKE, Ledgers.of(directory))
        if checkpoint is None:
            raise NothingWitnessed
        rows = await court.read_entries(session, access, tenant, code, () if body.looks else verify.LOOK_KINDS)
        referrals = await consents.read_referrals(session, access, tenant, code)
        without_entry = await court.rows_without_entry(session, access, tenant, code)
        held = await court.read_rows(session, access, SOURCES, tenant, [row.source for row in rows])
        under = [row for row in rows if court_file.is_under(row, checkpoint.size)]
        nodes = await court_file.read_proof_nodes(session, under, checkpoint.size)
    cell, stamped = directory.cell(tenant), await stamp(instruments.timestamp_url, checkpoint.note.encode())
    frame: dict[str, Any] = {
        "format": verify.FORMAT,
        "bundle": str(bundle_id),
        "case": code,
        "cell": {"id": tenant, "name": {"en": tenant, "ur": tenant} if cell is None else cell.name.model_dump()},
        "made_at": instant(now),
        **body.model_dump(),
        "referrals": [],
        "waiting": [],
        "without_entry": without_entry,
        "untold": [],
        "size": checkpoint.size,
        "checkpoint": checkpoint.note,
        "cosignatures": "".join(f"{row.line}\n" for row in checkpoint.cosignatures),
        "keys": court_file.keys_of(directory),
        "stamp": None if stamped is None else base64.b64encode(stamped).decode(),
    }

    def assemble() -> tuple[bytes, dict[str, bytes]]:
        told = court_file.opened(rows, held, instruments.at_rest)
        gone = [*without_entry, *(str(row.source) for row in rows if court_file.is_lost(row))]
        unsure = any(name.startswith(_CONSENTS) for name in gone)
        untold = court_orders.untold(told, referrals, instruments.age_rules, now, unsure=unsure)
        told = [replace(each, untold=place in untold) for place, each in enumerate(told)]
        inside = [each for each in told if court_file.is_under(each.row, checkpoint.size)]
        shown = court_file.shown_of(inside)
        files = court_file.entries_of(shown, nodes, checkpoint.size)
        outside = [each for each in told if not court_file.is_under(each.row, checkpoint.size)]
        named = court_file.named_of(shown)
        frame["untold"] = [each.row.position for each in inside if each.untold]
        frame["waiting"] = court_file.waiting_of(each for each in outside if not court_file.is_lost(each.row))
        frame["without_entry"] = [
            *without_entry,
            *(court_file.name_of_lost(each) for each in outside if court_file.is_lost(each.row)),
        ]
        frame["referrals"] = [
            {"referral": row.code, "agency": row.agency, "organisation": row.organisation}
            for row in referrals
            if row.code in named
        ]
        pdf = render(frame, court_file.derived(files, frame))
        files = court_file.files_of(files, frame, pdf)
        files[verify.NOTE] = signer.sign(verify.note_of(signer.name, str(bundle_id), files[verify.MANIFEST])).encode()
        return verify.pack(files), files

    packed, files = await _aside(assemble)
    verdict = await _aside(lambda: verify.verify(packed))
    digest = hashlib.sha256(files[verify.MANIFEST]).digest()
    entries = sum(name.startswith("entries/") for name in files)
    answer = BundleMade(
        case=code,
        bundle=bundle_id,
        made_at=now,
        manifest_sha256=digest.hex(),
        entries=entries,
        waiting=len(frame["waiting"]),
        pdf=verify.PDF in files,
        wrong=tuple({"code": each.code, **each.told} for each in verdict.wrong),
    )
    kept = {
        "frame": frame,
        "note": files[verify.NOTE].decode(),
        "entries": entries,
        "wrong": list(answer.wrong),
    }
    sealed = json.dumps(kept, ensure_ascii=False).encode()
    seal, pdf = instruments.at_rest.seal, files.get(verify.PDF)
    row = {
        "id": bundle_id,
        "tenant": tenant,
        "case_code": code,
        "asked_by": principal.subject,
        "client": principal.client,
        "token_id": principal.token_id,
        "basis": body.basis,
        "with_looks": body.looks,
        "manifest": digest,
        "sealed": seal(sealed, **BUNDLES.at("sealed", bundle_id, tenant, code)),
        "pdf_sealed": None if pdf is None else seal(pdf, **BUNDLES.at("pdf_sealed", bundle_id, tenant, code)),
        "at": now,
    }
    return Made(answer, packed, row, sealed)


async def keep(session: AsyncSession, made: Made, instruments: Instruments) -> BundleMade:
    """Puts a bundle on record: a row, a line of the case's timeline, an entry of the ledger. Raises NotFound."""
    row = made.row
    tenant, code, at = row["tenant"], row["case_code"], row["at"]
    if await cases.lock_case(session, [tenant], code) is None:
        raise NotFound
    await court.add_bundle(session, row)
    told = {"bundle": str(row["id"]), "basis": row["basis"], "looks": row["with_looks"]}
    entry = {"at": at, "kind": "bundle_made", "agency": None, "organisation": None, "referral": None, "detail": told}
    await cases.add_timeline(session, tenant, code, [entry])
    await cases.touch_case(session, tenant, code)
    said = {**told, "manifest": row["manifest"].hex()}
    statement = BUNDLES.statement("bundle_made", code, at, row, {"sealed": made.sealed}, **said)
    await ledger.enter(session, [statement], instruments.at_rest, instruments.randomness)
    return made.answer


async def made_before(
    session: AsyncSession, principal: Principal, code: str, bundle: UUID, instruments: Instruments
) -> BundleMade:
    """The answer to the request that made a bundle, made anew. Raises NotFound."""
    row = await court.read_bundle(session, own(principal), principal.cells, code, bundle)
    if row is None:
        raise NotFound
    kept = _kept(row, instruments)
    return BundleMade(
        case=code,
        bundle=row.id,
        made_at=row.at,
        manifest_sha256=bytes(row.manifest).hex(),
        entries=kept["entries"],
        waiting=len(kept["frame"]["waiting"]),
        pdf=row.pdf_sealed is not None,
        wrong=tuple(kept["wrong"]),
    )


async def give(
    database: Database, principal: Principal, code: str, bundle: UUID, now: datetime, instruments: Instruments
) -> bytes:
    """The bundle, to the byte as it was made; the look is on record first. Raises NotFound, BundleChanged."""
    tenant, access = await look_at(database, principal, code, now, instruments), own(principal)
    async with database.transaction(principal.tenants) as session:
        row = await court.read_bundle(session, access, [tenant], code, bundle)
        if row is None:
            raise NotFound
        kept = _kept(row, instruments)
        frame = kept["frame"]
        if "untold" not in frame:
            raise BundleChanged  # made before orders were left out in full
        rows = await court.read_entries(session, access, tenant, code, () if frame["looks"] else verify.LOOK_KINDS)
        under = [each for each in rows if court_file.is_under(each, frame["size"])]
        held = await court.read_rows(session, access, SOURCES, tenant, [each.source for each in under])
        nodes = await court_file.read_proof_nodes(session, under, frame["size"])
    place = BUNDLES.at("pdf_sealed", row.id, row.tenant, row.case_code)
    pdf = None if row.pdf_sealed is None else instruments.at_rest.open(row.pdf_sealed, **place)

    def assemble() -> bytes:
        # What was left out then: a consent of since, or another age, must not change a bundle that was made.
        untold = frozenset(frame["untold"])
        told = [
            replace(each, untold=each.row.position in untold)
            for each in court_file.opened(under, held, instruments.at_rest)
        ]
        files = court_file.files_of(court_file.entries_of(court_file.shown_of(told), nodes, frame["size"]), frame, pdf)
        if hashlib.sha256(files[verify.MANIFEST]).digest() != bytes(row.manifest):
            raise BundleChanged
        return verify.pack({**files, verify.NOTE: kept["note"].encode()})

    return await _aside(assemble)


def _kept(row: Any, instruments: Instruments) -> Mapping[str, Any]:
    kept: Mapping[str, Any] = json.loads(
        instruments.at_rest.open(row.sealed, **BUNDLES.at("sealed", row.id, row.tenant, row.case_code))
    )
    return kept


async def _aside(work: Callable[[], _Result]) -> _Result:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
