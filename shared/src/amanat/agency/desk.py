"""What an agency's HTTP process holds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from amanat.agency.instruments import Instruments
from amanat.boottime import boottime as real_boottime
from amanat.db import Database
from amanat.lease_wire import Lease
from amanat.pages import Cursors


class Leases(Protocol):
    """What reading needs of `amanat.leases.LeaseClient`."""

    def held(self, referral: str, organisation: str, purpose: str, *, need: Collection[UUID] = ()) -> Lease | None: ...

    async def lease(self, referral: str, organisation: str, purpose: str, *, need: Collection[UUID] = ()) -> Lease: ...


@dataclass(frozen=True)
class Desk:
    """Made once per process. `boottime` counts leases and what was fetched; `clock` is the time in UTC."""

    database: Database
    leases: Leases
    instruments: Instruments
    cursors: Cursors
    boottime: Callable[[], float] = real_boottime
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return self.clock()
