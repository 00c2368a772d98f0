"""Who she is, and how she may safely be reached."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from pydantic import ValidationInfo, field_validator

from amanat.categories import Category
from amanat.contracts.base import Record
from amanat.contracts.values import Cnic, Day, Line, Paragraph, Years


class Person(Record):
    """The person served: identity, which goes to police and counsel, and to a laboratory never."""

    full_name: Annotated[Line | None, Category.IDENTITY] = None
    father_or_husband_name: Annotated[Line | None, Category.IDENTITY] = None
    cnic: Annotated[Cnic | None, Category.IDENTITY] = None
    birth_date: Annotated[Day | None, Category.IDENTITY] = None
    age_years_stated: Annotated[Years | None, Category.IDENTITY] = None
    gender: Annotated[Literal["female", "male", "transgender", "unknown"] | None, Category.IDENTITY] = None
    address: Annotated[Paragraph | None, Category.IDENTITY] = None
    nationality: Annotated[Line | None, Category.IDENTITY] = None
    guardian_name: Annotated[Line | None, Category.IDENTITY] = None
    guardian_cnic: Annotated[Cnic | None, Category.IDENTITY] = None
    hospital_record_number: Annotated[Line | None, Category.IDENTITY] = None
    mlc_number: Annotated[Line | None, Category.IDENTITY] = None

    @field_validator("birth_date")
    @classmethod
    def _born_already(cls, value: date | None, info: ValidationInfo) -> date | None:
        # The day can be passed in as validation context ({"today": date}); a request model, which gets none, is held to
        # the latest day that it is anywhere on earth.
        given = (info.context or {}).get("today")
        today = given if isinstance(given, date) else (datetime.now(UTC) + timedelta(hours=14)).date()
        if value is not None and value > today:
            raise ValueError("a birth in the future")
        return value


class SafeContact(Record):
    """How to reach her without danger. Goes only to whom she names."""

    channel: Annotated[Literal["call", "sms", "whatsapp", "through_person", "none"] | None, Category.CONTACT] = None
    number: Annotated[Line | None, Category.CONTACT] = None
    safe_hours: Annotated[Line | None, Category.CONTACT] = None
    code_word: Annotated[Line | None, Category.CONTACT] = None
    do_not: Annotated[Paragraph | None, Category.CONTACT] = None
