"""Whatever a stranger changes in a bundle: it is taken or refused; nothing else happens, and nothing is quoted."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amanat.directory import Directory
from intake.fhir import NotUsable, TooManyEntries, Unreadable, operation_outcome, parse, response_bundle, to_new_case

CANARY = "Zubeida4210199"
NAMES = ("extension", "modifierExtension", "contained", "_status", "status", "id", "class_fhir", "resource_type", "foo")
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 10**30, 1.5, "", " ", CANARY, f"{CANARY}\u202e", "2026-02", "2026-02-30"),
    *(
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59+14:00",
        "urn:uuid:x",
        "#x",
        "Patient/1",
        CANARY * 50,
        CANARY * 5_000,
    ),
    *([], {}, [None], [[]], [{}], {CANARY: 1}, {"reference": CANARY}, {"coding": [{"code": CANARY}]}),
    *([{"resourceType": CANARY}], {"resourceType": "Medication"}, {"system": CANARY, "value": CANARY}),
)


def places(node: Any) -> list[tuple[Any, Any]]:
    found, waiting = [], [node]
    while waiting:
        each = waiting.pop()
        for key, child in each.items() if isinstance(each, dict) else enumerate(each):
            found.append((each, key))
            waiting += [child] if isinstance(child, dict | list) else []
    return found


def change(bundle: dict[str, Any], where: int, how: str, what: int) -> None:
    """One change at one place: what is there is replaced, removed, copied elsewhere, or something is added to it."""
    found = places(bundle)
    if not found:
        return
    node, key = found[where % len(found)]
    odd = copy.deepcopy(ODD[what % len(ODD)])
    if how == "remove":
        del node[key]
    elif how == "copy":
        source, name = found[(where * 31 + what) % len(found)]
        node[key] = copy.deepcopy(source[name])
    elif how == "add" and isinstance(node, dict):
        node[NAMES[what % len(NAMES)]] = odd
    elif how == "add":
        node.append(odd)
    else:
        node[key] = odd


CHANGES = st.lists(
    st.tuples(
        st.integers(0, 10_000), st.sampled_from(["replace", "replace", "remove", "copy", "add"]), st.integers(0, 10_000)
    ),
    min_size=1,
    max_size=4,
)
FIXED = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def taken_or_refused(body: bytes, directory: Directory, now: datetime) -> str:
    """What is answered. Raises whatever is no refusal."""
    try:
        mapped = to_new_case(parse(body), directory, "arcc-karachi", now)
    except (Unreadable, TooManyEntries, NotUsable) as refused:
        return json.dumps(operation_outcome(refused))
    assert len(json.dumps(response_bundle(mapped.for_known_case(), "C-0000-0000-0"))) > 0
    return json.dumps(response_bundle(mapped, "C-0000-0000-0"))


@pytest.mark.parametrize("name", ["arrival", "child-and-guardian"])
@FIXED
@given(changes=CHANGES)
def test_a_changed_bundle_is_taken_or_refused_and_never_quoted(
    name: str,
    changes: list[tuple[int, str, int]],
    example: Callable[[str], dict[str, Any]],
    directory: Directory,
    now: datetime,
) -> None:
    bundle = example(name)
    for where, how, what in changes:
        change(bundle, where, how, what)
    assert CANARY not in taken_or_refused(json.dumps(bundle).encode(), directory, now)


@FIXED
@given(where=st.integers(0, 10_000), what=st.integers(0, 10_000), element=st.sampled_from(["Patient", "Consent"]))
def test_a_changed_value_inside_a_resource_never_breaks_the_mapping(
    where: int,
    what: int,
    element: str,
    example: Callable[[str], dict[str, Any]],
    of_type: Callable[..., list[dict[str, Any]]],
    directory: Directory,
    now: datetime,
) -> None:
    bundle = example("arrival")
    leaves = [
        (node, key)
        for resource in of_type(bundle, element)
        for node, key in places(resource)
        if isinstance(node[key], str) and key != "resourceType"
    ]
    node, key = leaves[where % len(leaves)]
    node[key] = ["x", CANARY, "2031-01-01", "1996", "permit", "IRCP", "home", "old", f"{CANARY}\u202e"][what % 9]
    assert CANARY not in taken_or_refused(json.dumps(bundle).encode(), directory, now)


@FIXED
@given(start=st.integers(0, 100_000), length=st.integers(0, 50), noise=st.binary(max_size=20))
def test_changed_bytes_are_taken_or_refused(
    start: int, length: int, noise: bytes, arrival: dict[str, Any], directory: Directory, now: datetime
) -> None:
    body = json.dumps(arrival, ensure_ascii=False).encode()
    start %= len(body)
    taken_or_refused(body[:start] + noise + body[start + length :], directory, now)


@FIXED
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["resourceType", "type", "entry", "resource", "request"]), inner, max_size=5
            )
        ),
        max_leaves=20,
    )
)
def test_any_json_at_all_is_taken_or_refused(value: Any, directory: Directory, now: datetime) -> None:
    body = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": value}).encode()
    taken_or_refused(body, directory, now)
