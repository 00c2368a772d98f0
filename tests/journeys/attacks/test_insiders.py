"""Insiders with SQL on one agency's database: what they move, bring back or forge opens nothing and takes no effect."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from counting import Count

from amanat_local.demo import payloads
from amanat_local.demo.clients import Client
from amanat_local.stack import Stack

from .ground import CELL, STATION, WITHIN_S, client

pytestmark = [pytest.mark.stack, pytest.mark.attack]
CLIFTON = "station-clifton"
LEASE_S = 31.0
TABLES = ("referrals", "disclosures", "tombstones", "own_records", "kits")


@dataclass(frozen=True)
class Told:
    """A case of one station: what is in its account stands nowhere else."""

    case: str
    consent: str
    code: str
    station: str
    account: str


def tell(hospital: Client, station: str) -> Told:
    """A case whose account the station may read, and her name with it."""
    account = f"invented-{uuid4().hex}"
    shared = payloads.consent("police-link", station, ["identity", "incident"], payloads.SURVIVOR)
    person = {"full_name": "Invented Person", "birth_date": "1990-01-01"}
    opened = _made(
        hospital.post(
            "/v1/cases", {"person": person, "incident": {"history": account}, "consents": [shared]}, quiet=True
        )
    )
    consents = hospital.get(f"/v1/cases/{opened['case']}/consents", quiet=True).json()["consents"]
    return Told(opened["case"], consents[0]["consent"], opened["referrals"][0]["referral"], station, account)


@dataclass(frozen=True)
class Insider:
    """Superuser on police-link's database."""

    stack: Stack

    def sql(self, *statements: str) -> str:
        assert self.stack.postgres is not None
        return self.stack.postgres.sql("police_link", *statements)

    @contextmanager
    def having_done(self, *statements: str) -> Iterator[None]:
        """What is done to the tables of referrals is undone afterwards."""
        off = [f"ALTER TABLE {table} DISABLE TRIGGER ALL" for table in TABLES]
        on = [f"ALTER TABLE {table} ENABLE TRIGGER ALL" for table in TABLES]
        self.sql(*(f"CREATE TABLE kept_{table} AS TABLE {table}" for table in TABLES), *off, *statements, *on)
        try:
            yield
        finally:
            for table in TABLES:
                columns = self.sql(
                    "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute"
                    f" WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
                ).strip()
                back = f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM kept_{table}"
                self.sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL", f"DELETE FROM {table}", back)
                self.sql(f"ALTER TABLE {table} ENABLE TRIGGER ALL", f"DROP TABLE kept_{table}")


@pytest.fixture(scope="module")
def insider(stack: Stack) -> Insider:
    return Insider(stack)


@pytest.fixture(scope="module")
def hospital(stack: Stack) -> Iterator[Client]:
    with client(stack.info, "intake", f"{CELL}-system") as made:
        yield made


@pytest.fixture(scope="module")
def stations(stack: Stack) -> Iterator[dict[str, Client]]:
    with (
        client(stack.info, "police-link", f"{STATION}-system") as saddar,
        client(stack.info, "police-link", f"{CLIFTON}-system") as clifton,
    ):
        yield {STATION: saddar, CLIFTON: clifton}


@pytest.fixture(scope="module")
def mine(hospital: Client, stations: dict[str, Client]) -> Told:
    """Of the insider's own station."""
    return there(stations, tell(hospital, STATION))


@pytest.fixture(scope="module")
def theirs(hospital: Client, stations: dict[str, Client]) -> Told:
    return there(stations, tell(hospital, CLIFTON))


def there(stations: dict[str, Client], told: Told) -> Told:
    stations[told.station].until(
        f"/v1/referrals/{told.code}", lambda answer: told.account in answer.text, "the account has come", WITHIN_S
    )
    return told


def moves(mine: Told, theirs: Told) -> dict[str, tuple[str, ...]]:
    """What an insider of one station might do to read what another was told."""
    here, yonder = f"referral = '{mine.code}'", f"referral = '{theirs.code}'"
    incident = "category = 'incident'"
    taken = f"SELECT %s FROM kept_disclosures WHERE {yonder} AND {incident}"

    def copied(*columns: str) -> str:
        changes = ", ".join(f"{column} = ({taken % column})" for column in columns)
        return f"UPDATE disclosures SET {changes} WHERE {here} AND {incident}"

    return {
        "the sealed text under one's own referral": (copied("sealed"),),
        "with its key's name": (copied("sealed", "key_id", "epoch"),),
        "with its whole frame": (copied("sealed", "key_id", "epoch", "event_id", "contract", "seq"),),
        "as another category": (
            f"INSERT INTO disclosures SELECT '{mine.station}', '{mine.code}', 'digital', epoch, key_id, seq, event_id,"
            f" contract, sealed, received_at FROM kept_disclosures WHERE {yonder} AND {incident}",
        ),
        "under one's own station": (f"UPDATE disclosures SET tenant = '{mine.station}' WHERE {yonder}",),
        "the whole referral under one's own station": (
            f"UPDATE referrals SET tenant = '{mine.station}' WHERE code = '{theirs.code}'",
            f"UPDATE disclosures SET tenant = '{mine.station}' WHERE {yonder}",
        ),
        "its name exchanged with one's own": (
            f"UPDATE referrals SET code = 'P-XXXX-XXXX-X' WHERE code = '{mine.code}'",
            f"UPDATE referrals SET code = '{mine.code}', tenant = '{mine.station}' WHERE code = '{theirs.code}'",
            f"DELETE FROM disclosures WHERE {here}",
            f"UPDATE disclosures SET referral = '{mine.code}', tenant = '{mine.station}' WHERE {yonder}",
        ),
        "her account as her name": (
            f"UPDATE disclosures SET sealed = (SELECT sealed FROM kept_disclosures WHERE {here} AND {incident})"
            f" WHERE {here} AND category = 'identity'",
        ),
    }


def test_what_an_insider_moves_opens_nowhere(
    insider: Insider, stations: dict[str, Client], mine: Told, theirs: Told, count: Count
) -> None:
    for what, statements in moves(mine, theirs).items():
        with insider.having_done(*statements):
            for station, code in ((STATION, mine.code), (STATION, theirs.code), (CLIFTON, mine.code)):
                answer = stations[station].get(f"/v1/referrals/{code}", quiet=True)
                assert answer.status_code in {200, 404, 500, 503}, what
                foreign = theirs.account if station == STATION else mine.account
                assert foreign not in answer.text, what
                if what == "her account as her name":
                    assert mine.account not in str(answer.json().get("parts", {}).get("identity", "")), what
    for told in (mine, theirs):
        assert told.account in stations[told.station].get(f"/v1/referrals/{told.code}", quiet=True).text
    count("rows that an insider moved", len(moves(mine, theirs)))


def test_what_was_withdrawn_does_not_come_back_from_an_agencys_backup(
    insider: Insider, hospital: Client, stations: dict[str, Client], count: Count
) -> None:
    told = there(stations, tell(hospital, STATION))
    where = f"referral = '{told.code}'"
    insider.sql(f"CREATE TABLE backup AS SELECT * FROM disclosures WHERE {where}")
    try:
        _made(
            hospital.post(
                f"/v1/cases/{told.case}/consents/{told.consent}/withdrawal", {"categories": ["incident"]}, quiet=True
            )
        )
        path = f"/v1/referrals/{told.code}"
        stations[STATION].until(path, lambda answer: told.account not in answer.text, "it is withdrawn", WITHIN_S)
        again = f"INSERT INTO disclosures SELECT * FROM backup WHERE {where} AND category = 'incident'"
        gone = (f"DELETE FROM disclosures WHERE {where} AND category = 'incident'", again)
        later = f"UPDATE disclosures SET epoch = epoch + 1, seq = seq + 1 WHERE {where} AND category = 'incident'"
        no_tombstone = f"DELETE FROM tombstones WHERE {where}"
        with insider.having_done(*gone):
            assert told.account not in stations[STATION].get(path, quiet=True).text
        for statements in ((no_tombstone, *gone), (no_tombstone, *gone, later)):
            with insider.having_done(*statements):
                # Who takes the tombstone away as well has until the lease that is held already is over, and no longer.
                closed = stations[STATION].until(path, lambda answer: told.account not in answer.text, "over", LEASE_S)
                assert closed.status_code == httpx.codes.OK  # her name is still theirs to read
                assert told.account not in stations[STATION].get(path, quiet=True).text
    finally:
        insider.sql("DROP TABLE backup")
    count("withdrawn rows that an insider brought back", 3)


def forged(insider: Insider, event: str, *, subject: str, kind: str, body: str = "body") -> str:
    """The agency's own signed fact once more, under another id and whatever else the insider likes; its event id."""
    made = str(uuid4())
    insider.sql(
        "INSERT INTO outbox (event_id, topic, key, tenant, type, headers, body, referral, seq, created_at)"
        f" SELECT '{made}', topic, '{subject}', tenant, '{kind}', headers || jsonb_build_object('ce_id', '{made}',"
        f" 'ce_subject', '{subject}', 'ce_type', '{kind}'), {body}, '{subject}', seq + 1, now()"
        f" FROM outbox WHERE event_id = '{event}'"
    )
    return made


def test_facts_that_an_insider_forges_or_sends_again_take_no_effect(
    stack: Stack,
    insider: Insider,
    hospital: Client,
    stations: dict[str, Client],
    mine: Told,
    theirs: Told,
    count: Count,
) -> None:
    _made(stations[STATION].post(f"/v1/referrals/{mine.code}/acknowledgement", payloads.ACKNOWLEDGEMENT, quiet=True))
    _until(hospital, mine, "acknowledgement")
    kind = "pk.amanat.referral-acknowledged.v1"
    event = insider.sql(
        f"SELECT event_id FROM outbox WHERE referral = '{mine.code}' AND type = '{kind}' AND seq IS NOT NULL"
    ).strip()
    before = {told.code: known(hospital, told) for told in (mine, theirs)}
    changed = "set_byte(body, length(body) - 9, get_byte(body, length(body) - 9) # 1)"
    made = [
        forged(insider, event, subject=theirs.code, kind=kind),
        forged(insider, event, subject=mine.code, kind="pk.amanat.fir-registered.v1"),
        forged(insider, event, subject=mine.code, kind="pk.amanat.kit-reported.v1"),
        forged(insider, event, subject=mine.code, kind=kind, body=changed),
        forged(insider, event, subject=mine.code, kind=kind),
    ]
    asked = f"SELECT count(*) FROM parked WHERE event_id = ANY('{{{','.join(made)}}}')"
    assert stack.postgres is not None
    try:
        deadline = time.monotonic() + WITHIN_S
        while int(stack.postgres.sql("intake", asked)) < len(made):
            assert time.monotonic() < deadline, "the gate has not put them aside"
            time.sleep(0.1)
        for _ in range(3):
            insider.sql("UPDATE outbox SET published_at = NULL WHERE cancelled_at IS NULL")
            while int(insider.sql("SELECT count(*) FROM outbox WHERE published_at IS NULL AND cancelled_at IS NULL")):
                assert time.monotonic() < deadline + WITHIN_S, "the relay has not sent them again"
                time.sleep(0.1)
        honest = there(stations, tell(hospital, STATION))
        _made(
            stations[STATION].post(f"/v1/referrals/{honest.code}/acknowledgement", payloads.ACKNOWLEDGEMENT, quiet=True)
        )
        _until(hospital, honest, "acknowledgement")
        assert {told.code: known(hospital, told) for told in (mine, theirs)} == before
    finally:
        # What follows of these referrals waits behind them, until an operator has looked: here that is done.
        stack.postgres.sql("intake", asked.replace("SELECT count(*)", "DELETE"))
    count("facts that an insider forged", len(made))
    count("times that an agency sent all its facts again", 3)


def known(hospital: Client, told: Told) -> tuple[list[str], list[str], int]:
    """What the cell knows of a case: its records, how far its referrals are, and how much happened."""
    shown = hospital.get(f"/v1/cases/{told.case}", quiet=True).raise_for_status().json()
    records, referrals = shown["records"], shown["referrals"]
    happened = [each for each in shown["timeline"] if each["referral"]]
    return [each["kind"] for each in records], [each["progress"] for each in referrals], len(happened)


def _until(hospital: Client, told: Told, record: str) -> None:
    def has(answer: httpx.Response) -> bool:
        return record in {each["kind"] for each in answer.json()["records"]}

    hospital.until(f"/v1/cases/{told.case}", has, f"the cell hears of the {record}", WITHIN_S)


def _made(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.raise_for_status().json()
    return found
