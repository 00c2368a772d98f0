"""A legal aid partner: follows the feed, pulls summaries, says who represents her."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from amanat.agency.testing import World
from amanat.categories import Agency, Category
from amanat.contracts.legal_aid import LawyerAssigned, LegalAidDeclined

HAMDAM, SAHARA = "partner-hamdam", "partner-sahara"
FIR = ("fir", {"fir_number": "112/2026"})
COUNSEL = {"counsel_name": "Adv. Sana", "hearing_dates": ["2026-12-01T09:00:00+05:00"]}


async def offer(partner: World, organisation: str = HAMDAM) -> str:
    code = partner.gate.code()
    await partner.tell(
        partner.gate.opened(code, organisation),
        partner.gate.disclosed(code, organisation, Category.INVESTIGATION, FIR),
    )
    return code


async def post(
    partner: World, code: str, act: str, body: dict[str, Any], key: str = "1", **token: str
) -> httpx.Response:
    async with partner.client(HAMDAM, **token) as officer:
        return await officer.post(f"/v1/cases/{code}/{act}", json=body, headers={"Idempotency-Key": key})


async def summary(partner: World, code: str, organisation: str = HAMDAM, **headers: str) -> httpx.Response:
    async with partner.client(organisation) as officer:
        return await officer.get(f"/v1/cases/{code}/summary", headers=headers)


async def test_a_partner_follows_the_feed_to_a_summary(partner: World) -> None:
    code = await offer(partner)
    async with partner.client(HAMDAM) as officer:
        [item] = (await officer.get("/v1/cases")).json()["items"]
    assert item["referral"] == code
    answer = await summary(partner, item["referral"])
    assert answer.json()["parts"]["investigation"][0]["fields"] == {"fir_number": "112/2026"}
    unchanged = await summary(partner, code, **{"If-None-Match": answer.headers["etag"]})
    assert unchanged.status_code == 304


async def test_an_assignment_is_kept_sent_and_may_be_followed_by_another(partner: World) -> None:
    code = await offer(partner)
    first = await post(partner, code, "assignment", COUNSEL)
    assert (first.status_code, first.json()["state"]) == (201, "lawyer_assigned")
    assert first.headers["location"].startswith(f"/v1/cases/{code}/summary#")
    assert (await post(partner, code, "assignment", {"counsel_name": "Adv. Omar"}, key="2")).status_code == 201
    facts = await partner.facts()
    assert [fact.record.counsel_name for fact in facts if isinstance(fact, LawyerAssigned)] == [
        "Adv. Sana",
        "Adv. Omar",
    ]
    shown = (await summary(partner, code)).json()
    assert [own["fields"]["counsel_name"] for own in shown["own"]] == ["Adv. Sana", "Adv. Omar"]


async def test_a_decline_says_why_once_and_leaves_room_for_a_later_assignment(partner: World) -> None:
    code = await offer(partner)
    assert (await post(partner, code, "decline", {"reason": "conflict of interest"})).status_code == 201
    again = await post(partner, code, "decline", {"reason": "again"}, key="2")
    assert (again.status_code, again.json()["code"]) == (409, "already-declined")
    [fact] = await partner.facts()
    assert isinstance(fact, LegalAidDeclined)
    assert fact.record.reason == "conflict of interest"
    assert (await post(partner, code, "assignment", COUNSEL, key="3")).status_code == 201


async def test_another_partner_gets_404_and_no_state(partner: World) -> None:
    code = await offer(partner)
    assert (await summary(partner, code, SAHARA)).status_code == 404
    async with partner.client(SAHARA) as officer:
        assert (await officer.get("/v1/cases")).json()["items"] == []
        answer = await officer.post(f"/v1/cases/{code}/assignment", json=COUNSEL, headers={"Idempotency-Key": "1"})
    assert answer.status_code == 404
    assert await partner.facts() == []


async def test_a_code_may_be_typed_as_it_is_read_out_and_one_of_another_agency_is_404(partner: World) -> None:
    code = await offer(partner)
    assert (await summary(partner, code.lower().replace("-", ""))).status_code == 200
    assert (await summary(partner, "P" + code[1:])).status_code == 404


@pytest.mark.parametrize(
    ("role", "agency", "allowed"),
    [
        ("legal_aid_officer", Agency.LEGAL_AID, True),
        ("legal_partner_system", Agency.LEGAL_AID, True),
        ("police_officer", Agency.LEGAL_AID, False),
        ("legal_aid_officer", Agency.POLICE_LINK, False),
    ],
)
async def test_who_may_read_and_act(partner: World, role: str, agency: str, allowed: bool) -> None:
    code = await offer(partner)
    async with partner.client(HAMDAM, role=role, agency=agency) as client:
        for path in ("/v1/cases", f"/v1/cases/{code}/summary"):
            assert (await client.get(path)).status_code == (200 if allowed else 403)
    for act, body in (("assignment", COUNSEL), ("decline", {})):
        answer = await post(partner, code, act, body, key=act, role=role, agency=agency)
        assert answer.status_code == (201 if allowed else 403)
