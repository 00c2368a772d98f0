"""What tests of her page have in hand besides the cell: its people, her claim, and her browser's requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from ..looking import IDENTITY, INCIDENT, look, tell
from ..world import KARACHI, LEGAL, POLICE, World, consent

PIN, DURESS, WORD = "481516", "902375", "Blue Heron"


@dataclass(frozen=True)
class Claim:
    """Her claim of a case."""

    case: str
    id: str
    code: str


def staff(world: World, cell: str = KARACHI) -> httpx.AsyncClient:
    """The HTTP client of a person of the cell."""
    token = world.issuer.token("amanat-intake", f"{cell}-mlo", "intake", cell, "cell_staff", [cell])
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(world.main_app),
        base_url="http://service.test",
        headers={"Authorization": f"Bearer {token}"},
    )


async def at_desk(
    world: World, path: str, body: Mapping[str, Any] | None = None, *, cell: str = KARACHI, key: str | None = None
) -> httpx.Response:
    """A POST of a person of the cell."""
    async with staff(world, cell) as client:
        return await client.post(path, json=body, headers={"Idempotency-Key": key or str(uuid4())})


async def issue(world: World, case: str, **chosen: Any) -> Claim:
    """A claim with the usual PINs and word, unless others are chosen."""
    body = {"pin": PIN, "duress_pin": DURESS, "code_word": WORD, "language": "en", **chosen}
    answer = await at_desk(world, f"/v1/cases/{case}/claim", body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return Claim(case=case, id=made["claim"], code=made["code"])


async def her_case(world: World) -> tuple[str, dict[str, str]]:
    """Shared with two offices, by consent and by order, looked at."""
    soon = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    case, referrals = await world.open_case(
        consent(POLICE, "identity", "incident", expires_at=soon), consent(LEGAL, "identity")
    )
    await world.order(case, POLICE, "examination")
    for times in ((IDENTITY, INCIDENT), (IDENTITY, INCIDENT), (IDENTITY,)):
        await tell(world, referrals[POLICE], look(datetime.now(UTC) - timedelta(hours=2), *times))
    return case, referrals


async def hers(world: World, path: str, **body: Any) -> httpx.Response:
    """A POST of hers: no token, no cookie."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(world.main_app), base_url="http://service.test"
    ) as client:
        return await client.post(path, json=body)


async def sign_in(world: World, code: str, pin: str = PIN, language: str = "en") -> dict[str, Any]:
    answer = await hers(world, "/v1/my/sign-ins", code=code, pin=pin, language=language)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def is_harmless(opened: Mapping[str, Any]) -> bool:
    return opened["case"] is None and opened["article"] is not None
