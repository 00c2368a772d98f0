"""What a laboratory reports. HIV and pregnancy findings are `care`, wherever recorded: they go to the cell only."""

from typing import Annotated

from amanat.categories import Category
from amanat.contracts.base import Record
from amanat.contracts.values import Flag, Line, Moment, Paragraph


class LaboratoryReport(Record):
    """The report on one kit."""

    report_number: Annotated[Line | None, Category.LABORATORY] = None
    issued_at: Annotated[Moment | None, Category.LABORATORY] = None
    findings: Annotated[Paragraph | None, Category.LABORATORY] = None
    dna_profile_obtained: Annotated[Flag | None, Category.LABORATORY] = None
    conclusion: Annotated[Paragraph | None, Category.LABORATORY] = None
    analyst: Annotated[Line | None, Category.LABORATORY] = None
    hiv_finding: Annotated[Paragraph | None, Category.CARE] = None
    pregnancy_finding: Annotated[Paragraph | None, Category.CARE] = None
