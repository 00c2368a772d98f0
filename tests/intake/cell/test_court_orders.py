"""What a court or the law asked for is in no bundle: neither the order nor what it did. A case with one and the same
case without it make bundles that say the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amanat import verify
from amanat.contracts.police_link import ReferralAcknowledged
from amanat.contracts.records import RECORDS
from amanat.contracts.withdrawals import Tombstone, TombstonesReported
from amanat_local.postgres import Postgres
from intake.service import court_orders, restoring

from .court import ORDER, Court, checkpoint, page
from .looking import look, tell
from .world import POLICE, SADDAR, World, consent

CONSENT = {**ORDER, "basis": "consent"}
WITH_LOOKS = {**ORDER, "looks": True}
TELLING = (
    b"share_opened", b"key_destroyed", b"referral_", b"withdrawal_recovered", b"leased", b"look_told", b"disclosure_",
    b"court_order", b"SECRET-77", b"Order 7 of 2026", b"acknowledgement", b"police-link/", SADDAR.encode(), b'"P-',
)  # fmt: skip
"""What would tell of an order in the bundle of a case that nothing else opened."""
Act = Callable[["Told"], Awaitable[None]]


class Told:
    """A case to which things happen; without its orders, if it is the `twin`."""

    def __init__(self, world: World, case: str, *, twin: bool) -> None:
        self.world, self.case, self.twin, self.ordered = world, case, twin, ""

    async def referral(self) -> str:
        rows = await self.world.rows("SELECT code FROM referrals WHERE case_code = :case", case=self.case)
        return str(rows[0].code) if rows else ""

    async def consents(self, *categories: str) -> None:
        answer = await self.world.post(f"/v1/cases/{self.case}/consents", consent(POLICE, *categories))
        assert answer.status_code == 201, answer.text

    async def withdraws(self) -> None:
        shown = (await self.world.get(f"/v1/cases/{self.case}/consents")).json()["consents"]
        last = [each["consent"] for each in shown if each["consent"] != self.ordered][-1]
        assert (await self.world.withdraw(self.case, last)).status_code == 200

    async def order(self, *categories: str) -> None:
        if not self.twin:
            review = (datetime.now(UTC) + timedelta(days=20)).isoformat()
            secrecy = {"reference": "SECRET-77", "review_at": review}
            self.ordered = await self.world.order(self.case, POLICE, *categories, secrecy=secrecy)

    async def order_ends(self) -> None:
        if not self.twin:
            assert (await self.world.end_order(self.case, self.ordered)).status_code == 200

    async def office_acts(self, *categories: Any, only_on_order: bool = False) -> None:
        """It takes the referral up, leases, looks, and tells of the look."""
        if self.twin and only_on_order:
            return
        referral = await self.referral()
        told = RECORDS["acknowledgement"](received_by="Inspector Invented")
        acknowledged = ReferralAcknowledged(referral=referral, record=told, at=datetime.now(UTC))
        await self.world.fact(POLICE, acknowledged)
        await self.world.leased(POLICE, referral)
        await tell(self.world, referral, look(datetime.now(UTC), *categories))


async def _nothing_but_an_order(told: Told) -> None:
    await told.order("digital")
    await told.office_acts("digital", only_on_order=True)
    await told.order_ends()


async def _another_category_than_hers(told: Told) -> None:
    await told.consents("incident")
    await told.office_acts("incident")
    await told.order("digital")
    await told.order_ends()


async def _after_she_took_it_back(told: Told) -> None:
    await told.consents("incident")
    await told.withdraws()
    await told.order("incident", "identity")
    await told.office_acts("incident", only_on_order=True)


async def _beside_her_consent_and_over_before_it(told: Told) -> None:
    await told.consents("incident")
    await told.order("incident")
    await told.office_acts("incident")
    await told.order_ends()
    await told.withdraws()


async def _before_her_consent_to_another(told: Told) -> None:
    await told.consents("incident")
    await told.order("digital")
    await told.consents("identity")
    await told.withdraws()


STORIES = (
    _nothing_but_an_order, _another_category_than_hers, _after_she_took_it_back,
    _beside_her_consent_and_over_before_it, _before_her_consent_to_another,
)  # fmt: skip


def said_by(packed: bytes) -> dict[str, Any]:
    """What a bundle says, without what differs by itself: ids, times, positions."""
    entries = [
        (each["document"]["kind"], (each["document"]["source"] or "").partition("/")[0], _plain(each["document"]))
        for name, data in verify.unpack(packed).items()
        if name.startswith("entries/") and "document" in (each := json.loads(data))
    ]
    index = page(packed, verify.INDEX)
    given = [each["event"].get("terms") for each in page(packed, "consents.json")["consents"]]
    return {
        "files": sum(name.startswith("entries/") for name in verify.unpack(packed)),
        "entries": Counter(map(str, entries)),
        "consents": Counter(str(each and (each["recipient"], each["categories"], each["basis"])) for each in given),
        "referrals": [(each["agency"], each["organisation"]) for each in index["referrals"]],
        "waiting": Counter(each["kind"] for each in index["waiting"]),
        "contents": index["contents"],
        "looks": Counter(
            str((each["kind"], each["row"].get("categories"), each["row"].get("purpose")))
            for each in (page(packed, verify.LOOKS)["looks"] if index["looks"] else ())
        ),
    }


def _plain(document: Any) -> Any:
    content = document["content"] or {}
    names = ("kind", "author_organisation", "categories", "purpose", "consent_version")
    said = {name: value for name, value in document["said"].items() if name not in ("record", "bundle", "manifest")}
    return said, [content.get(name) for name in names]


@pytest.mark.parametrize("tale", STORIES, ids=[each.__name__.strip("_") for each in STORIES])
async def test_a_case_with_an_order_and_the_same_without_it_make_bundles_that_say_the_same(
    world: World, migrated: Callable[[str, str], Postgres], tale: Act
) -> None:
    courts = [Court(world, migrated("intake", "intake"), (await world.open_case())[0], {}) for _ in range(2)]
    await checkpoint(world)  # something is witnessed: the rest waits
    for court, twin in zip(courts, (False, True), strict=True):
        await tale(Told(world, court.case, twin=twin))
    waiting = [said_by((await court.made(CONSENT))[1]) for court in courts]
    assert waiting[0]["waiting"] == waiting[1]["waiting"]
    await checkpoint(world)
    for body in (CONSENT, WITH_LOOKS):
        (answer, packed), (of_twin, twins) = [await court.made(body) for court in courts]
        assert said_by(packed) == said_by(twins)
        assert (answer["entries"], answer["waiting"]) == (of_twin["entries"], of_twin["waiting"])
        assert verify.verify(packed, courts[0].trusted).proven


async def test_nothing_tells_of_an_order_where_nothing_else_was_opened(
    world: World, migrated: Callable[[str, str], Postgres], monkeypatch: pytest.MonkeyPatch
) -> None:
    await checkpoint(world)
    case, _ = await world.open_case()
    court = Court(world, migrated("intake", "intake"), case, {})
    told = Told(world, case, twin=False)
    await told.order("digital")
    await told.office_acts("digital")
    for _ in ("waiting", "shown"):
        _, packed = await court.made(CONSENT)
        assert [each for each in TELLING if each in packed] == []
        await checkpoint(world)
    location = (await court.ask(CONSENT)).headers["Location"]
    first = await court.read(location)
    await told.order_ends()
    await told.consents("digital")
    await checkpoint(world)
    assert await court.read(location) == first  # what was left out stays left out, whatever is since
    monkeypatch.setattr(court_orders, "untold", lambda *_, **__: frozenset())
    _, packed = await court.made(CONSENT)
    assert {b"share_opened", b"referral_", b"acknowledgement", SADDAR.encode()} <= {e for e in TELLING if e in packed}


async def test_what_she_consented_to_is_told_as_before(world: World, migrated: Callable[[str, str], Postgres]) -> None:
    case, _ = await world.open_case()
    told = Told(world, case, twin=False)
    await _another_category_than_hers(told)
    await told.withdraws()
    await checkpoint(world)
    court = Court(world, migrated("intake", "intake"), case, {})
    _, packed = await court.made(WITH_LOOKS)
    steps = [(each["kind"], each["said"].get("category")) for each in page(packed, "history.json")["steps"]]
    assert steps == [
        ("case_opened", None), ("referral_opened", None), ("share_opened", "incident"),
        ("referral_acknowledged", None), ("key_destroyed", "incident"),
    ]  # fmt: skip
    assert {"leased", "look_told"} <= {each["kind"] for each in page(packed, verify.LOOKS)["looks"]}


async def test_the_end_of_an_order_that_an_agency_told_of_after_a_restore_is_not_told(
    world: World, migrated: Callable[[str, str], Postgres]
) -> None:
    case, _ = await world.open_case()
    told = Told(world, case, twin=False)
    await told.order("digital")
    referral = await told.referral()
    async with world.gate.transaction(()) as session:
        request = await restoring.close(session, datetime.now(UTC), world.instruments)
    gone = Tombstone(
        referral=referral, organisation=SADDAR, category="digital", epoch=1, withdrawn_at=datetime.now(UTC)
    )
    await world.fact(POLICE, TombstonesReported(request_id=request, tombstones=(gone,)))
    assert await world.rows("SELECT 1 FROM consent_events WHERE kind = 'withdrawn'")
    await checkpoint(world)
    court = Court(world, migrated("intake", "intake"), case, {})
    _, packed = await court.made(CONSENT)
    assert verify.verify(packed, court.trusted).proven
    assert [each for each in TELLING if each in packed] == []
    assert page(packed, "consents.json") == {"consents": []}


async def test_where_an_orders_consent_was_taken_away_what_it_did_is_not_told_either(
    world: World, migrated: Callable[[str, str], Postgres]
) -> None:
    case, _ = await world.open_case()
    told = Told(world, case, twin=False)
    await told.order("digital")
    await checkpoint(world)
    court = Court(world, migrated("intake", "intake"), case, {})
    court.sql("SET session_replication_role = replica", "DELETE FROM consent_events")
    answer, packed = await court.made(CONSENT)
    assert [each["code"] for each in answer["wrong"]] == ["unreadable"]
    assert [each for each in TELLING if each in packed] == []
    court.sql(
        "DELETE FROM ledger_leaves WHERE entry IN (SELECT id FROM ledger_entries WHERE kind LIKE 'referral%'"
        " OR source LIKE 'consent_events/%')"
    )
    answer, packed = await court.made(CONSENT)
    assert {each["code"] for each in answer["wrong"]} >= {"without_entry"}
    assert [each for each in TELLING if each in packed] == []
