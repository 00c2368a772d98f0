"""What a story left behind, as a model in which two tellings are equal: codes, ids and times are taken out of it.

Looks, leases and webhook attempts may repeat where a request or its answer was lost, so they are no part of it; that
each answer has its look, each look of an agency is told once, and each webhook-id has one delivery, is asked besides.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import asyncpg

from .compact_story import Story
from .statements import AGENCY, COMMON, DATABASES, FORENSICS, INTAKE, POLICE_LINK

QUIET_S = 150.0
TOLD_S = 60.0
"""From a look until the gate knows of it, at most (DESIGN.md, "Looks")."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)?")
_HASH = re.compile(r"\b[0-9a-f]{64}\b")

# When a clock that ran over is noticed depends on the time alone; whether a lease was in vain, on who died holding it.
_AT_ANY_TIME = {"clock_overdue", "opened_not_accounted_for", "accounted_for_late"}

Model = dict[str, Counter[str]]
"""Section → normalised row → how often."""
Connections = Mapping[str, "asyncpg.Connection[asyncpg.Record]"]


class NeverQuiet(AssertionError):
    """What was still under way when patience ended."""


def settle(story: Story) -> Model:
    """Waits until nothing of the story is under way, then its model. Raises NeverQuiet, GaveUp."""
    asyncio.run(_with_databases(story, _quiet))
    views = story.views()
    model = asyncio.run(_with_databases(story, _rows))
    model |= {f"seen: {name}": Counter(_pieces(view, story.names)) for name, view in views.items()}
    model["feeds"] = Counter({_plain(code, story.names): count for code, count in story.listed().items()})
    told = [referral for referral in story.receiver.ids.values() if referral in story.names]  # not of other stories
    model["webhooks by id"] = Counter(_plain(referral, story.names) for referral in told)
    return model


def differences(wanted: Model, found: Model) -> list[str]:
    """One line for each row that is lost or doubled."""
    lines = []
    for section in sorted(wanted.keys() | found.keys()):
        was, now = wanted.get(section, Counter()), found.get(section, Counter())
        lines += [
            f"{section}: {now[row]} instead of {was[row]}: {row}"
            for row in sorted(was.keys() | now.keys())
            if was[row] != now[row]
        ]
    return lines


def unrecorded(story: Story) -> list[str]:
    """Answers that showed something without a look on record: there are fewer looks at it than answers."""
    looks = asyncio.run(_with_databases(story, _looks))
    lines = []
    for client in story.by.values():
        lines += [
            f"{client.name}: {seen} answers, {looks[of]} looks at {_plain(of, story.names)}"
            for of, seen in client.seen.items()
            if of and looks[of] < seen
        ]
    return lines


def untold(stories: Sequence[Story]) -> list[str]:
    """Looks of agencies at these stories' referrals that the gate was not told of in time, or that nobody recorded."""
    codes = [code for story in stories for code in story.names]

    async def compared(connections: Connections, _: Story) -> list[str]:
        deadline = time.monotonic() + TOLD_S
        while True:
            looked = {
                row["id"]
                for db in DATABASES[1:]
                for row in await connections[db].fetch("SELECT id FROM looks WHERE referral = ANY($1)", codes)
            }
            rows = await connections["intake"].fetch("SELECT look_id FROM agency_looks WHERE referral = ANY($1)", codes)
            told = Counter(row["look_id"] for row in rows)
            if told == Counter(looked) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.5)
        missing, made_up = len(looked - told.keys()), len(told.keys() - looked)
        return [f"{missing} of {len(looked)} looks untold, {made_up} made up"] if told != Counter(looked) else []

    found: list[str] = asyncio.run(_with_databases(stories[0], compared))
    return found


async def _with_databases(story: Story, ask: Callable[[Connections, Story], Awaitable[Any]]) -> Any:
    connections: dict[str, asyncpg.Connection[asyncpg.Record]] = {}
    try:
        for db in DATABASES:
            connections[db] = await asyncpg.connect(story.info["databases"][db]["admin"], timeout=10)
        return await ask(connections, story)
    finally:
        for connection in connections.values():
            await connection.close()


async def _quiet(connections: Connections, story: Story) -> None:
    deadline, before = time.monotonic() + QUIET_S, None
    while True:
        waiting, size = await _under_way(connections, story)
        # The databases are asked one after the other: only two equal answers mean that nothing moved in between.
        if not waiting and size == before:
            return
        before = size
        if time.monotonic() > deadline:
            raise NeverQuiet("; ".join(waiting) or "the outboxes still grow")
        await asyncio.sleep(0.1)


async def _under_way(connections: Connections, story: Story) -> tuple[list[str], int]:
    names, waiting, size = list(story.names), [], 0
    sent: dict[str, set[Any]] = {}
    for db, connection in connections.items():
        for row in await connection.fetch(
            "SELECT event_id, topic, published_at, cancelled_at FROM outbox WHERE referral = ANY($1)", names
        ):
            size += 1
            if row["cancelled_at"] is not None:
                continue
            if row["published_at"] is None:
                waiting.append(f"{db}'s outbox")
            reader = "intake" if row["topic"].startswith("facts.") else row["topic"].partition(".")[2].replace("-", "_")
            sent.setdefault(reader, set()).add(row["event_id"])
    for db, events in sent.items():
        had = await connections[db].fetch("SELECT event_id FROM inbox WHERE event_id = ANY($1)", list(events))
        if missing := len(events) - len(had):
            waiting.append(f"{missing} events for {db}")
    for db, connection in connections.items():
        parked = await connection.fetchval(
            "SELECT count(*) FROM parked WHERE referral = ANY($1) AND released_at IS NULL", names
        )
        if parked:
            waiting.append(f"{parked} parked at {db}")
    queued = await connections["police_link"].fetchval(
        "SELECT count(*) FROM webhook_deliveries WHERE subscription_id = $1::text::uuid"
        " AND (referral IS NULL OR referral = ANY($2)) AND delivered_at IS NULL AND gave_up_at IS NULL",
        story.subscription,
        names,
    )
    if queued:
        waiting.append(f"{queued} webhooks")
    return waiting, size


async def _rows(connections: Connections, story: Story) -> Model:
    model: Model = {}
    for db, connection in connections.items():
        own = {"intake": INTAKE, "police_link": AGENCY | POLICE_LINK, "forensics": AGENCY | FORENSICS}
        for section, statement in (COMMON | own.get(db, AGENCY)).items():
            rows = await connection.fetch(statement, list(story.names))
            model[f"{db}: {section}"] = Counter(_plain(json.dumps(list(row), default=str), story.names) for row in rows)
    return model


async def _looks(connections: Connections, story: Story) -> Counter[str]:
    looks: Counter[str] = Counter()
    for connection in connections.values():
        for row in await connection.fetch(
            "SELECT referral, count(*) AS looks FROM looks WHERE referral = ANY($1) GROUP BY referral",
            list(story.names),
        ):
            looks[row["referral"]] += row["looks"]
    return looks


def _plain(text: str, names: Mapping[str, str]) -> str:
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, names[name])
    for pattern, stands in ((_UUID, "<id>"), (_TIME, "<time>"), (_HASH, "<hash>")):
        text = pattern.sub(stands, text)
    return text


def _pieces(shown: Any, names: Mapping[str, str], path: str = "") -> Iterable[str]:
    """A view's leaves with their paths; a list's members are told as wholes, since ids may order them."""
    if isinstance(shown, dict):
        for key, value in shown.items():
            if path == "" and key == "looks":
                continue
            yield from _pieces(value, names, f"{path}/{key}")
    elif isinstance(shown, list):
        for each in shown:
            if not (isinstance(each, dict) and each.get("kind") in _AT_ANY_TIME):
                yield f"{path}: {_plain(json.dumps(each, sort_keys=True), names)}"
    else:
        yield f"{path}: {_plain(json.dumps(shown), names)}"
