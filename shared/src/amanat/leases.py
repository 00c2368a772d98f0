"""Leases: the keys to what was disclosed, for seconds, in memory only.

Source of the rule: DESIGN, "Sealing, leases, withdrawal", *A lease*. The gate records each lease before keys leave it;
a lease ends at `expires_in_s`, counted on this machine's boot clock from before the request was sent, so that no
slow answer lengthens it. The wire itself is in `lease_wire`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import islice
from typing import Protocol, cast, runtime_checkable
from uuid import UUID

import httpx

from amanat.boottime import boottime as real_boottime
from amanat.lease_wire import MAX_ITEMS, Ask, GateAway, GateRefused, Lease, LeasedKey, read_answer, request_body
from amanat.service_token import TokenUnavailable
from amanat.waiting import ended

__all__ = ["GateAway", "GateRefused", "Lease", "LeaseClient", "LeasedKey"]

PATH = "/internal/v1/leases"
REQUEST_SECONDS = 2.0
# A caller may have to wait for a token, or for a place in the next request.
WAIT_SECONDS = 4.0
# One slow answer must not hold up all the others; what comes while all are out is gathered into the next.
MAX_FLIGHTS = 4
SWEEP_SECONDS = 1.0
# A lease with less left is asked for anew first: an answer that is being made when its lease ends must be begun again,
# and leaves a look of its own each time.
LEFT_SECONDS = 1.0


@runtime_checkable
class Forgetful(Protocol):
    """A token source that can be told that its token was refused, as `ServiceToken` can."""

    def forget(self, token: str) -> None: ...


class LeaseClient:
    """Leases from one gate for one agency's service, cached per referral × organisation × purpose.

    Asks that come together travel together, up to 50 in one request. Empty leases are never cached: a grant given a
    moment later shows at once. A lease that is over leaves memory within about a second.
    """

    def __init__(
        self,
        gate_url: str,
        token_source: Callable[[], Awaitable[str]],
        agency: str,
        http: httpx.AsyncClient,
        boottime: Callable[[], float] = real_boottime,
    ) -> None:
        self._url = gate_url.rstrip("/") + PATH
        self._token_source = token_source
        self._agency = agency
        self._http = http
        self._boottime = boottime
        self._held: dict[Ask, Lease] = {}
        self._waiting: dict[Ask, asyncio.Future[Lease]] = {}
        self._flying: dict[Ask, asyncio.Future[Lease]] = {}
        self._flights: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"LeaseClient(agency={self._agency!r}, held={len(self._held)})"

    async def lease(self, referral: str, organisation: str, purpose: str, *, need: Collection[UUID] = ()) -> Lease:
        """The lease held, if it lives a while yet and has every key of `need`; else the gate's answer now, which may be
        empty or still lack a key: the gate has the last word. While it does not answer, the lease held is good until
        its very end. Raises GateAway.

        The caller asks `live(boottime())` again just before the first byte of its answer.
        """
        held = self.held(referral, organisation, purpose, need=need)
        if held is not None:
            return held
        ask = Ask(referral, organisation, purpose)
        try:
            return await self._asked(ask, need)
        except GateAway:
            held = self._held.get(ask)
            if held is not None and held.has(need) and held.live(self._boottime()):
                return held
            raise

    def held(self, referral: str, organisation: str, purpose: str, *, need: Collection[UUID] = ()) -> Lease | None:
        """The lease that is here, if it lives a while yet and has every key of `need`: nobody is asked for it."""
        held = self._held.get(Ask(referral, organisation, purpose))
        good = held is not None and held.has(need) and held.live(self._boottime() + LEFT_SECONDS)
        return held if good else None

    async def _asked(self, ask: Ask, need: Collection[UUID]) -> Lease:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                joined = ask in self._flying
                lease = await self._ask(ask)
                if joined and not lease.has(need):
                    # The gate may have read that request before the needed key was minted.
                    lease = await self._ask(ask)
                return lease
        except TimeoutError:
            raise GateAway("the gate does not answer in time") from None

    async def aclose(self) -> None:
        """Forgets every key; who still waits gets GateAway. `http` stays open: it is the caller's."""
        flights = list(self._flights)
        await ended(flights)
        self._flights.clear()  # those cancelled before their first step
        _fail(self._waiting.values(), GateAway("this service is stopping"))
        self._waiting.clear()
        self._held.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    async def _ask(self, ask: Ask) -> Lease:
        future = self._waiting.get(ask) or self._flying.get(ask)
        if future is None:
            future = self._waiting[ask] = asyncio.get_running_loop().create_future()
            if len(self._flights) < MAX_FLIGHTS:
                flight = asyncio.create_task(self._fly())
                self._flights.add(flight)
        # A caller that gives up must not take the lease from the others.
        return await asyncio.shield(future)

    async def _fly(self) -> None:
        try:
            while self._waiting:
                await self._fly_once()
        finally:
            # Here, not in a done callback: an ask between the last look at `_waiting` and the callback would find
            # every place taken by flights that are over, and wait for nobody.
            self._flights.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _fly_once(self) -> None:
        batch = dict(islice(self._waiting.items(), MAX_ITEMS))
        for ask in batch:
            self._flying[ask] = self._waiting.pop(ask)
        try:
            leases = await self._send(list(batch))
        except asyncio.CancelledError:
            _fail(batch.values(), GateAway("this service is stopping"))
            raise
        except Exception as error:  # whoever waits gets it: a task's own exception would reach nobody
            _fail(batch.values(), error)
        else:
            for (ask, future), lease in zip(batch.items(), leases, strict=True):
                if isinstance(lease, GateAway):
                    _fail([future], lease)
                    continue
                self._hold(ask, lease)
                future.set_result(lease)
        finally:
            for ask in batch:
                del self._flying[ask]

    async def _send(self, asks: Sequence[Ask]) -> list[Lease | GateAway]:
        token = await self._token()
        asked_at, response = await self._post(asks, token)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            if isinstance(self._token_source, Forgetful):
                self._token_source.forget(token)
            asked_at, response = await self._post(asks, await self._token())
        if response.status_code >= 500 or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise GateAway(f"the gate answers with status {response.status_code}")
        if response.status_code != httpx.codes.OK:
            raise GateRefused(f"the gate refuses this service with status {response.status_code}")
        return read_answer(response.content, asks, agency=self._agency, asked_at=asked_at)

    async def _token(self) -> str:
        try:
            return await self._token_source()
        except TokenUnavailable as unavailable:
            raise GateAway(f"no token for the gate: {unavailable}") from None

    async def _post(self, asks: Sequence[Ask], token: str) -> tuple[float, httpx.Response]:
        asked_at = self._boottime()
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                headers = {"authorization": f"Bearer {token}"}
                return asked_at, await self._http.post(self._url, json=request_body(asks), headers=headers)
        except (httpx.HTTPError, TimeoutError):
            raise GateAway("the gate does not answer") from None

    def _hold(self, ask: Ask, lease: Lease) -> None:
        if lease.live(self._boottime()):
            self._held[ask] = lease
            if self._sweeper is None:
                self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
        else:
            self._held.pop(ask, None)

    def _sweep(self) -> None:
        now = self._boottime()
        self._held = {ask: lease for ask, lease in self._held.items() if lease.live(now)}
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep) if self._held else None


def _fail(futures: Collection[asyncio.Future[Lease]], error: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
            future.exception()  # marks it as retrieved: its only waiter may have given up already
