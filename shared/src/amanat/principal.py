"""The actor that business functions take. Apart from `auth`, so that services need no web framework to name it."""

from __future__ import annotations

from dataclasses import dataclass

from amanat.categories import Agency


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. `expires_at` is in seconds since the epoch; `unit` is empty for who has none."""

    subject: str
    client: str
    token_id: str
    agency: str
    organisation: str
    roles: frozenset[str]
    cells: frozenset[str]
    expires_at: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, for which organisation. Made by `require` from a verified token.

    `unit` is the part of the organisation that a person works in; empty for systems, and for who was given none.
    """

    agency: Agency
    organisation: str
    roles: frozenset[str]
    cells: frozenset[str]
    subject: str
    client: str
    token_id: str
    unit: str = ""

    @property
    def tenants(self) -> frozenset[str]:
        """At intake the cells, elsewhere the organisation itself: what row-level security is set to."""
        return self.cells if self.agency is Agency.INTAKE else frozenset((self.organisation,))
