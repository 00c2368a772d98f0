"""One category can grow beyond what a message holds. It is refused at the door, whole, and says which way out."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from amanat.categories import Category
from amanat.contracts.disclosures import DISCLOSED_RECORDS, CategoryDisclosed
from intake.service.sharing import LARGEST

from .world import ADULT, CANARY, LEGAL, POLICE, World, consent

ARRIVAL = json.loads(Path(__file__).parents[3].joinpath("examples/bundles/arrival.json").read_text())
PARAGRAPH = 50_000
KAFKA_TAKES = 1_048_588
HEADERS = 4_096
SEAL = 64
HOW_MANY = LARGEST // PARAGRAPH + 1
LONG = f"{CANARY} {'x' * (PARAGRAPH - 100)}"
MESSAGES = [{"description": LONG} for _ in range(HOW_MANY)]
TABLES = ("cases", "case_index", "records", "consent_events", "referrals", "shares", "keys", "request_secrets",
          "timeline", "clocks", "outbox", "ledger_entries", "idempotency")  # fmt: skip


async def _kept(world: World) -> dict[str, int]:
    counts = {table: (await world.rows(f"SELECT count(*) AS n FROM {table}"))[0].n for table in TABLES}
    return {table: count for table, count in counts.items() if count}


def _bundle() -> dict[str, Any]:
    """An arrival in which many were accused, each at length."""
    bundle = copy.deepcopy(ARRIVAL)
    history = next(e for e in bundle["entry"] if "history" in json.dumps(e["resource"].get("code", {})))
    for number in range(HOW_MANY):
        accused = copy.deepcopy(history)
        accused["fullUrl"] = f"urn:uuid:00000000-0000-4000-8000-{1000 + number:012}"
        accused["resource"]["code"]["coding"][0]["code"] = "accused"
        accused["resource"]["valueString"] = LONG
        bundle["entry"].append(accused)
    return bundle


def test_the_largest_category_that_is_taken_fits_a_message_of_kafkas_default_size() -> None:
    event = CategoryDisclosed(
        referral="P-7KQ2-M4XD-3", organisation="o" * 64, category=Category.DIGITAL, epoch=2**31, key_id=UUID(int=0),
        seq=2**31, contract=DISCLOSED_RECORDS, sealed=bytes(LARGEST + SEAL),
    )  # fmt: skip
    assert len(event.body()) + HEADERS < KAFKA_TAKES


async def test_a_case_of_which_one_category_is_too_large_is_refused_and_leaves_nothing_behind(world: World) -> None:
    body = {"person": ADULT, "digital": MESSAGES, "consents": [consent(LEGAL, "identity"), consent(POLICE, "digital")]}
    key = str(uuid4())
    answer = await world.post("/v1/cases", body, key=key)
    assert (answer.status_code, answer.json()["code"]) == (422, "too-much-in-one-category")
    assert "shorten" in answer.json()["title"]
    assert CANARY not in answer.text
    assert await _kept(world) == {}
    # The refusal used up nothing: shortened, the case goes through under the same key.
    shortened = await world.post("/v1/cases", {**body, "digital": MESSAGES[:-2]}, key=key)
    assert shortened.status_code == 201


async def test_a_bundle_of_which_one_category_is_too_large_is_refused_in_fhir(world: World) -> None:
    answer = await world.post("/fhir", _bundle(), Content_Type="application/fhir+json")
    assert answer.status_code == 422
    [issue] = answer.json()["issue"]
    assert (issue["severity"], issue["details"]["coding"][0]["code"]) == ("error", "too-much-in-one-category")
    assert CANARY not in answer.text
    assert await _kept(world) == {}


async def test_what_nobody_shares_is_kept_however_large_and_refused_only_where_it_would_be_shared(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity"), digital=MESSAGES)
    before = await _kept(world)
    answer = await world.post(f"/v1/cases/{case}/consents", consent(POLICE, "digital"))
    assert (answer.status_code, answer.json()["code"]) == (422, "too-much-in-one-category")
    assert await _kept(world) == before


async def test_a_record_that_makes_a_shared_category_too_large_is_refused(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "digital"), digital=MESSAGES[:-2])
    before = await _kept(world)
    more = {"kind": "digital_item", "record": {"description": "x" * PARAGRAPH, "url": "x" * PARAGRAPH}}
    answer = await world.post(f"/v1/cases/{case}/records", more)
    assert (answer.status_code, answer.json()["code"]) == (422, "too-much-in-one-category")
    assert await _kept(world) == before
