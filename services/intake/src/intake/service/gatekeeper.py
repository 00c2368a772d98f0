"""In whose name the gate reads the cell's originals."""

from dataclasses import dataclass

from amanat.categories import Agency


@dataclass(frozen=True)
class GateItself:
    """The principal of the gate's own work: facts, expiries, restores."""

    agency: Agency = Agency.INTAKE
    organisation: str = "gate"
