"""The issuer's keys: new ones are found, withdrawn ones end, and it may be away for a while."""

from __future__ import annotations

import asyncio

import pytest

from amanat import auth
from amanat.errors import Unauthenticated

from .issuers import Issuer


async def test_with_the_issuer_away_known_keys_go_on(issuer: Issuer) -> None:
    verifier = issuer.verifier()
    await verifier.verify(issuer.token())
    issuer.away = True
    issuer.monotonic += 3600
    assert (await verifier.verify(issuer.token())).organisation == "station-saddar"
    await asyncio.sleep(0.01)
    assert issuer.fetches == 2  # it was tried, and nobody waited


async def test_a_new_key_of_the_issuer_is_found(issuer: Issuer) -> None:
    verifier = issuer.verifier()
    await verifier.verify(issuer.token())
    issuer.keys.append(issuer.new_key("second"))
    issuer.monotonic += 10
    assert (await verifier.verify(issuer.token(key=issuer.keys[1]))).client == "station-saddar-system"


async def test_a_key_that_the_issuer_withdrew_ends(issuer: Issuer) -> None:
    verifier = issuer.verifier()
    old = issuer.keys[0]
    await verifier.verify(issuer.token(key=old))
    issuer.keys = [issuer.new_key("second")]
    issuer.monotonic += 301
    await verifier.verify(issuer.token(key=old))  # starts the refresh
    await asyncio.sleep(0.01)
    with pytest.raises(Unauthenticated):
        await verifier.verify(issuer.token(key=old))


async def test_made_up_key_ids_do_not_make_it_ask_more_than_every_ten_seconds(issuer: Issuer) -> None:
    verifier = issuer.verifier()
    for number in range(20):
        with pytest.raises(Unauthenticated):
            await verifier.verify(issuer.token(key=issuer.new_key(f"made-up-{number}")))
    assert issuer.fetches == 1
    issuer.monotonic += 10
    with pytest.raises(Unauthenticated):
        await verifier.verify(issuer.token(key=issuer.new_key("another")))
    assert issuer.fetches == 2


async def test_many_that_come_at_once_wait_for_one_fetch(issuer: Issuer) -> None:
    verifier = issuer.verifier()
    await asyncio.gather(*(verifier.verify(issuer.token()) for _ in range(20)))
    assert issuer.fetches == 1


async def test_a_token_that_was_good_ends_with_its_key(issuer: Issuer) -> None:
    verifier, token = issuer.verifier(), issuer.token()
    await verifier.verify(token)
    issuer.keys = [issuer.new_key("second")]
    issuer.monotonic += 301
    await verifier.verify(token)  # starts the refresh
    await asyncio.sleep(0.01)
    with pytest.raises(Unauthenticated):
        await verifier.verify(token)


async def test_a_token_that_was_good_is_no_good_under_another_key_of_the_same_name(issuer: Issuer) -> None:
    verifier, token = issuer.verifier(), issuer.token()
    await verifier.verify(token)
    issuer.keys = [issuer.new_key("first")]
    issuer.monotonic += 301
    await verifier.verify(token)
    await asyncio.sleep(0.01)
    with pytest.raises(Unauthenticated):
        await verifier.verify(token)


async def test_a_token_that_was_good_expires(issuer: Issuer) -> None:
    verifier, token = issuer.verifier(), issuer.token()
    await verifier.verify(token)
    issuer.now += 306
    with pytest.raises(Unauthenticated):
        await verifier.verify(token)


async def test_one_changed_letter_of_a_token_that_was_good_is_refused(issuer: Issuer) -> None:
    verifier, token = issuer.verifier(), issuer.token()
    await verifier.verify(token)
    for place in (len(token) // 2, len(token) - 2):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(Unauthenticated):
            await verifier.verify(changed)


async def test_no_more_tokens_are_remembered_than_there_is_room_for(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "REMEMBERED", 3)
    verifier = issuer.verifier()
    for _ in range(9):
        await verifier.verify(issuer.token())
    assert len(verifier._signed) == 3
