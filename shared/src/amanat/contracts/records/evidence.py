"""Digital evidence and images: their descriptions and hashes. The files themselves never cross."""

from typing import Annotated

from amanat.categories import Category
from amanat.contracts.base import Record
from amanat.contracts.values import Line, Moment, Paragraph, Sha256


class DigitalItem(Record):
    """A message, a page, a recording: source, acquisition and custody, as PLD 2019 SC 675 asks."""

    source: Annotated[Paragraph | None, Category.DIGITAL] = None
    url: Annotated[Paragraph | None, Category.DIGITAL] = None
    acquired_at: Annotated[Moment | None, Category.DIGITAL] = None
    sha256: Annotated[Sha256 | None, Category.DIGITAL] = None
    description: Annotated[Paragraph | None, Category.DIGITAL] = None
    custody_place: Annotated[Line | None, Category.DIGITAL] = None


class Image(Record):
    """An intimate image by hash, description and custody place. An adult's may reach police; a child's, nobody."""

    sha256: Annotated[Sha256 | None, Category.IMAGERY] = None
    description: Annotated[Paragraph | None, Category.IMAGERY] = None
    custody_place: Annotated[Line | None, Category.IMAGERY] = None
