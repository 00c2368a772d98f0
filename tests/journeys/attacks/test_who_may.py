"""Every operation × every identity of the realm: what each gets stands in one table, `who_may.toml`."""

from __future__ import annotations

import httpx
import pytest
from counting import Count

from amanat_local.realm import Identity
from amanat_local.stack import Stack

from ..refusing import nothing_stored
from .asking import Asked, ask, operations
from .conftest import Tokens
from .ground import OWNERS, Ground

pytestmark = [pytest.mark.stack, pytest.mark.attack]
TABLE = operations()
LEAST = 1_000
"""Pairs of an operation and an identity."""
IN_NO_STATE_FOR_IT = {
    "intake: POST /v1/my/view",
    "intake: POST /v1/my/withdrawals",
    "intake: POST /v1/cases/{case}/disclosures/{disclosure}/refusal",
    "police-link: POST /v1/referrals/{code}/refusal",
    "police-link: POST /v1/subscriptions/{subscription}/replay",
}
"""Let in, and refused for what came before: a visit that never was, a disclosure approved, a referral registered, an
address that never answered."""
DATABASES = ("intake", "police_link", "forensics", "legal_aid")


def documented(http: httpx.Client, on: Ground, service: str) -> set[str]:
    """The operations of a service, as its own OpenAPI document names them."""
    paths = http.get(f"{on.base(service)}/openapi.json").raise_for_status().json()["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


@pytest.mark.parametrize("service", OWNERS)
def test_the_table_has_a_line_for_every_operation_and_for_no_other(
    ground: Ground, http: httpx.Client, service: str
) -> None:
    assert {each.name for each in TABLE if each.service == service} == documented(http, ground, service)


def test_whoever_may_not_is_told_so_alike_and_nothing_is_stored(
    stack: Stack, ground: Ground, http: httpx.Client, everybody: tuple[Identity, ...], token_of: Tokens, count: Count
) -> None:
    refused = [(each, who) for each in TABLE for who in everybody if each.refusal(who)]
    wrong, bodies = [], {401: set[str](), 403: set[str]()}
    for who in everybody:
        token_of(who)
    with nothing_stored(stack, *DATABASES):
        for operation, who in refused:
            answer = ask(http, operation, token_of(who), ground)
            if answer.status != operation.refusal(who):
                wrong.append(f"{who.name} gets {answer.status} of {operation}")
            elif operation.name != "POST /fhir":
                bodies[answer.status].add(str(answer.body))
    assert wrong == []
    assert {status: len(each) for status, each in bodies.items()} == {401: 1, 403: 1}
    pairs = len(TABLE) * len(everybody)
    assert pairs >= LEAST
    count("operation × identity, of which refused", len(refused))
    count("operation × identity", pairs)


def test_without_a_token_nothing_opens(ground: Ground, http: httpx.Client, count: Count) -> None:
    closed = [each for each in TABLE if not each.anyone]
    answers = {str(each): ask(http, each, None, ground).status for each in closed}
    assert {name: status for name, status in answers.items() if status != 401} == {}
    count("operations without a token", len(closed))


def test_a_stranger_of_the_right_role_gets_what_anybody_gets_for_what_never_was(
    ground: Ground, http: httpx.Client, everybody: tuple[Identity, ...], token_of: Tokens, count: Count
) -> None:
    strange = [(each, who) for each in TABLE for who in everybody if not each.refusal(who) and each.strange_to(who)]
    wrong = []
    for operation, who in strange:
        there = ask(http, operation, token_of(who), ground)
        never = ask(http, operation, token_of(who), ground, nobodys=True)
        if there.status != operation.stranger or there != never or there.told:
            wrong.append((str(operation), who.name, *_where(there, never), there.told))
    assert not wrong, "\n".join(map(str, wrong))
    assert len(strange) >= len(TABLE) / 2
    count("another organisation's thing asked for", len(strange))


def test_whoever_may_is_let_in(
    ground: Ground, http: httpx.Client, everybody: tuple[Identity, ...], token_of: Tokens, count: Count
) -> None:
    let_in = [(each, who) for each in TABLE for who in everybody if not each.refusal(who) and not each.strange_to(who)]
    answers = {(str(each), who.name): ask(http, each, token_of(who), ground).status for each, who in let_in}
    shut = {pair: status for pair, status in answers.items() if status in {401, 403} or status >= 500}
    assert shut == {}
    taken = {operation for (operation, _), status in answers.items() if status < 400}
    assert {str(each) for each in TABLE} - taken == IN_NO_STATE_FOR_IT
    count("operation × identity, of which let in", len(let_in))


def _where(there: Asked, never: Asked) -> tuple[object, ...]:
    differing = set(there.headers) ^ set(never.headers)
    return (there.status, never.status, there.body if there.body != never.body else "", differing)
