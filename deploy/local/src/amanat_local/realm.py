"""The realm as code: who may ask for a token, and what the token says of them.

One model, made from the directory, serves both issuers: the embedded one reads it directly, `amanat_local.keycloak`
applies it. Systems and services are clients with `private_key_jwt`; people are users. A name's claims follow from its
organisation, and nobody has two: a token is good at one agency (law 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

REALM = "amanat"
DESK = "amanat-desk"
"""The one public client: people's code flow, PKCE required."""
REDIRECT_URI = "http://127.0.0.1:7799/callback"
"""Where the desk receives its code; nothing listens there while `amanat token` stands in for the browser."""
TOKEN_SECONDS = 300
GATE_AUDIENCE = "amanat-gate"

# agency → (role of its organisations' systems, role of their staff, the staff member's name)
_STAFF = {
    "intake": ("hospital_system", "cell_staff", "mlo"),
    "police-link": ("reporting_centre_system", "police_officer", "officer"),
    "forensics": ("laboratory_system", "laboratory_analyst", "analyst"),
    "legal-aid": ("legal_partner_system", "legal_aid_officer", "officer"),
}
# At a cell, besides: name → (roles, unit). Who asks to break the glass and who answers for it sit in different units.
_AT_A_CELL = {
    "mlo": (("cell_staff", "cell_clinician"), "medico-legal"),
    "superintendent": (("cell_supervisor",), "superintendent-office"),
    "records": (("cell_records",), "records"),
}
_CELL_ROLES = ("cell_clinician", "cell_supervisor", "cell_records")
ROLES: dict[str, tuple[str, ...]] = {
    **{
        f"amanat-{agency}": (system, staff, *(_CELL_ROLES if agency == "intake" else ()))
        for agency, (system, staff, _) in _STAFF.items()
    },
    GATE_AUDIENCE: ("service",),
}
"""Audience → the roles that exist at it."""


@dataclass(frozen=True)
class Identity:
    """A client or a user, and its tokens' claims. `cells` is filled at intake alone, where a cell is the tenant; `unit`
    for a cell's people alone."""

    name: str
    kind: Literal["system", "service", "person"]
    agency: str
    organisation: str
    roles: tuple[str, ...]
    cells: tuple[str, ...]
    audience: str
    unit: str = ""

    def claims(self) -> dict[str, Any]:
        return {
            "agency": self.agency,
            "organisation": self.organisation,
            "roles": list(self.roles),
            "cells": list(self.cells),
            **({"unit": self.unit} if self.unit else {}),
        }


@dataclass(frozen=True)
class Realm:
    identities: tuple[Identity, ...]

    @property
    def clients(self) -> tuple[Identity, ...]:
        return tuple(each for each in self.identities if each.kind != "person")

    @property
    def people(self) -> tuple[Identity, ...]:
        return tuple(each for each in self.identities if each.kind == "person")

    def get(self, name: str) -> Identity | None:
        return next((each for each in self.identities if each.name == name), None)


def realm_of(document: Mapping[str, Any]) -> Realm:
    """The realm of a directory document: each organisation's system and staff, each agency's service."""
    return Realm(tuple(_identities(document)))


def _identities(document: Mapping[str, Any]) -> Iterator[Identity]:
    for cell in document["cells"]:
        yield from _of_organisation("intake", cell["id"], cells=(cell["id"],))
    for agency, described in document["agencies"].items():
        for organisation in described["organisations"]:
            yield from _of_organisation(agency, organisation["id"], cells=())
        yield Identity(f"{agency}-service", "service", agency, agency, ("service",), (), GATE_AUDIENCE)


def _of_organisation(agency: str, organisation: str, cells: tuple[str, ...]) -> Iterator[Identity]:
    system, staff, title = _STAFF[agency]
    audience = f"amanat-{agency}"
    yield Identity(f"{organisation}-system", "system", agency, organisation, (system,), cells, audience)
    people = _AT_A_CELL if agency == "intake" else {title: ((staff,), "")}
    for name, (roles, unit) in people.items():
        yield Identity(f"{organisation}.{name}", "person", agency, organisation, roles, cells, audience, unit)
