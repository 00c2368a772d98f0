"""Clocks fall due as the table says, in Pakistan's days, with their sources."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from amanat import law
from amanat.clocks import Clock, ClockRules, DueAfter, due

RULES = ClockRules.load("sindh")
AT = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)


def _due(trigger: str, kind: str, at: datetime = AT) -> datetime:
    return next(item.due_at for item in due(RULES, trigger, at) if item.kind == kind)


@pytest.mark.parametrize(
    ("trigger", "kind", "after"),
    [
        ("presentation", "examination", timedelta(hours=6)),
        ("presentation", "evidence_secured", timedelta(hours=6)),
        ("presentation", "fir", timedelta(hours=6)),
        ("incident", "hiv_prophylaxis", timedelta(hours=72)),
        ("incident", "emergency_contraception", timedelta(hours=120)),
        ("incident", "anal_swab", timedelta(hours=24)),
        ("incident", "high_vaginal_swab", timedelta(hours=72)),
        ("incident", "kit_collection", timedelta(days=5)),
        ("dna_collected", "dna_to_laboratory", timedelta(hours=72)),
        ("fir", "interim_police_report", timedelta(days=17)),
        ("arrest", "before_magistrate", timedelta(hours=24)),
    ],
)
def test_each_clock_runs_from_its_trigger(trigger: str, kind: str, after: timedelta) -> None:
    assert _due(trigger, kind) == AT + after


def test_months_are_the_calendars_and_a_missing_day_is_the_months_last() -> None:
    assert _due("incident", "hepatitis_b") == datetime(2026, 6, 1, 4, 30, tzinfo=UTC)
    assert _due("cognizance", "trial_concluded", datetime(2026, 10, 31, 4, tzinfo=UTC)) == datetime(
        2027, 2, 28, 4, tzinfo=UTC
    )
    # Still the 30th in Greenwich, already the 31st in Karachi.
    assert _due("cognizance", "trial_concluded", datetime(2026, 10, 30, 20, tzinfo=UTC)) == datetime(
        2027, 2, 27, 20, tzinfo=UTC
    )


def test_seven_working_days_skip_the_weekends() -> None:
    thursday = datetime(2026, 3, 5, 7, tzinfo=UTC)
    assert _due("kit_sealed", "laboratory_report", thursday) == datetime(2026, 3, 16, 7, tzinfo=UTC)


def test_the_writers_time_zone_does_not_matter_and_a_time_without_one_is_refused() -> None:
    karachi = AT.astimezone(timezone(timedelta(hours=5)))
    assert [item.due_at for item in due(RULES, "incident", karachi)] == [
        item.due_at for item in due(RULES, "incident", AT)
    ]
    with pytest.raises(ValueError, match="zone"):
        due(RULES, "incident", AT.replace(tzinfo=None))


def test_what_is_due_first_comes_first_and_an_unknown_trigger_starts_nothing() -> None:
    found = due(RULES, "incident", AT)
    assert found == tuple(sorted(found, key=lambda item: (item.due_at, item.kind)))
    assert all(item.trigger_at == AT and item.version >= 1 and item.source and item.mark for item in found)
    assert due(RULES, "rumour", AT) == ()


def test_a_provinces_own_clock_replaces_the_general_one_there_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    table = law.table("clocks")
    own = {**table["clock"][0], "due": {"hours": 4}, "province": "sindh", "source": "a provincial notification"}
    amended: dict[str, Any] = {**table, "clock": [own, *table["clock"]]}
    monkeypatch.setattr(law, "table", lambda _: amended)
    assert next(item.due_at - AT for item in due(ClockRules.load("sindh"), "presentation", AT)) == timedelta(hours=4)
    assert next(item.due_at - AT for item in due(ClockRules.load("punjab"), "presentation", AT)) == timedelta(hours=6)


@pytest.mark.parametrize("broken", [{}, {"hours": 1, "days": 1}, {"hours": 0}, {"weeks": 1}])
def test_a_clock_counts_in_one_known_unit(broken: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        DueAfter.model_validate(broken)


def test_every_table_of_law_has_a_version_and_every_rule_a_source_and_a_mark() -> None:
    for name in ("age_rules", "clocks", "purposes"):
        assert law.table(name)["version"] >= 1
    for rule in RULES.clocks:
        assert isinstance(rule, Clock)
        assert rule.source
        assert rule.mark in {"V", "G", "D"}
    assert law.table("purposes")["source"]
