"""Halves of a kit's way from hand to hand, as their holders report them. Intake records its own without an event."""

from typing import Annotated, ClassVar

from amanat.categories import Agency, Category
from amanat.contracts.base import Fact
from amanat.contracts.records.custody import CustodyHalf
from amanat.contracts.values import Barcode

_HOLDERS = frozenset({Agency.POLICE_LINK, Agency.FORENSICS})


class KitReleased(Fact):
    """The holder handed a kit over; its counterpart is who should receive it."""

    type: ClassVar[str] = "pk.amanat.kit-released.v1"
    publishers: ClassVar[frozenset[Agency]] = _HOLDERS

    barcode: Annotated[Barcode, Category.OPERATIONAL]
    half: Annotated[CustodyHalf, Category.LABORATORY]


class KitReceived(Fact):
    """A kit came to a new holder; its counterpart is who handed it over."""

    type: ClassVar[str] = "pk.amanat.kit-received.v1"
    publishers: ClassVar[frozenset[Agency]] = _HOLDERS

    barcode: Annotated[Barcode, Category.OPERATIONAL]
    half: Annotated[CustodyHalf, Category.LABORATORY]
