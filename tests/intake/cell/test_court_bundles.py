"""A court bundle: made by whom, of what, on record before it is opened, and proven to whoever has it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from amanat import verify
from amanat_local.postgres import Postgres

from .court import Court, story
from .world import World


@pytest.fixture
async def court(world: World, migrated: Callable[[str, str], Postgres]) -> Court:
    return await story(world, migrated("intake", "intake"))


async def test_an_honest_bundle_is_proven(court: Court) -> None:
    answer, packed = await court.made()
    verdict = verify.verify(packed, court.trusted)
    print(verify.report(verdict)); print(verify.report(verdict,"ur"))
    files=verify.unpack(packed)
    for n,d in files.items():
        print(n, len(d)); 
        if not n.startswith("entries") and n.endswith("json"): print(json.dumps(json.loads(d), ensure_ascii=False)[:1500])
    open("/tmp/wt/bundle/b.zip","wb").write(packed)
    print(answer)
    assert verdict.wrong == []
