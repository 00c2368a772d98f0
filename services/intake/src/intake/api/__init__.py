"""Routes of the cell: parse, call, return."""

from amanat.ledger_web import ledger_router
from intake.api import cases, consents, court, custody, fhir
from intake.api.desk import keeping

routers = [cases.router, consents.router, court.router, custody.router, fhir.router, ledger_router(keeping)]

__all__ = ["routers"]
