"""The identifier systems, extensions and codes that FHIR intake knows; documented for senders in docs/fhir.md."""

from collections.abc import Mapping

from amanat.categories import PERSONAL, Category

# Ours.
DIRECTORY = "https://amanat.pk/directory"
PURPOSE = "https://amanat.pk/fhir/purpose"
DATA_CLASS = "https://amanat.pk/fhir/data-class"
EXAMINATION = "https://amanat.pk/fhir/examination"
INCIDENT = "https://amanat.pk/fhir/incident"
CARE = "https://amanat.pk/fhir/care"
GBVIMS = "https://amanat.pk/fhir/gbvims-type"
OUTCOME = "https://amanat.pk/fhir/outcome"
MLC_NUMBER = "https://amanat.pk/fhir/sid/mlc-number"
SAFE_CONTACT = "https://amanat.pk/fhir/StructureDefinition/safe-contact"
DECISION = "https://amanat.pk/fhir/StructureDefinition/decision"
GUARDIAN_IS_ACCUSED = "https://amanat.pk/fhir/StructureDefinition/guardian-is-accused"

# Others'.
CNIC = frozenset({"https://nadra.gov.pk/cnic", "http://nadra.gov.pk/cnic", "https://nadra.gov.pk/b-form"})
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
ROLE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
CONSENT_ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"
GENDER_IDENTITY = "http://hl7.org/fhir/StructureDefinition/patient-genderIdentity"
GENDER_IDENTITIES = "http://hl7.org/fhir/gender-identity"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
CVX = "http://hl7.org/fhir/sid/cvx"
ATC = "http://www.whocc.no/atc"

RECIPIENT_ROLES = frozenset({"IRCP", "PRCP"})  # information recipient, primary information recipient
DATA_CLASSES: Mapping[str, Category] = {category.value: category for category in PERSONAL}

# What is care wherever it is recorded and whatever else it is coded as (DESIGN, "Data categories"). Care is also where
# everything goes that is not clearly forensic, so these lists only choose the field.
PREGNANCY_TESTS = frozenset({"2106-3", "2118-8", "2110-5", "2112-1", "82810-3"})
HIV_TESTS = frozenset(
    {"80387-4", "68961-2", "56888-1", "75622-1", "31201-7", "48345-3", "69668-2", "29893-5", "49580-4", "7917-8"}
)
POSITIVE = frozenset({(INTERPRETATION, "POS"), (INTERPRETATION, "RR"), (SNOMED, "10828004"), (SNOMED, "11214006")})
NEGATIVE = frozenset({(INTERPRETATION, "NEG"), (INTERPRETATION, "NR"), (SNOMED, "260385009"), (SNOMED, "131194007")})
HEPATITIS_B = frozenset({"08", "42", "43", "44", "45", "189"})
TETANUS = frozenset({"09", "35", "112", "113", "115", "138", "139", "196"})
EMERGENCY_CONTRACEPTION = "G03AD"  # ATC: emergency contraceptives

# code of EXAMINATION or INCIDENT -> (field of the record, how its value is read)
EXAMINATION_FIELDS: Mapping[str, tuple[str, str]] = {
    "identity-marks": ("identity_marks", "paragraph"),
    "accompanied-by": ("accompanied_by", "line"),
    "general-condition": ("general_condition", "paragraph"),
    "mental-state": ("mental_state", "paragraph"),
    "washed": ("washed", "flag"),
    "changed-clothes": ("changed_clothes", "flag"),
    "no-injury-found": ("no_injury_found", "flag"),
    "genital-findings": ("genital_findings", "paragraph"),
    "anal-findings": ("anal_findings", "paragraph"),
    "clothing": ("clothing", "lines"),
    "photographs-taken": ("photographs_taken", "flag"),
    "reason-for-delay": ("reason_for_delay", "paragraph"),
    "consent-note": ("consent_note", "paragraph"),
    "seal-number": ("seal_number", "line"),
    "opinion": ("opinion", "paragraph"),
    "opinion-reasons": ("opinion_reasons", "paragraph"),
    "pending": ("pending", "line"),
    "injury": ("injuries", "injury"),
    "sample-not-taken": ("samples", "sample"),
}
INCIDENT_FIELDS: Mapping[str, tuple[str, str]] = {
    "occurred": ("occurred_at", "time"),
    "place": ("place", "paragraph"),
    "history": ("history", "paragraph"),
    "act": ("acts", "lines"),
    "weapon": ("weapon", "line"),
    "police-docket": ("police_docket", "line"),
    "gbvims-type": ("gbvims_type", "gbvims"),
    "accused": ("accused", "accused"),
}
MEDICO_LEGAL_EXAMINATION = "medico-legal-examination"  # a Procedure: when, and by whom
EXAMINATION_REQUEST = "examination-request"  # a ServiceRequest: what the laboratory is asked
PEP = "hiv-pep"  # a MedicationAdministration, in CARE
CONTRACEPTION = "emergency-contraception"
PREGNANCY_TEST = "pregnancy-test"  # an Observation, in CARE
HIV_TEST = "hiv-test"
