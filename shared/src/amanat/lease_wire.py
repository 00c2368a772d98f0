"""A lease on the wire, and what it is once here.

`POST {gate}/internal/v1/leases {"items": [{"referral", "organisation", "purpose"}]}` →
`{"leases": [{"referral", "consent_version", "expires_in_s", "keys": [{"category", "epoch", "key_id", "key"}],
"unopened"}]}`, in the same order; `key` is base64. The agency is the token's, never the body's. Unknown, foreign,
another organisation's and closed are one same empty item. `unopened` says of one item what a gate that is away says of
all: there is something, and no key of it to be had now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from amanat.categories import Category
from amanat.sealing import KEY_BYTES

MAX_ITEMS = 50


class GateAway(Exception):
    """No lease to be had now: the gate or the issuer is unreachable, too slow or failing. Answer 503, never 404."""


class GateRefused(GateAway):
    """The gate is there and does not serve this client: a wrong setting, which waiting does not mend."""


@dataclass(frozen=True)
class LeasedKey:
    """One category's key in one epoch; no repr shows it."""

    category: Category
    epoch: int
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Ask:
    """What a lease is asked for and cached by: all three."""

    referral: str
    organisation: str
    purpose: str


@dataclass(frozen=True)
class Lease:
    """What one organisation may open of one referral until `good_until_boottime` (seconds of `boottime()`).

    Empty (`keys` has nothing) when there is no valid grant, or no such referral for this organisation: one answer.
    """

    agency: str
    organisation: str
    purpose: str
    referral: str
    consent_version: int
    keys: Mapping[UUID, LeasedKey]
    good_until_boottime: float

    @property
    def categories(self) -> frozenset[Category]:
        return frozenset(key.category for key in self.keys.values())

    def live(self, now_boottime: float) -> bool:
        """False from `good_until_boottime` on, that instant included; an empty lease never is."""
        return bool(self.keys) and now_boottime < self.good_until_boottime

    def has(self, need: Collection[UUID]) -> bool:
        return all(key_id in self.keys for key_id in need)


def _key(value: bytes) -> bytes:
    if len(value) != KEY_BYTES:
        raise ValueError("a data key has 32 bytes")
    return value


class _WireKey(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    category: str
    epoch: int
    key_id: UUID
    key: Annotated[Base64Bytes, AfterValidator(_key)] = Field(repr=False)


class _WireLease(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    referral: str
    consent_version: int = Field(ge=0)
    expires_in_s: float = Field(ge=0, allow_inf_nan=False)
    keys: list[_WireKey]
    unopened: bool = False


class _WireAnswer(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    leases: list[_WireLease]


def request_body(asks: Sequence[Ask]) -> dict[str, list[dict[str, str]]]:
    return {
        "items": [{"referral": ask.referral, "organisation": ask.organisation, "purpose": ask.purpose} for ask in asks]
    }


def read_answer(body: bytes, asks: Sequence[Ask], *, agency: str, asked_at: float) -> list[Lease | GateAway]:
    """One lease per ask, in order, or why there is none. Raises GateAway if the answer is not one to exactly these
    asks."""
    try:
        answer = _WireAnswer.model_validate_json(body)
    except ValidationError:
        raise GateAway("the gate's answer cannot be read") from None
    if [lease.referral for lease in answer.leases] != [ask.referral for ask in asks]:
        raise GateAway("the gate answered to something else than was asked")
    return [
        GateAway("the gate cannot open a key of this referral")
        if lease.unopened
        else Lease(
            agency=agency,
            organisation=ask.organisation,
            purpose=ask.purpose,
            referral=ask.referral,
            consent_version=lease.consent_version,
            keys=MappingProxyType({key.key_id: _leased(key) for key in lease.keys if key.category in _KNOWN}),
            good_until_boottime=asked_at + lease.expires_in_s,
        )
        for ask, lease in zip(asks, answer.leases, strict=True)
    ]


# A newer gate may know a category that this service does not: it has no field that could show it.
_KNOWN = frozenset(category.value for category in Category)


def _leased(key: _WireKey) -> LeasedKey:
    return LeasedKey(category=Category(key.category), epoch=key.epoch, key=key.key)
