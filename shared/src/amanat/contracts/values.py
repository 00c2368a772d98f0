"""The values that contracts are made of: texts, times, numbers. Strict: a number is no time, "yes" is no boolean."""

import base64
import binascii
import re
from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    PlainSerializer,
    StrictBool,
    StringConstraints,
    WithJsonSchema,
)
from pydantic import Field as PydanticField

from amanat.codes import CODE_PATTERN
from amanat.text import plain_text

_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})"
)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EARLIEST, _LATEST = 1900, 2199
_YEARS_EXPECTED = "a year between 1900 and 2199 is expected"


def _written_as_timestamp(value: object) -> object:
    if isinstance(value, datetime) or (isinstance(value, str) and _TIMESTAMP.fullmatch(value)):
        return value
    raise ValueError("not a timestamp with date, time and offset")


def _in_utc(value: datetime) -> datetime:
    # One form for one instant: commitments and comparisons must not depend on the writer's offset. The year counts in
    # that form, in which it is read again: a row that its own contract refuses could never be opened.
    try:
        instant = value.astimezone(UTC)
    except OverflowError:
        raise ValueError(_YEARS_EXPECTED) from None
    if not _EARLIEST <= instant.year <= _LATEST:
        raise ValueError(_YEARS_EXPECTED)
    return instant


def _written_as_day(value: object) -> object:
    if isinstance(value, str) and _DAY.fullmatch(value):
        return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError("not a date")


def _possible_year(value: date) -> date:
    if not _EARLIEST <= value.year <= _LATEST:
        raise ValueError(_YEARS_EXPECTED)
    return value


def _from_base64(value: object) -> object:
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (ValueError, binascii.Error):
            raise ValueError("not base64") from None
    return value


def _to_base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _with_dashes(value: str) -> str:
    digits = value.replace("-", "")
    return f"{digits[:5]}-{digits[5:12]}-{digits[12]}"


Line = Annotated[str, StringConstraints(max_length=500), AfterValidator(plain_text)]
"""A short text: a name, a number, a place."""

Paragraph = Annotated[str, StringConstraints(max_length=50_000), AfterValidator(plain_text)]
"""A long text: an account, findings, reasons."""

Moment = Annotated[AwareDatetime, BeforeValidator(_written_as_timestamp), AfterValidator(_in_utc)]
"""An instant of the years 1900 to 2199 in UTC, written as RFC 3339 with its offset; kept in UTC."""

Day = Annotated[date, BeforeValidator(_written_as_day), AfterValidator(_possible_year)]
"""A calendar day, written as YYYY-MM-DD."""

Flag = StrictBool
"""True or false, and nothing that merely looks like it."""

Count = Annotated[int, PydanticField(strict=True, ge=0, le=2**53 - 1)]
"""A whole number from zero, exact in every JSON reader."""

Years = Annotated[int, PydanticField(strict=True, ge=0, le=130)]
"""An age in completed years."""

Celsius = Annotated[float, PydanticField(strict=True, ge=-273.15, le=200, allow_inf_nan=False)]
"""A temperature in degrees Celsius."""

Cnic = Annotated[str, StringConstraints(pattern=r"^[0-9]{5}-?[0-9]{7}-?[0-9]$"), AfterValidator(_with_dashes)]
"""A CNIC or B-Form number, 5-7-1 digits; kept with its dashes."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 hash in lower-case hexadecimal."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9._-]{0,98}[a-z0-9])?$")]
"""An identifier of ours: an organisation, a cell, a purpose, a key."""

Barcode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?$")]
"""A kit's printed serial; without meaning."""

ReferralCode = Annotated[str, StringConstraints(pattern=CODE_PATTERN)]
"""An agency's code of a case, in its normal form."""

Base64 = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(_to_base64, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
"""Bytes; standard base64 in JSON."""

Sealed = Base64
"""Ciphertext."""
