"""Tables of FHIR R4 (4.0.1): its resource types, and the required bindings of what is read here.

fhir.resources checks neither: its models know the element's type, not the codes of its value set.
"""

from collections.abc import Mapping

from intake.fhir.elements import words

RESOURCE_TYPES: frozenset[str] = words(
    """
    Account ActivityDefinition AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic
    Binary BiologicallyDerivedProduct BodyStructure Bundle CapabilityStatement CarePlan CareTeam CatalogEntry
    ChargeItem ChargeItemDefinition Claim ClaimResponse ClinicalImpression CodeSystem Communication
    CommunicationRequest CompartmentDefinition Composition ConceptMap Condition Consent Contract Coverage
    CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue Device DeviceDefinition DeviceMetric
    DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference EffectEvidenceSynthesis
    Encounter Endpoint EnrollmentRequest EnrollmentResponse EpisodeOfCare EventDefinition Evidence
    EvidenceVariable ExampleScenario ExplanationOfBenefit FamilyMemberHistory Flag Goal GraphDefinition Group
    GuidanceResponse HealthcareService ImagingStudy Immunization ImmunizationEvaluation
    ImmunizationRecommendation ImplementationGuide InsurancePlan Invoice Library Linkage List Location Measure
    MeasureReport Media Medication MedicationAdministration MedicationDispense MedicationKnowledge
    MedicationRequest MedicationStatement MedicinalProduct MedicinalProductAuthorization
    MedicinalProductContraindication MedicinalProductIndication MedicinalProductIngredient
    MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged
    MedicinalProductPharmaceutical MedicinalProductUndesirableEffect MessageDefinition MessageHeader
    MolecularSequence NamingSystem NutritionOrder Observation ObservationDefinition OperationDefinition
    OperationOutcome Organization OrganizationAffiliation Parameters Patient PaymentNotice PaymentReconciliation
    Person PlanDefinition Practitioner PractitionerRole Procedure Provenance Questionnaire QuestionnaireResponse
    RelatedPerson RequestGroup ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject
    RiskAssessment RiskEvidenceSynthesis Schedule SearchParameter ServiceRequest Slot Specimen
    SpecimenDefinition StructureDefinition StructureMap Subscription Substance SubstanceNucleicAcid
    SubstancePolymer SubstanceProtein SubstanceReferenceInformation SubstanceSourceMaterial
    SubstanceSpecification SupplyDelivery SupplyRequest Task TerminologyCapabilities TestReport TestScript
    ValueSet VerificationResult VisionPrescription
    """
)

_NAME = "usual official temp nickname anonymous old maiden"
_GENDER = "male female other unknown"
_ADDRESS = "home work temp old billing"
_IDENTIFIER = "usual official temp secondary old"
_POINT_SYSTEM = "phone fax email pager url sms other"
_POINT_USE = "home work temp old mobile"
_INTENT = "proposal plan order original-order reflex-order filler-order instance-order option"
_PRIORITY = "routine urgent asap stat"
_GIVEN = "in-progress not-done on-hold completed entered-in-error stopped unknown"

_REQUIRED: Mapping[str, str] = {
    "Patient.gender": _GENDER,
    "Patient.name.use": _NAME,
    "Patient.telecom.system": _POINT_SYSTEM,
    "Patient.telecom.use": _POINT_USE,
    "Patient.address.use": _ADDRESS,
    "Patient.address.type": "postal physical both",
    "Patient.identifier.use": _IDENTIFIER,
    "Patient.contact.gender": _GENDER,
    "Patient.contact.name.use": _NAME,
    "RelatedPerson.gender": _GENDER,
    "RelatedPerson.name.use": _NAME,
    "RelatedPerson.identifier.use": _IDENTIFIER,
    "Encounter.status": "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown",
    "Encounter.identifier.use": _IDENTIFIER,
    "Observation.status": "registered preliminary final amended corrected cancelled entered-in-error unknown",
    "Observation.valueQuantity.comparator": "< <= >= >",
    "Procedure.status": "preparation in-progress not-done on-hold stopped completed entered-in-error unknown",
    "MedicationRequest.status": "active on-hold cancelled completed entered-in-error stopped draft unknown",
    "MedicationRequest.intent": _INTENT,
    "MedicationRequest.priority": _PRIORITY,
    "MedicationAdministration.status": _GIVEN,
    "MedicationStatement.status": ("active completed entered-in-error intended stopped on-hold unknown not-taken"),
    "DiagnosticReport.status": (
        "registered partial preliminary final amended corrected appended cancelled entered-in-error unknown"
    ),
    "Immunization.status": "completed entered-in-error not-done",
    "ServiceRequest.status": "draft active on-hold revoked completed entered-in-error unknown",
    "ServiceRequest.intent": (
        "proposal plan directive order original-order reflex-order filler-order instance-order option"
    ),
    "ServiceRequest.priority": _PRIORITY,
    "Specimen.status": "available unavailable unsatisfactory entered-in-error",
    "CarePlan.status": "draft active on-hold revoked completed entered-in-error unknown",
    "CarePlan.intent": "proposal plan order option",
    "ImagingStudy.status": "registered available cancelled entered-in-error unknown",
    "ClinicalImpression.status": "in-progress completed entered-in-error",
    "Consent.status": "draft proposed active rejected inactive entered-in-error",
    "Consent.provision.type": "deny permit",
}

REQUIRED: Mapping[str, Mapping[tuple[str, ...], frozenset[str]]] = {
    name: {
        tuple(path.split(".")[1:]): frozenset(values.split())
        for path, values in _REQUIRED.items()
        if path.partition(".")[0] == name
    }
    for name in {path.partition(".")[0] for path in _REQUIRED}
}
"""Of each resource type, the paths of its `code` elements with a required binding, and the codes that fit."""

REQUIRED_CONCEPTS: Mapping[tuple[str, str], tuple[str, frozenset[str]]] = {
    ("Condition", "clinicalStatus"): (
        "http://terminology.hl7.org/CodeSystem/condition-clinical",
        words("active recurrence relapse inactive remission resolved"),
    ),
    ("Condition", "verificationStatus"): (
        "http://terminology.hl7.org/CodeSystem/condition-ver-status",
        words("unconfirmed provisional differential confirmed refuted entered-in-error"),
    ),
    ("AllergyIntolerance", "clinicalStatus"): (
        "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
        frozenset(["active", "inactive", "resolved"]),
    ),
    ("AllergyIntolerance", "verificationStatus"): (
        "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
        frozenset(["unconfirmed", "confirmed", "refuted", "entered-in-error"]),
    ),
}
"""CodeableConcepts with a required binding: each must carry a coding of that system and of these codes."""

OTHER_VERSIONS: Mapping[str, Mapping[str, frozenset[str]]] = {
    "R5": {
        "Bundle": frozenset({"issues"}),
        "Encounter": words(
            """
            actualPeriod plannedStartDate plannedEndDate admission virtualService careTeam subjectStatus
            reason
            """
        ),
        "Condition": frozenset({"participant"}),
        "Observation": frozenset({"triggeredBy", "bodyStructure", "instantiatesCanonical", "instantiatesReference"}),
        "Procedure": words(
            """
            occurrenceDateTime occurrencePeriod occurrenceString occurrenceAge recorded reportedBoolean
            reportedReference focus supportingInfo
            """
        ),
        "MedicationRequest": frozenset({"medication", "effectiveDosePeriod", "renderedDosageInstruction"}),
        "MedicationAdministration": frozenset(
            {"medication", "occurenceDateTime", "occurencePeriod", "encounter", "isSubPotent"}
        ),
        "Immunization": frozenset({"administeredProduct", "informationSource", "supportingInformation"}),
        "DiagnosticReport": frozenset({"supportingInfo", "composition", "procedure", "note"}),
        "ServiceRequest": frozenset({"focus", "bodyStructure", "reason"}),
        "Consent": frozenset({"decision", "grantor", "grantee", "controller", "manager", "subject", "date"}),
    },
    "STU3 or older": {
        "Patient": frozenset({"animal", "careProvider"}),
        "Encounter": frozenset({"incomingReferral", "patient", "indication"}),
        "Condition": frozenset({"context", "assertedDate", "patient", "dateRecorded"}),
        "Observation": frozenset({"context", "related"}),
        "Procedure": frozenset({"context", "notDone", "definition"}),
        "MedicationRequest": frozenset({"context", "definition"}),
        "DiagnosticReport": frozenset({"context", "codedDiagnosis"}),
        "Immunization": frozenset({"notGiven", "wasNotGiven"}),
        "Consent": frozenset({"consentingParty", "except", "purpose", "recipient", "period"}),
    },
}
"""Elements that give away another version of FHIR: R4 has none of them on these types."""
