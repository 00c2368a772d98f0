"""What reporting centres send. Fields are the contracts' records: each knows its data category there."""

from typing import Annotated

from pydantic import StringConstraints

from amanat.categories import Category
from amanat.contracts.records import Acknowledgement, Fir, Refusal
from amanat.contracts.values import Line


class NewAcknowledgement(Acknowledgement):
    """The referral was taken up; `at` is now when absent."""


class NewFir(Fir):
    """A registered FIR; its number is what makes it one."""

    fir_number: Annotated[Line, StringConstraints(min_length=1), Category.INVESTIGATION]


class NewRefusal(Refusal):
    """Why no FIR was registered."""
