"""A canary in every personal field of every contract lies nowhere in the clear: no log, file, row, record, span, error.

Searched as UTF-8, UTF-16, JSON-escaped, base64 in all alignments, hex and percent-encoded. The same search finds the
leaks that are planted in each sink first.
"""

from __future__ import annotations

import io
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from amanat.contracts.records import RECORDS
from amanat.custody import NewReceiptAtLaboratory
from amanat_local.demo.receiver import Receiver
from amanat_local.process import Process
from amanat_local.services import NAMES
from amanat_local.stack import Stack

from . import planting, sinks
from .callers import WAIT_S, Heard
from .canaries import Flock
from .collector import Collector
from .sinks import Finding, Named, Search
from .tale import TOLD, Tale

pytestmark = pytest.mark.stack

TIMES = ("clocks.trigger_at", "clocks.met_at")
"""The cell's own columns of times that SQL must order and compare: what starts and stops a clock of the law (DESIGN,
"Data categories": clocks' triggers and due times)."""
READABLE = {f"rows intake {where}{column}" for where in ("", "pg_stats ") for column in TIMES}
"""Those columns, and what the planner knows of them."""


NOT_WRITTEN = {"attestation", "half", "barcode", "holder"}
"""Of a half of custody: what nobody sends, because it stands in the route, or the services say it."""


def readable(where: str) -> bool:
    """Whether the field's instant, and nothing else of its record, stands in one of those columns."""
    half = where.startswith(("release.", "receipt.", "rejection.")) and where.endswith(".at")
    return half or where.endswith(("incident.occurred_at", "fir.registered_at"))


class OverheardReceiver(Receiver):
    """The reporting centre's receiver, which keeps all that it is sent as it came."""

    def __init__(self) -> None:
        self.heard: list[Named] = []
        super().__init__()

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.heard.append(("webhooks", f"{request.path}\n{request.headers}".encode() + body))
        request.rfile = io.BytesIO(body)
        super()._take(request)

    def wait_for(self, referral: str) -> None:
        """Returns when an event of this referral has come."""
        deadline = time.monotonic() + WAIT_S
        while not any(referral.encode() in said for _, said in self.heard):
            assert time.monotonic() < deadline, "the webhook did not come"
            time.sleep(0.05)


@dataclass
class Observed:
    """A stack whose spans are collected; the canaries that went through it, and those that were planted."""

    stack: Stack
    since: float
    tale: Tale
    planted: Flock
    heard_planted: Heard
    collector: Collector
    receiver: OverheardReceiver

    async def pieces(self, kind: str) -> Iterable[Named]:
        """All that lies in the sinks of one kind."""
        if kind == "rows":
            return await sinks.rows(self.stack)
        if kind == "kafka":
            return await sinks.records(self.stack)
        return {
            "files": lambda: sinks.postgres_files(self.stack, self.since),
            "segments": lambda: sinks.segments(self.stack, self.since),
            "logs": lambda: sinks.logs(self.stack, self.since),
            "spans": lambda: (("spans", body) for body in list(self.collector.received)),
            "answers": lambda: [*self.tale.heard, *self.heard_planted],
            "webhooks": lambda: list(self.receiver.heard),
        }[kind]()


@pytest.fixture(scope="module")
def observed(stack: Stack) -> Iterator[Observed]:
    """The shared stack, its services started anew so that they export spans, and after the tale as they were."""
    since, collector, receiver = time.time() - 1, Collector(), OverheardReceiver()
    heard: Heard = Heard()
    told = Tale(stack, f"SAK-{int(since * 1000) % 10**9}")
    before = started_with(stack, collector.environment)
    try:
        subscribe(told, receiver)
        told.tell(receiver.wait_for)
        time.sleep(1)  # the last spans are on their way
        for where, answer in operations(stack):
            told.heard.pieces.append((f"operations {where}", answer))
        yield Observed(stack, since, told, Flock(), heard, collector, receiver)
    finally:
        started_with(stack, {}, before)
        receiver.close()
        collector.close()


def started_with(
    stack: Stack, more: dict[str, str], instead: dict[str, dict[str, str]] | None = None
) -> dict[str, dict[str, str]]:
    """Starts every service anew in its environment and `more`, or in another; returns what they had."""
    parts = {name: part for name in NAMES if isinstance(part := stack.part(name), Process)}
    had = {name: dict(part.env) for name, part in parts.items()}
    with ThreadPoolExecutor(max_workers=len(parts)) as together:
        list(together.map(lambda part: part.stop(), parts.values()))
    for name, part in parts.items():
        part.env = instead[name] if instead else had[name] | more
        part.start()
    for part in parts.values():
        part.wait()
    return had


def operations(stack: Stack) -> Iterator[Named]:
    """What each process says of itself to whoever operates it."""
    workers = {f"{name}-worker": base for name, base in stack.info["workers"].items()}
    for name, base in {**stack.info["services"], **workers, "gate": stack.info["gate"]}.items():
        for path in ("/metrics", "/readyz"):
            yield f"{name} {path}", httpx.get(base + path, timeout=30).raise_for_status().content


def subscribe(tale: Tale, receiver: OverheardReceiver) -> None:
    station = tale.by["station"]
    made = station.post("/v1/subscriptions", {"url": receiver.url}, expect=201).json()
    receiver.knows(made["secret"])
    path = f"/v1/subscriptions/{made['subscription']}"
    station.until(path, lambda answer: answer.json().get("state") == "active")


def told_of(findings: Iterable[Finding]) -> str:
    return "\n".join(sorted(f"{finding.sink}: {finding.what} as {finding.encoding}" for finding in findings))


def test_every_personal_field_of_every_record_got_a_canary(observed: Observed) -> None:
    flock, posted = observed.tale.flock, defaultdict(set)
    for where in (*flock.values, *flock.roomless):
        posted[where.split(".")[-1].partition("[")[0]].add(where)
    for name, record in RECORDS.items():
        asked = record.model_json_schema()
        for field in asked["properties"]:
            if name == "custody_half" and field in NOT_WRITTEN | {"counterpart"}:
                continue  # the directory's names, a printed serial, and what services themselves attest and add
            assert any(f".{field}" in where for where in (*flock.values, *flock.roomless)), f"{name}.{field}"
    assert set(NewReceiptAtLaboratory.model_fields) >= set(RECORDS["custody_half"].model_fields) - NOT_WRITTEN


def test_what_has_no_room_for_a_canary_is_yes_or_no_a_listed_word_or_an_age(observed: Observed) -> None:
    names = {where.rpartition(".")[2] for where in observed.tale.flock.roomless}
    assert names == {
        *("accepted", "changed_clothes", "dna_profile_obtained", "known", "no_injury_found", "photographs_taken"),
        *("seal_intact", "washed", "age_years_stated", "channel", "gbvims_type", "gender", "hiv_test"),
        *("pregnancy_test", "reason_code", "time_certainty"),
    }


def test_the_canaries_came_through_the_whole_platform(observed: Observed) -> None:
    tale = observed.tale
    in_records = {where: str(value) for where, value in tale.flock.values.items() if where not in tale.stale}
    unseen = {where for where, value in in_records.items() if value.removesuffix("Z") not in tale.shown["cell"]}
    assert unseen == set()
    for role, fields in TOLD.items():
        mine = {where for where, value in in_records.items() if value in tale.shown[role]}
        assert fields <= {where.rpartition(".")[2].partition("[")[0] for where in mine}, role
    refused = [status for status in tale.heard.statuses if status >= 400]
    assert len(refused) >= 35
    assert max(refused) < 500


async def test_every_planted_leak_is_found_in_every_encoding(observed: Observed) -> None:
    planted, log = observed.planted, observed.stack.part("police-link-main").log
    await planting.in_rows(observed.stack, planted)
    try:
        await planting.in_kafka(observed.stack, planted)
        await planting.in_logs(observed.stack, planted, log)
        planting.in_spans(observed.collector, planted)
        planting.in_answers(observed.heard_planted, planted)
        observed.receiver.heard += [("webhooks planted", form.encode()) for form in planting.forms(planted).values()]
        search = Search(planted)
        sunk: dict[str, set[str]] = defaultdict(set)
        for kind in ("rows", "kafka", "segments", "files", "logs", "spans", "answers", "webhooks"):
            for finding in search.through(await observed.pieces(kind)):
                sunk[place(finding)].add(f"{finding.what} as {finding.encoding}")
    finally:
        await planting.remove_rows(observed.stack)
    wanted = {f"{mark} as {encoding}" for mark in ("text", "Urdu text") for encoding in ENCODINGS[mark]}
    places = {"rows", "rows of bytes", "kafka", "heap", "WAL", "logs", "PostgreSQL's log", "spans", "errors", "headers"}
    for sink in places | {"webhooks"} | ({"segments"} if observed.stack.kind == "real" else set()):
        assert wanted - sunk[sink] == set(), sink
    assert "planted.at as binary instant" not in sunk["logs"]
    for sink in ("rows", "heap", "WAL"):
        assert {f"planted.pin as {encoding}" for encoding in ("UTF-8", "hex")} <= sunk[sink]


ENCODINGS = {
    "text": ["UTF-8", "upper case", "hex", "HEX", "percent-encoded whole", *(f"base64 at {n}" for n in range(3))],
    "Urdu text": [
        *("UTF-8", "JSON-escaped", "JSON-escaped in capitals", "hex", "HEX", "percent-encoded"),
        *(f"base64 at {n}" for n in range(3)),
    ],
}


def place(finding: Finding) -> str:
    """The sinks that a leak was planted in."""
    if finding.sink.startswith("rows"):
        return "rows of bytes" if finding.sink.endswith("planted.raw raw") else "rows"
    if finding.sink.startswith("files"):
        return "WAL" if "pg_wal/" in finding.sink else "heap"
    return "PostgreSQL's log" if finding.sink == "logs postgres.log" else finding.kind


@pytest.mark.parametrize("kind", ["rows", "kafka", "segments", "files", "logs", "spans", "answers", "webhooks"])
async def test_no_canary_lies_anywhere(observed: Observed, kind: str) -> None:
    pieces = list(await observed.pieces(kind))
    assert sum(len(piece) for _, piece in pieces) > 1000 or (kind, observed.stack.kind) == ("segments", "embedded")
    found = Search(observed.tale.flock, besides=readable).through(pieces)
    times = {finding for finding in found if finding.sink in READABLE and finding.what == "date"}
    assert found - times == set(), told_of(found - times)
