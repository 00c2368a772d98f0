"""Clocks: what falls due after which trigger, by the versioned table `amanat/law/clocks.toml`. Pure."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from amanat import law

# Working days and calendar months are counted on Pakistan's calendar: standard time all year.
_LOCAL = timedelta(hours=5)
_WEEKEND = frozenset({5, 6})


class DueAfter(BaseModel):
    """A span from the trigger; exactly one unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hours: int | None = Field(default=None, ge=1)
    days: int | None = Field(default=None, ge=1)
    months: int | None = Field(default=None, ge=1)
    working_days: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("a clock counts in one unit")
        return self

    def after(self, at: datetime) -> datetime:
        """The due time (UTC) for a trigger at `at`. A month's missing day becomes that month's last."""
        if self.hours is not None:
            return at.astimezone(UTC) + timedelta(hours=self.hours)
        local = at.astimezone(UTC) + _LOCAL
        if self.days is not None:
            local += timedelta(days=self.days)
        elif self.months is not None:
            year, month = divmod(local.year * 12 + local.month - 1 + self.months, 12)
            local = local.replace(year=year, month=month + 1, day=min(local.day, monthrange(year, month + 1)[1]))
        else:
            for _ in range(self.working_days or 0):
                local += timedelta(days=1)
                while local.weekday() in _WEEKEND:
                    local += timedelta(days=1)
        return local - _LOCAL


class Clock(BaseModel):
    """One row of the table. `mark`: V read in a source, G commonly stated, D our own choice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    trigger: str
    due: DueAfter
    source: str
    mark: Literal["V", "G", "D"]
    province: str = "*"
    version: int


@dataclass(frozen=True)
class Due:
    """One thing that falls due: `kind` by `due_at` (UTC), under `version` of the table, as `source` asks."""

    kind: str
    trigger: str
    trigger_at: datetime
    due_at: datetime
    source: str
    mark: str
    version: int


class ClockRules(BaseModel):
    """The clocks of one province."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    province: str
    clocks: tuple[Clock, ...]

    @classmethod
    def load(cls, province: str = "*") -> Self:
        """A province's clocks: its own where it has one of the kind and trigger, else the one of every province.

        Raises:
            pydantic.ValidationError: the table is not well formed.
        """
        content = law.table("clocks")
        rows = [Clock.model_validate({**row, "version": content["version"]}) for row in content["clock"]]
        chosen = {(row.kind, row.trigger): row for row in rows if row.province == "*"}
        chosen |= {(row.kind, row.trigger): row for row in rows if row.province == province}
        return cls(province=province, clocks=tuple(chosen.values()))


def due(rules: ClockRules, trigger: str, at: datetime) -> tuple[Due, ...]:
    """What falls due after `trigger` happened at `at`, soonest first; nothing for a trigger that no clock knows.

    Raises:
        ValueError: `at` has no time zone.
    """
    if at.tzinfo is None:
        raise ValueError("a time with its zone is expected")
    found = (
        Due(
            kind=rule.kind,
            trigger=rule.trigger,
            trigger_at=at,
            due_at=rule.due.after(at),
            source=rule.source,
            mark=rule.mark,
            version=rule.version,
        )
        for rule in rules.clocks
        if rule.trigger == trigger
    )
    return tuple(sorted(found, key=lambda item: (item.due_at, item.kind)))
