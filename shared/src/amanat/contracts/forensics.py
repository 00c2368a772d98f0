"""What forensics reports."""

from typing import Annotated, ClassVar

from amanat.categories import Agency, Category
from amanat.contracts.base import Fact
from amanat.contracts.records.laboratory import LaboratoryReport
from amanat.contracts.values import Barcode


class KitReported(Fact):
    """The laboratory's report on one kit."""

    type: ClassVar[str] = "pk.amanat.kit-reported.v1"
    publishers: ClassVar[frozenset[Agency]] = frozenset({Agency.FORENSICS})

    barcode: Annotated[Barcode, Category.OPERATIONAL]
    record: Annotated[LaboratoryReport, Category.LABORATORY]
