"""`python -m bench.bundle`: how long a court bundle of 200 entries takes to verify, and how large it is.

The bundle is made in memory by the cell's own code, from sealed rows as its tables hold them; its ledger has 50,000
entries, so that proofs are as long as a year's. Nothing runs beside it.
"""

from __future__ import annotations

import argparse
import base64
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console

from amanat import ledger, merkle, verify
from amanat.at_rest import AtRest
from amanat.contracts.records import CustodyHalf, Examination
from amanat.contracts.records.examination import Injury
from amanat.ledger import Source
from amanat.ledger.entries import instant
from amanat.notes import Checkpoint, NoteSigner
from bench.figures import total_memory
from intake.service import court_file
from intake.service.sources import CONSENT_EVENTS, HALVES, RECORDS_OF_CASES

CASE, CELL, KIT, ORIGIN = "C-0000-0000-0", "arcc-karachi", "KIT-000001", "amanat.bench"
AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
SERVICES = ("intake", "police-link", "forensics", "legal-aid")
LONG = "She told of a street, and of two men. " * 20
MOST_S = 2.0
"""What a court may have to wait."""


@dataclass(frozen=True)
class Bundle:
    """One that was made, and who signed what of it."""

    packed: bytes
    keys: verify.Keys
    signers: Mapping[str, NoteSigner]
    files: Mapping[str, bytes]


def main() -> None:
    """Measures, prints, and appends a section to bench/README.md. Exit status 1 when it takes longer than it may."""
    parser = argparse.ArgumentParser(prog="bench.bundle")
    parser.add_argument("--entries", type=int, default=200)
    parser.add_argument("--times", type=int, default=9)
    parser.add_argument("--save", type=Path, default=Path(__file__).with_name("README.md"))
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    made = make(asked.entries, leaves=50_000)
    took, alone = [], []
    for _ in range(max(5, asked.times)):
        began = time.perf_counter()
        assert verify.verify(made.packed, made.keys).proven
        took.append(time.perf_counter() - began)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bundle.zip"
        path.write_bytes(made.packed)
        for _ in range(5):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-I", verify.__file__, path, "--json"], check=True, capture_output=True)
            alone.append(time.perf_counter() - began)
    text = report(asked.entries, load, len(made.packed), took, alone)
    Console(highlight=False).print(text, markup=False)
    with asked.save.open("a") as saved:
        saved.write(text)
    if statistics.median(alone) > MOST_S:
        raise SystemExit(1)


def make(number: int, *, leaves: int = 1000) -> Bundle:
    """A bundle of so many entries in a ledger of so many leaves."""
    at_rest, signers = AtRest({0: os.urandom(32)}), {name: _signer(name) for name in (*SERVICES, "bundles")}
    held: dict[str, Mapping[str, Any]] = {}
    statements = [_statement(each, at_rest, held) for each in range(number)]
    entries = [ledger.entry(each, at_rest, os.urandom) for each in statements]
    apart = max(1, leaves // number)
    rows = [
        SimpleNamespace(position=place * apart, hash=each.commitment, **vars(each))
        for place, each in enumerate(entries)
    ]
    hashes = [os.urandom(32) for _ in range(max(leaves, number))]
    for row in rows:
        hashes[row.position] = row.hash
    nodes = merkle.complete_nodes(0, hashes, {}) | {(0, place): leaf for place, leaf in enumerate(hashes)}
    size = len(hashes)
    checkpoint = Checkpoint(f"{ORIGIN}/intake", size, merkle.root_of(size, nodes))
    lines = [signers[name].cosign(checkpoint, AT) for name in sorted(SERVICES) if name != "intake"]
    frame = frame_of(signers, checkpoint, lines)
    told = court_file.opened(rows, held, at_rest)  # type: ignore[arg-type]  # rows as SQLAlchemy gives them
    shown = court_file.entries_of(court_file.shown_of(told), nodes, size)
    files = court_file.files_of(shown, frame, os.urandom(50_000))
    signed = verify.note_of(f"{ORIGIN}/bundles", frame["bundle"], files[verify.MANIFEST])
    files[verify.NOTE] = signers["bundles"].sign(signed).encode()
    keys = verify.Keys.read(verify.KEYS, files[verify.KEYS], spelt_once=True)
    return Bundle(verify.pack(files), keys, signers, files)


def frame_of(signers: Mapping[str, NoteSigner], checkpoint: Checkpoint, lines: list[str]) -> dict[str, Any]:
    """What a bundle is made of besides its entries."""
    return {
        "format": verify.FORMAT,
        "bundle": str(uuid4()),
        "case": CASE,
        "cell": {"id": CELL, "name": {"en": "Crisis Cell, Karachi", "ur": "کرائسس سیل، کراچی"}},
        "made_at": instant(AT),
        "basis": "court_order",
        "reference": "Order 12 of 2026",
        "recipient": "The Special Court",
        "looks": False,
        "referrals": [],
        "waiting": [],
        "without_entry": [],
        "size": checkpoint.size,
        "checkpoint": signers["intake"].sign_checkpoint(checkpoint),
        "cosignatures": "".join(f"{line}\n" for line in lines),
        "stamp": None,
        "keys": {
            "ledgers": {name: _listed(signers[name]) for name in SERVICES},
            "bundles": _listed(signers["bundles"]),
        },
    }


def _statement(number: int, at_rest: AtRest, held: dict[str, Mapping[str, Any]]) -> ledger.Statement:
    """One of several kinds in turns; its row goes into `held`."""
    at = AT + timedelta(minutes=number)
    if number == 0:
        return ledger.Statement(CELL, "kit_opened", KIT, at, {"case": CASE})
    row: dict[str, Any] = {"id": uuid4(), "tenant": CELL, "case_code": CASE, "recorded_at": at}
    if number % 4 == 1:
        half = "release" if number % 8 == 1 else "receipt"
        here, there = ("intake", CELL), ("police-link", "station-saddar")
        (holder, counterpart) = (here, there) if half == "release" else (there, here)
        row |= {"barcode": KIT, "half": half, "holder_agency": holder[0], "holder_organisation": holder[1],
                "counterpart_agency": counterpart[0], "counterpart_organisation": counterpart[1]}  # fmt: skip
        body = CustodyHalf(at=at, seal_number="S-1", temperature_c=4.5)
        return _of(HALVES, f"custody_{half}", KIT, at, row, at_rest, held, sealed=body.body())
    if number % 4 == 2:
        said = b'{"consent_id":"x","terms":{"categories":["incident"],"safety_finding":null}}'
        return _of(CONSENT_EVENTS, "consent_given", CASE, at, row | {"kind": "given"}, at_rest, held, sealed=said)
    record = Examination(opinion=LONG, injuries=(Injury(site="wrist"),), treatment="PEP", hiv_test="reactive")
    row |= {"kind": "examination", "author_agency": "intake", "author_organisation": CELL, "referral": None,
            "corrects": None, "categories": ["care", "examination"]}  # fmt: skip
    return _of(RECORDS_OF_CASES, "record_added", CASE, at, row, at_rest, held, sealed=record.body(), reason_sealed=None)


def _of(
    source: Source, kind: str, subject: str, at: datetime, row: dict[str, Any], at_rest: AtRest,
    held: dict[str, Mapping[str, Any]], **opened: bytes | None,
) -> ledger.Statement:  # fmt: skip
    sealed = {
        name: None
        if value is None
        else at_rest.seal(value, **source.at(name, row["id"], *(row[each] for each in source.bound)))
        for name, value in opened.items()
    }
    held[source.name(row["id"])] = row | sealed
    return source.statement(kind, subject, at, row, opened)


def _signer(name: str) -> NoteSigner:
    return NoteSigner(Ed25519PrivateKey.generate(), f"{ORIGIN}/{name}")


def _listed(signer: NoteSigner) -> dict[str, Any]:
    return {"origin": signer.name, "keys": [{"id": "1", "public_key": base64.b64encode(signer.public_key).decode()}]}


def report(entries: int, load: float, size: int, took: list[float], alone: list[float]) -> str:
    """A section of bench/README.md."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return (
        f"\n## {datetime.now(UTC):%Y-%m-%d}, a court bundle, commit {commit or 'unknown'}\n\n"
        f"{os.cpu_count()} cores, {total_memory()} GiB, {platform.system()}, Python {platform.python_version()}, "
        f"load {load:.1f} before. {entries} entries of a ledger of 50,000; {size / 1024:.0f} KiB.\n\n"
        f"| | median | worst | of |\n|---|---|---|---|\n"
        f"| verify | {statistics.median(took) * 1000:.0f} ms | {max(took) * 1000:.0f} ms | {len(took)} |\n"
        f"| `python verify.py bundle.zip`, from its start to its end | {statistics.median(alone) * 1000:.0f} ms"
        f" | {max(alone) * 1000:.0f} ms | {len(alone)} |\n"
    )


if __name__ == "__main__":
    main()
