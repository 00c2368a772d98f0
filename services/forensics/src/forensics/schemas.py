"""What laboratories send. Fields are the contracts' records: each knows its data category there."""

from typing import Self

from pydantic import model_validator

from amanat.contracts.records import LaboratoryReport
from amanat.custody import NewReceiptAtLaboratory


class NewReceipt(NewReceiptAtLaboratory):
    """A parcel came: seal verified or not, accepted, or rejected with reasons."""

    @model_validator(mode="after")
    def _rejected_with_reasons(self) -> Self:
        if not self.accepted and not self.rejection_reasons:
            raise ValueError("a rejection has reasons")
        return self


class NewReport(LaboratoryReport):
    """The laboratory's report on a kit. HIV and pregnancy findings go to the cell alone."""
