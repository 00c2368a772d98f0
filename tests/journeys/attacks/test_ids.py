"""Ids of one case used on another of the same cell: whoever may read both cases learns nothing, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace

import httpx
import pytest
from counting import Count

from amanat_local.realm import Identity
from amanat_local.stack import Stack

from ..refusing import nothing_stored
from .asking import PARAMETER, Operation, ask, operations
from .conftest import Tokens
from .ground import CELL, Ground, adult, client

pytestmark = [pytest.mark.stack, pytest.mark.attack]
BODIES_NAME_A_CALL = "POST /v1/cases/{case}/claim/undo"
CROSSED = [
    each
    for each in operations()
    if each.service == "intake" and ({"case"} < set(PARAMETER.findall(each.name)) or each.name == BODIES_NAME_A_CALL)
]
"""Those that name a case and a thing of it."""


@pytest.fixture(scope="module")
def another(stack: Stack) -> str:
    """A second case of the same cell."""
    with client(stack.info, "intake", f"{CELL}-system") as hospital:
        opened = hospital.post("/v1/cases", adult("MLC-of-another"), quiet=True).raise_for_status()
        return str(opened.json()["case"])


def having(ground: Ground, things: Mapping[str, str], case: str) -> Ground:
    return replace(ground, things={**ground.things, "intake": {**things, "case": case}})


@pytest.mark.parametrize("operation", CROSSED, ids=str)
def test_a_thing_of_one_case_is_unknown_under_another(
    stack: Stack,
    ground: Ground,
    another: str,
    operation: Operation,
    http: httpx.Client,
    everybody: tuple[Identity, ...],
    token_of: Tokens,
    count: Count,
) -> None:
    mixed = having(ground, ground.things["intake"], another)
    never = having(ground, ground.nobodys["intake"], another)
    askers = [who for who in everybody if who.organisation == CELL and not operation.refusal(who)]
    assert askers
    with nothing_stored(stack) if operation.method != "GET" else nullcontext():  # a reading leaves its look
        for who in askers:
            answer = ask(http, operation, token_of(who), mixed)
            assert answer == ask(http, operation, token_of(who), never)
            assert answer.status == 404
    count("ids of one case used on another", len(askers))
