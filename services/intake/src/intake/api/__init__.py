"""Routes of the cell: parse, call, return."""

from intake.api import cases, consents, custody, fhir

routers = [cases.router, consents.router, custody.router, fhir.router]

__all__ = ["routers"]
