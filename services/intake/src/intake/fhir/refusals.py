"""Why a bundle is refused: constant texts and places in it, never anything that it holds (law 9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from amanat.errors import Refused

Severity = Literal["error", "warning", "information"]
MOST_ISSUES = 50


@dataclass(frozen=True)
class Issue:
    """One fault. `code` is FHIR's issue-type, `rule` our own stable code, `expression` the FHIRPath of the place."""

    code: str
    rule: str
    text: str
    expression: str | None = None
    severity: Severity = "error"


class FhirRefused(Refused):
    """A bundle that is not taken; nothing of it is stored. The route answers it as an OperationOutcome."""

    def __init__(self, issues: Sequence[Issue]) -> None:
        super().__init__()
        self.issues = tuple(dict.fromkeys(issues))[:MOST_ISSUES]


class Unreadable(FhirRefused):
    """Not JSON, not UTF-8, or JSON that two readers could read differently."""

    status, code = 400, "fhir-unreadable"
    title, title_ur = "The body cannot be read as a FHIR bundle", "متن FHIR بنڈل کے طور پر پڑھا نہیں جا سکتا"


class WrongFormat(FhirRefused):
    """The Content-Type names another format or another version of FHIR."""

    status, code = 415, "fhir-wrong-format"
    title, title_ur = "Only FHIR R4 in JSON is taken here", "یہاں صرف JSON میں FHIR R4 قبول ہے"


class TooManyEntries(FhirRefused):
    status, code = 413, "fhir-too-many-entries"
    title, title_ur = "The bundle holds too many entries", "بنڈل میں اندراجات حد سے زیادہ ہیں"


class NotUsable(FhirRefused):
    """Readable, and not a FHIR R4 transaction that names one visit."""

    status, code = 422, "fhir-not-usable"
    title, title_ur = "The bundle is not a usable FHIR R4 transaction", "بنڈل قابلِ استعمال FHIR R4 ٹرانزیکشن نہیں"


def at_entry(index: int, path: str = "") -> str:
    """The FHIRPath of an entry's resource, or of a place in it."""
    return f"Bundle.entry[{index}].resource" + (f".{path}" if path else "")
