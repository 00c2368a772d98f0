"""FHIR R4 intake: the pure part. The route is `api`'s.

    parsed = await parse_off_loop(body)                   # FhirRefused
    mapped = to_new_case(parsed, directory, cell, now)    # NotUsable, a FhirRefused
    …open the case, or add `mapped.for_known_case()` to the one that bears the identifiers…
    answer = response_bundle(mapped, case_code, records)

Every refusal, ours or another, is answered by `operation_outcome`.
"""

from intake.fhir.answers import MEDIA_TYPE, operation_outcome, response_bundle
from intake.fhir.bundle import MOST_ENTRIES, ParsedBundle, check_media_type, parse
from intake.fhir.capability import capability_statement
from intake.fhir.mapping import MappedBundle, to_new_case
from intake.fhir.off_loop import parse_off_loop, warm_up_off_loop
from intake.fhir.outcomes import Outcome
from intake.fhir.reading import canonical
from intake.fhir.refusals import FhirRefused, Issue, NotUsable, TooManyEntries, Unreadable, WrongFormat

__all__ = [
    "MEDIA_TYPE",
    "MOST_ENTRIES",
    "FhirRefused",
    "Issue",
    "MappedBundle",
    "NotUsable",
    "Outcome",
    "ParsedBundle",
    "TooManyEntries",
    "Unreadable",
    "WrongFormat",
    "canonical",
    "capability_statement",
    "check_media_type",
    "operation_outcome",
    "parse",
    "parse_off_loop",
    "response_bundle",
    "to_new_case",
    "warm_up_off_loop",
]
