"""No field gets into a contract without its data category."""

from typing import Annotated

import pytest

from amanat.categories import Category
from amanat.contracts import EVENTS, Contract, Part, Record
from amanat.contracts.export import contracts, schema_of
from amanat.contracts.fields import uncategorised
from amanat.contracts.values import Line


class _Wound(Part):
    site: Annotated[Line | None, Category.EXAMINATION] = None
    size: Line | None = None


class _Planted(Record):
    whole: Annotated[Line | None, Category.EXAMINATION] = None
    bare: Line | None = None
    twice: Annotated[Line | None, Category.CARE, Category.INCIDENT] = None
    wounds: Annotated[tuple[_Wound, ...], Category.EXAMINATION] = ()


@pytest.mark.parametrize("contract", [*contracts().values(), *EVENTS.values()], ids=lambda contract: contract.__name__)
def test_every_field_of_every_contract_carries_exactly_one_category(contract: type[Contract]) -> None:
    assert uncategorised(contract) == ()


def test_planted_fields_without_a_category_or_with_two_are_found_at_every_depth() -> None:
    assert uncategorised(_Planted) == ("_Planted.bare", "_Planted.twice", "_Planted.wounds.size")


@pytest.mark.parametrize("name", contracts())
def test_the_schema_tells_its_readers_each_fields_category(name: str) -> None:
    schema = schema_of(contracts()[name])
    for described in [schema, *schema.get("$defs", {}).values()]:
        for field, value in described.get("properties", {}).items():
            assert "x-category" in value or (name, field) == ("disclosed-records.1", "fields"), field


def test_a_contract_never_repeats_what_it_refused() -> None:
    with pytest.raises(ValueError, match="1 validation error") as refused:
        _Planted.parse(b'{"whole": {"canary": "a secret name"}}')
    assert "secret" not in str(refused.value)
