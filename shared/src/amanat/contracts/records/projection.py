"""What of a record may reach whom: the only way from a record to a disclosure."""

from collections.abc import Iterator
from functools import cache

from pydantic import JsonValue

from amanat.categories import Agency, Category, may_reach
from amanat.contracts.base import Contract, Record
from amanat.contracts.fields import category_of, models_in, reach_of


def categories_in(record: Record) -> frozenset[Category]:
    """The categories of the record's set fields, at every depth; None and empty lists are not set."""
    return frozenset(_categories(record))


@cache
def categories_of(contract: type[Contract]) -> frozenset[Category]:
    """The categories that a record of this type can hold, whether or not one holds anything of them."""
    found: set[Category] = set()
    for field in contract.model_fields.values():
        inner = [model for model in models_in(field.annotation) if issubclass(model, Contract)]
        category = category_of(field)
        if category is not None and not inner:
            found.add(category)
        for model in inner:
            found |= categories_of(model)
    return frozenset(found)


def project(record: Record, category: Category, agency: Agency, *, adult: bool) -> dict[str, JsonValue] | None:
    """The record's fields of one category that an agency may ever have, as JSON values; None when there are none.

    A part is held to its container's ceiling as well as its own: a `care` finding inside a laboratory's report goes
    nowhere, and so does whatever stands inside a `care` field. A field without a category is never let out.

    Args:
        record: as it stands at the cell, or as an agency reported it.
        category: the category of the disclosure that it is for.
        agency: the receiver; intake itself may have everything.
        adult: False for a child, and whenever her age is unknown.
    """
    return _project(record, category, agency, adult=adult) or None


def _categories(model: Contract) -> Iterator[Category]:
    for name, category, _ in _fields(type(model)):
        value = getattr(model, name)
        if _unset(value) or category is None:
            continue
        parts = _parts(value)
        if parts is None:
            yield category
        else:
            for part in parts:
                yield from _categories(part)


def _project(model: Contract, category: Category, agency: Agency, *, adult: bool) -> dict[str, JsonValue]:
    projected: dict[str, JsonValue] = {}
    plain: set[str] = set()
    for name, own, narrowed in _fields(type(model)):
        value = getattr(model, name)
        if _unset(value) or not _may_have(own, narrowed, agency, adult=adult):
            continue
        parts = _parts(value)
        if parts is None:
            if own == category:
                plain.add(name)
                projected[name] = None  # its place
            continue
        inner = [found for part in parts if (found := _project(part, category, agency, adult=adult))]
        if inner:
            projected[name] = inner[0] if isinstance(value, Contract) else list[JsonValue](inner)
    return {**projected, **model.model_dump(mode="json", include=plain)} if plain else projected


@cache
def _fields(contract: type[Contract]) -> tuple[tuple[str, Category | None, frozenset[Agency] | None], ...]:
    """Of each field its name, its category, and its own ceiling where that is narrower."""
    return tuple((name, category_of(field), reach_of(field)) for name, field in contract.model_fields.items())


def _may_have(category: Category | None, narrowed: frozenset[Agency] | None, agency: Agency, *, adult: bool) -> bool:
    if category is None or not may_reach(category, agency, adult=adult):
        return False
    return narrowed is None or agency == Agency.INTAKE or agency in narrowed


def _parts(value: object) -> tuple[Contract, ...] | None:
    """The models that a value is made of; None for a plain value."""
    if isinstance(value, Contract):
        return (value,)
    if isinstance(value, tuple) and value and all(isinstance(item, Contract) for item in value):
        return value
    return None


def _unset(value: object) -> bool:
    return value is None or value == ()
