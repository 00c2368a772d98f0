"""`GET /fhir/metadata`: what this server does, as a CapabilityStatement."""

from datetime import date
from typing import Any

from intake.fhir.bundle import MOST_ENTRIES


def capability_statement(base_url: str, *, version: str, published: date) -> dict[str, Any]:
    """The statement of a server at `base_url` (ending in `/fhir`): one interaction, transaction, in R4 JSON."""
    return {
        "resourceType": "CapabilityStatement",
        "url": f"{base_url}/metadata",
        "version": version,
        "name": "AmanatIntake",
        "title": "Amanat, intake of the crisis cell",
        "status": "active",
        "date": published.isoformat(),
        "kind": "instance",
        "software": {"name": "Amanat intake", "version": version},
        "implementation": {"description": "Takes a visit to the crisis cell as a transaction Bundle", "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "documentation": (
                    f"POST a transaction Bundle of at most {MOST_ENTRIES:,} entries and 16 MiB to the base address. "
                    "Kept are the patient and what refers to the visit; each response entry says what became of its "
                    "request. Nothing is read back here: a case is read at /v1/cases."
                ),
                "security": {
                    "service": [
                        {
                            "coding": [
                                {
                                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                                    "code": "OAuth",
                                }
                            ]
                        }
                    ],
                    "description": "OAuth 2.0 client credentials with private_key_jwt; a bearer token each time.",
                },
                "interaction": [{"code": "transaction"}],
            }
        ],
    }
