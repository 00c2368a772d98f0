"""What tests of breaking the glass have in common: a case full of canaries, emergencies, time, a round of the gate."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from intake.api.desk import Desk
from intake.service.sweeps import sweep

from .world import LAHORE, World

WHY = "Unconscious-Canary-0417, allergies unknown"
NOTE = "Called-Canary-5530 and the ward confirms"
SHOWN = {"identity": "Identity-Canary-01", "care": "Care-Canary-02", "care within": "Treatment-Canary-03"}
HIDDEN = {
    name: f"{name.title()}-Canary-99"
    for name in ("contact", "incident", "examination", "digital", "imagery", "counselling")
}
CNIC, MLC = "42101-1234567-1", "MLC-77/26"
FULL: dict[str, Any] = {
    "person": {"full_name": SHOWN["identity"], "cnic": CNIC, "mlc_number": MLC, "birth_date": "1999-02-03"},
    "contact": {"number": HIDDEN["contact"]},
    "incident": {"history": HIDDEN["incident"]},
    "examination": {"general_condition": HIDDEN["examination"], "treatment": SHOWN["care within"]},
    "care": {"notes": SHOWN["care"]},
    "counselling": {"notes": HIDDEN["counselling"]},
    "digital": [{"description": HIDDEN["digital"]}],
    "images": [{"description": HIDDEN["imagery"]}],
}
"""A case with something of every category that a cell writes itself."""


async def opened(
    world: World, *, who: str = "mlo", cell: str = LAHORE, key: str | None = None, token: Any = None, **named: Any
) -> httpx.Response:
    """An emergency of a clinician's, by default of another cell's than the one that keeps the case."""
    body = {"reason": WHY, **(named or {"cnic": CNIC})}
    return await world.as_person(who, "POST", "/v1/emergencies", body, key=key, cell=cell, **(token or {}))


async def again(world: World, emergency: str, *, who: str = "mlo", cell: str = LAHORE, **token: Any) -> httpx.Response:
    return await world.as_person(who, "GET", f"/v1/emergencies/{emergency}", cell=cell, **token)


async def reviewed(
    world: World, emergency: str, finding: str = "justified", *, who: str = "superintendent", **token: Any
) -> httpx.Response:
    body = {"finding": finding, "note": NOTE}
    return await world.as_person(who, "POST", f"/v1/emergencies/{emergency}/review", body, **token)


def later(monkeypatch: pytest.MonkeyPatch, **span: float) -> None:
    """Requests come so much later from here on."""
    now = Desk.now.fget
    assert now is not None
    monkeypatch.setattr(Desk, "now", property(lambda desk: now(desk) + timedelta(**span)))


async def round_at(world: World, at: datetime) -> None:
    """One round of the gate's sweep."""
    await sweep(world.gate, world.gate_access, at, world.instruments)


def plain(answer: httpx.Response) -> dict[str, Any]:
    """A refusal's body without what differs by itself."""
    return {**answer.json(), "trace_id": ""}
