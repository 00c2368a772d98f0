"""Every statement that is told whose rows it may touch has a test that asks it as somebody else, with row-level
security out of the way: a new one without fails here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
ASKERS = frozenset(
    {"tenant", "tenants", "access", "cell", "cells", "leased", "own", "event", "events", "referred", "rows", "asked"}
)
"""Parameters that say whose rows a statement may touch."""
CELL = "tests/intake/cell"
JOINS, CASES, GLASS = (f"{CELL}/test_joins{of}.py" for of in ("", "_of_cases", "_of_broken_glass"))
PAGE, APART = f"{CELL}/my_case/test_joins.py", f"{CELL}/test_tenants.py"
QUEUE, SUBSCRIBED = (f"tests/police_link/webhooks/test_{of}.py" for of in ("joins", "subscriptions"))
LABORATORY = "tests/forensics/test_tenants.py"
STATIONS = "tests/shared/agency/test_joins.py"
BOTH = f"{SUBSCRIBED}::test_every_statement_keeps_to_its_tenant_even_where_the_transaction_sees_two"
TRIED: Mapping[str, Mapping[str, str]] = {
    "forensics.repository": {
        "unmatched": f"{LABORATORY}::test_with_the_policy_open_the_joins_still_block",
        "find_parcel": f"{LABORATORY}::test_with_the_policy_open_the_joins_still_block",
        "set_matched": f"{LABORATORY}::test_with_the_policy_open_the_joins_still_block",
    },
    "intake.break_glass.repository.disclosures": {
        "read_disclosures": f"{GLASS}::test_what_was_asked_for_outside",
        "read_disclosure": f"{GLASS}::test_what_was_asked_for_outside",
        "secret_disclosures": f"{GLASS}::test_what_was_asked_for_outside",
        "lapsed": f"{GLASS}::test_what_was_asked_for_outside",
        "note_ended_secrecy": f"{GLASS}::test_a_secrecy_that_ended_is_noted_within_its_cell",
        "approved_of": f"{GLASS}::test_what_was_asked_for_outside",
    },
    "intake.break_glass.repository.emergencies": {
        "locate_code": f"{GLASS}::test_where_a_case_is",
        "locate": f"{GLASS}::test_where_a_case_is",
        "find_of_clinician": f"{GLASS}::test_whose_emergency_it_is",
        "find_of_cell": f"{GLASS}::test_whose_emergency_it_is",
        "reading_statement": f"{GLASS}::test_what_an_emergency_opens",
        "list_unreviewed": f"{GLASS}::test_whose_emergency_it_is",
        "review_statement": f"{GLASS}::test_whose_emergency_it_is",
        "review_of": f"{GLASS}::test_what_was_found_of_an_emergency",
        "note_unreviewed": f"{GLASS}::test_a_review_that_is_owed_is_noted_within_its_cell",
    },
    "intake.my_case.repository.claims": {
        "end_claim": f"{PAGE}::test_a_claim",
        "read_claim": f"{PAGE}::test_a_claim",
        "read_claim_of": f"{PAGE}::test_a_claim",
        "last_ended": f"{PAGE}::test_a_claim",
        "claim_statement": f"{PAGE}::test_a_claim",
        "read_unaccounted": f"{PAGE}::test_who_looked_and_who_left_a_lease_without_a_look",
        "read_own_looks": f"{PAGE}::test_who_looked_and_who_left_a_lease_without_a_look",
        "open_calls": f"{PAGE}::test_a_call_that_a_cell_owes",
        "find_call": f"{PAGE}::test_a_call_that_a_cell_owes",
        "finish_call": f"{PAGE}::test_a_call_that_a_cell_owes",
        "read_afar": f"{PAGE}::test_a_call_that_a_cell_owes",
        "undo_afar": f"{PAGE}::test_a_call_that_a_cell_owes",
    },
    "intake.my_case.repository.looks": {
        "read_each": f"{PAGE}::test_who_looked_and_who_left_a_lease_without_a_look",
    },
    "intake.my_case.repository.persons": {
        "read_persons": f"{PAGE}::test_who_she_is",
    },
    "intake.my_case.repository.sign_ins": {
        "note_duress": f"{PAGE}::test_a_duress_pin_is_noted_within_its_cell",
    },
    "intake.repository.cases": {
        "lock_case": f"{APART}::test_with_row_level_security_open_the_tenant_join_still_blocks",
        "touch_case": f"{CASES}::test_a_cases_version",
        "version_of": f"{CASES}::test_a_cases_version",
        "tenant_of": f"{APART}::test_with_row_level_security_open_the_tenant_join_still_blocks",
        "case_statement": f"{CASES}::test_a_cases_records",
        "current_records": f"{CASES}::test_a_cases_records",
        "find_by_index": f"{CASES}::test_a_search_over_the_blind_index",
        "has_index": f"{CASES}::test_a_search_over_the_blind_index",
        "read_timeline": f"{CASES}::test_a_timeline_and_its_clocks",
        "start_clocks": f"{CASES}::test_clocks_start_and_stop_within_their_cell",
        "stop_clock": f"{CASES}::test_clocks_start_and_stop_within_their_cell",
        "read_clocks": f"{CASES}::test_a_timeline_and_its_clocks",
    },
    "intake.repository.changes": {
        "apply": f"{CASES}::test_a_plan_changes_nothing_of_another_cells",
    },
    "intake.repository.consents": {
        "read_events": f"{CASES}::test_a_cases_referrals_and_consents",
        "lock_referrals": f"{CASES}::test_a_cases_referrals_and_consents",
        "read_referrals": f"{CASES}::test_a_cases_referrals_and_consents",
        "read_shares": f"{JOINS}::test_shares_and_their_endings",
        "read_endings": f"{JOINS}::test_shares_and_their_endings",
        "confirm_ending": f"{CASES}::test_an_agencys_word_on_an_ending_is_noted_within_its_cell",
        "set_progress": f"{CASES}::test_how_far_an_agency_came_is_noted_within_its_cell",
    },
    "intake.repository.court": {
        "case_statement": f"{JOINS}::test_a_court_file",
        "read_entries": f"{JOINS}::test_a_court_file",
        "read_rows": f"{JOINS}::test_a_court_file",
        "rows_without_entry": f"{JOINS}::test_a_court_file_takes_in_no_subject_that_another_cell_calls_the_cases",
        "read_bundle": f"{JOINS}::test_a_court_file",
    },
    "intake.repository.custody": {
        "find_kits": f"{JOINS}::test_kits_and_their_halves",
        "barcodes_of": f"{JOINS}::test_kits_and_their_halves",
        "read_kits": f"{JOINS}::test_kits_and_their_halves",
        "read_halves": f"{JOINS}::test_kits_and_their_halves",
        "held": f"{JOINS}::test_a_kit_is_held_within_its_cell",
        "oldest_open": f"{JOINS}::test_a_release_is_matched_within_its_cell",
        "unmatched": f"{JOINS}::test_halves_that_wait_too_long",
    },
    "intake.repository.facts": {
        "find_kit": f"{CASES}::test_a_kit_of_a_serial_that_two_cells_use",
    },
    "intake.repository.keys": {
        "live_keys": f"{CASES}::test_keys_that_are_leased",
        "note_overdue": f"{CASES}::test_what_ran_over_is_noted_within_its_cell",
        "note_silence": f"{CASES}::test_how_far_an_agency_came_is_noted_within_its_cell",
    },
    "intake.repository.looks": {
        "read_looks": f"{JOINS}::test_looks",
        "account": f"{JOINS}::test_leases",
        "note_unaccounted": f"{JOINS}::test_leases",
    },
    "intake.repository.opening": {
        "admit": f"{CELL}/test_bundles_together.py::test_a_visit_is_known_within_its_cell",
    },
    "intake.repository.restorations": {
        "raise_floor": f"{CASES}::test_epochs_that_a_restore_gave_up",
    },
    "police_link.webhooks.repository.deliveries": {
        "worth_telling": f"{QUEUE}::test_what_can_be_read_is_asked_within_its_station",
        "purge": f"{QUEUE}::test_the_queue_is_purged_and_restored_within_its_station",
        "restore": f"{QUEUE}::test_the_queue_is_purged_and_restored_within_its_station",
        "requeue": BOTH,
        "claim": BOTH,
        "mark_delivered": f"{QUEUE}::test_what_a_delivery_came_to_is_noted_within_its_station",
        "mark_failed": f"{QUEUE}::test_what_a_delivery_came_to_is_noted_within_its_station",
    },
    "police_link.webhooks.repository.subscriptions": {
        "count_subscriptions": BOTH,
        "find": BOTH,
        "page": BOTH,
        "remove": BOTH,
        "set_health": BOTH,
        "note_failure": BOTH,
        "receivers": BOTH,
    },
    "amanat.agency.arriving": {
        "add_referrals": f"{STATIONS}::test_a_referral_that_is_another_stations_does_not_arrive_here",
        "hidden": f"{STATIONS}::test_what_the_feed_has_passed_by",
        "put_disclosures": f"{STATIONS}::test_a_disclosure_replaces_none_of_another_stations",
        "arrive_again": f"{STATIONS}::test_a_referral_that_is_another_stations_does_not_arrive_here",
        "note_withdrawal": f"{STATIONS}::test_a_withdrawal_takes_effect_at_its_own_station",
        "put_kit": f"{STATIONS}::test_a_kit_is_announced_to_its_own_station",
    },
    "amanat.agency.repository": {
        "of_kit": f"{STATIONS}::test_a_kit_of_a_barcode_that_two_stations_keep",
        "versions": f"{STATIONS}::test_what_there_is_to_read",
        "parts_statement": f"{STATIONS}::test_what_there_is_to_read",
        "arrivals": f"{STATIONS}::test_what_there_is_to_read",
        "lock_referral": f"{STATIONS}::test_a_referral_is_locked_and_goes_on_within_its_station",
        "state_of": f"{STATIONS}::test_a_referral_is_locked_and_goes_on_within_its_station",
        "advance": f"{STATIONS}::test_a_referral_is_locked_and_goes_on_within_its_station",
        "own_of": f"{STATIONS}::test_what_a_station_recorded",
        "own_record": f"{STATIONS}::test_what_a_station_recorded",
    },
}
"""{room: {function: the test that asks it as another tenant}}"""
NOT_ASKED = {
    "intake.repository.cases.own_only": "says which access reads originals, and nothing of a tenant",
    "intake.repository.changes.rows_of": "makes rows and touches none",
    "intake.repository.opening.rows_of_case": "makes rows and touches none",
    "intake.repository.opening.with_entries": "makes rows and touches none",
    "intake.repository.opening.write": "only inserts",
    "amanat.agency.repository.not_withdrawn": "is a part of the statements beside it, which are tried",
    "amanat.agency.arriving.in_order": "only waits for others, by the tenant's name",
    "forensics.repository.one_at_a_time": "only waits for others, by the tenant's name",
}
"""What is told of a tenant and touches no row."""


def rooms() -> Iterator[tuple[str, Path]]:
    """(module, file) of every room with SQL: each repository, and whatever of an agency's stands in the library."""
    for source in sorted(ROOT.glob("services/*/src")):
        files = {*source.rglob("repository.py"), *source.rglob("repository/*.py")}
        yield from ((_module(file, source), file) for file in sorted(files))
    library = ROOT / "shared/src"
    yield from ((_module(file, library), file) for file in sorted((library / "amanat/agency").glob("*.py")))


def _module(file: Path, source: Path) -> str:
    return ".".join(file.relative_to(source).with_suffix("").parts).removesuffix(".__init__")


def asking(source: str, module: str) -> list[str]:
    """The room's public functions that must join a tenant: told of one, they read, change or delete rows."""
    found = []
    for node in ast.parse(source).body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        given = {each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
        if given & ASKERS and _touches_rows(node, module):
            found.append(node.name)
    return [name for name in found if f"{module}.{name}" not in NOT_ASKED]


def _touches_rows(node: ast.AST, module: str) -> bool:
    called = {each.func.id for each in ast.walk(node) if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)}
    if called & {"select", "update", "delete", "exists"}:
        return True
    # In a repository whatever is not a mere insert runs a statement that a function beside it builds.
    return "repository" in module.split(".") and "insert" not in called


def untried(tried: Mapping[str, Mapping[str, str]]) -> list[str]:
    return [
        f"{module}.{name}"
        for module, file in rooms()
        for name in asking(file.read_text(), module)
        if name not in tried.get(module, {})
    ]


def unasked(module: str, name: str, test: str) -> str | None:
    """What is wrong with a line of the table: that there is no such function, no such test, or no call of it there."""
    file, _, wanted = test.partition("::")
    if name not in {each for known, room in rooms() if known == module for each in asking(room.read_text(), module)}:
        return f"{module}.{name}: there is no such statement"
    path = ROOT / file
    found = [
        node for node in (ast.parse(path.read_text()).body if path.exists() else ())
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == wanted
    ]  # fmt: skip
    if not found:
        return f"{module}.{name}: there is no {test}"
    names = {node.attr for node in ast.walk(found[0]) if isinstance(node, ast.Attribute)}
    reached = {node.id for node in ast.walk(found[0]) if isinstance(node, ast.Name)}
    # A test may ask by a function of its own file.
    helpers = [
        node for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in reached
    ]  # fmt: skip
    for each in helpers:
        names |= {node.attr for node in ast.walk(each) if isinstance(node, ast.Attribute)}
    return None if name in names else f"{module}.{name}: {test} does not ask it"


def test_every_statement_that_joins_a_tenant_has_a_test_that_asks_it_as_another() -> None:
    assert untried(TRIED) == []


def test_every_line_of_the_table_names_a_statement_and_a_test_that_asks_it() -> None:
    wrong = [unasked(module, name, test) for module, lines in TRIED.items() for name, test in lines.items()]
    assert [each for each in wrong if each] == []


def test_a_statement_or_a_test_that_went_missing_is_told() -> None:
    module, name = "amanat.agency.repository", "own_of"
    short = {**TRIED, module: {each: test for each, test in TRIED[module].items() if each != name}}
    assert untried(short) == [f"{module}.{name}"]
    assert unasked(module, "gone", f"{STATIONS}::test_what_a_station_recorded") is not None
    assert unasked(module, name, f"{STATIONS}::test_gone") is not None
    assert unasked(module, name, f"{STATIONS}::test_a_kit_is_announced_to_its_own_station") is not None


def test_what_touches_rows_for_a_tenant_is_told_from_what_does_not() -> None:
    source = """
async def reads(session, tenant): await session.execute(select(cases).where(cases.c.tenant == tenant))
async def by_another(session, tenant): await session.execute(_shown(tenant))
async def adds(session, tenant): await session.execute(insert(cases).values(tenant=tenant))
async def of_nobody(session): await session.execute(select(cases))
def _part(tenant): return exists().where(cases.c.tenant == tenant)
"""
    assert asking(source, "intake.repository.planted") == ["reads", "by_another"]
    assert asking(source, "amanat.agency.planted") == ["reads"]
