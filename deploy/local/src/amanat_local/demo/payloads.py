"""What the story's clients send. Every person, number and place is invented."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

SURVIVOR = [{"role": "survivor", "decision": "consent"}]
MOTHER_AND_CHILD = [
    {"role": "guardian", "relationship": "mother", "decision": "consent"},
    {"role": "survivor", "decision": "written_assent"},
]


def consent(agency: str, organisation: str, categories: list[str], deciders: list[dict[str, str]]) -> dict[str, Any]:
    """One consent as the cell records it."""
    return {
        "recipient": {"agency": agency, "organisation": organisation},
        "categories": categories,
        "basis": "consent" if deciders is SURVIVOR else "guardian",
        "deciders": deciders,
        "age_basis": "document",
        "language": "ur",
        "taken_by": "Dr Sana Iqbal, WMLO",
        "witness": "Sister Rubina Das",
    }


THIRTEEN = f"{datetime.now(UTC).year - 14}-12-31"
"""A birth date: who was born on it is thirteen all this year but for its last day. From fifteen on the law asks for her
own informed consent, and the story would be another."""

CHILD: dict[str, Any] = {
    "presented_at": None,  # set when the story is told
    "person": {
        "full_name": "Mahnoor Example",
        "birth_date": THIRTEEN,
        "gender": "female",
        "address": "House 0, Street 0, Example Colony, Karachi",
        "guardian_name": "Shabana Example",
        "mlc_number": "MLC-KHI-2026-0042",
        "hospital_record_number": "HRN-0042",
    },
    "contact": {"channel": "call", "number": "0300-0000042", "safe_hours": "10:00-13:00", "code_word": "mango"},
    "incident": {
        "time_certainty": "approximate",
        "place": "Example Colony",
        "acts": ["sexual assault"],
        "history": "Account in her own words, given once to the examiner (invented for this story).",
    },
    "examination": {
        "examiner_name": "Dr Sana Iqbal",
        "examiner_designation": "WMLO",
        "samples": [{"site": "swab, high vaginal", "collected_by": "Dr Sana Iqbal"}],
        "examination_request": "semen detection, DNA profile",
        "opinion": "findings consistent with the account; absence of injury does not exclude assault",
    },
    "care": {"notes": "PEP begun within 72 hours; follow-up agreed"},
    "counselling": {"notes": "seen by the counsellor; next session agreed"},
    "consents": [
        consent("police-link", "station-saddar", ["identity", "incident", "examination"], MOTHER_AND_CHILD),
        consent("forensics", "lab-karachi", ["examination", "incident", "investigation"], MOTHER_AND_CHILD),
        consent(
            "legal-aid",
            "partner-hamdam",
            ["identity", "incident", "investigation", "laboratory"],
            MOTHER_AND_CHILD,
        ),
    ],
}

ACKNOWLEDGEMENT = {"received_by": "SI Invented Person", "received_by_rank": "SI", "diary_number": "DD 17"}
FIR = {
    "fir_number": "000/2026",
    "police_station": "Saddar (invented)",
    "sections": ["376 PPC"],
    "io_name": "Inspector Invented Person",
    "io_rank": "Inspector",
}
REPORT = {
    "report_number": "LAB-0001",
    "findings": "profile obtained from the swab",
    "dna_profile_obtained": True,
    "conclusion": "comparison possible",
    "analyst": "Analyst Invented Person",
}
ASSIGNMENT = {"counsel_name": "Advocate Invented Person", "bar_number": "ADV-0000"}


def half(agency: str, organisation: str, **more: Any) -> dict[str, Any]:
    """One half of a kit's way: who is at its other end, and what was seen."""
    return {
        "counterpart": {"agency": agency, "organisation": organisation},
        "place": "evidence counter",
        "seal_number": "SEAL-0001",
        "seal_intact": True,
        "person_name": "Constable Invented Person",
        **more,
    }


COURT_ORDER = {
    "basis": "court_order",
    "reference": "Order 12 of 2026",
    "recipient": "Special Court, Karachi",
    "looks": True,
}
