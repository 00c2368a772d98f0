"""What a field's type says of it: its category, its ceiling, and the models inside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import GenericAlias, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from amanat.categories import Agency, Category, Reaches


@dataclass(frozen=True)
class AsDisclosed:
    """Marks the one field whose category is named by the event that carries it (`DisclosedRecord.fields`)."""


def category_of(field: FieldInfo) -> Category | None:
    """The field's category; None when it has none, or more than one."""
    found = [mark for mark in field.metadata if isinstance(mark, Category)]
    return found[0] if len(found) == 1 else None


def reach_of(field: FieldInfo) -> frozenset[Agency] | None:
    """The field's own ceiling, where it is narrower than its category's."""
    found = [mark.agencies for mark in field.metadata if isinstance(mark, Reaches)]
    return frozenset.intersection(*found) if found else None


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model named anywhere in a field's type: `tuple[Sample, ...] | None` gives `Sample`."""
    if isinstance(annotation, type) and not isinstance(annotation, GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from models_in(get_args(annotation)[0])
    elif origin in (Union, UnionType, tuple, list, set, frozenset, dict):
        for argument in get_args(annotation):
            yield from models_in(argument)


def uncategorised(model: type[BaseModel]) -> tuple[str, ...]:
    """The paths of all fields, at every depth, that do not carry exactly one category; a contract has none."""
    return tuple(_uncategorised(model, (model,)))


def _uncategorised(model: type[BaseModel], seen: tuple[type[BaseModel], ...]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        path = f"{model.__name__}.{name}"
        carried = any(isinstance(mark, AsDisclosed) for mark in field.metadata)
        if category_of(field) is None and not carried:
            yield path
        for inner in models_in(field.annotation):
            if inner not in seen:
                yield from (f"{path}.{rest.partition('.')[2]}" for rest in _uncategorised(inner, (*seen, inner)))
