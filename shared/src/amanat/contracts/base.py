"""What every contract is: frozen, closed to its writers, open to a newer writer's fields, categorised by field."""

import re
from inspect import get_annotations
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, create_model
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from amanat.categories import OUTSIDE, Agency, Category
from amanat.contracts.fields import category_of, reach_of
from amanat.contracts.values import Identifier, ReferralCode, Sealed


class Contract(BaseModel):
    """A frozen model. Its constructor refuses unknown fields; `parse` ignores them. Errors never echo input."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def parse(cls, body: bytes | str) -> Self:
        """Reads what a writer of this or a newer minor version wrote: unknown fields are ignored at every depth.

        Raises:
            pydantic.ValidationError: not JSON, or a field that this version knows is missing or wrong.
        """
        return cls.model_validate_json(body, extra="ignore")

    def body(self) -> bytes:
        """The JSON text of this contract in UTF-8; unset optional fields are left out."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Adds each field's category to the schema, so that its readers, and the compatibility check, see it."""
        reference = handler(core_schema)
        schema = handler.resolve_ref_schema(reference)
        for name, field in cls.model_fields.items():
            described = schema.get("properties", {}).get(name)
            category = category_of(field)
            if described is None or category is None:
                continue
            described["x-category"] = category.value
            narrowed = reach_of(field)
            if narrowed is not None:
                described["x-reaches"] = sorted(agency.value for agency in narrowed)
        return reference


class Part(Contract):
    """A piece of a record: one sample, one injury. Its fields carry their own categories."""


class Record(Contract):
    """A document as written at the cell or by an agency. Every field is optional: care never waits for a field."""


class Event(Contract):
    """What crosses on Kafka. `referral` is the receiving agency's code of the case, and the key on Kafka."""

    type: ClassVar[str]
    """The CloudEvents type, `pk.amanat.<past tense>.v1`."""

    referral: Annotated[ReferralCode, Category.OPERATIONAL]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "type" in cls.__dict__:
            _register(EVENTS, cls.type, cls)


EVENTS: dict[str, type[Event]] = {}
"""Each CloudEvents type's contract *on the wire*: a disclosure's own, and for a fact its sealed form."""


class SealedFact(Event):
    """A fact on its way to the gate: HPKE ciphertext around the signed fact.

    Made as `SealedFact.carrying(fact type)(...)`: each type of fact has its own subclass, whose `type` is the fact's,
    so that `event.type` and `EVENTS` hold for facts too. This class itself has no `type` and cannot be sent.
    """

    key_id: Annotated[Identifier, Category.OPERATIONAL]
    signing_key_id: Annotated[Identifier, Category.OPERATIONAL]
    # Operational because it is ciphertext, which only the gate opens; inside is a `Fact` with its own categories.
    sealed: Annotated[Sealed, Category.OPERATIONAL]

    @staticmethod
    def carrying(fact_type: str) -> "type[SealedFact]":
        """The sealed form of a type of fact.

        Raises:
            KeyError: no contract describes a fact of that type.
        """
        return _SEALED[fact_type]


class Fact(Contract):
    """What an agency reports to the gate, before sealing. `publishers` are the agencies that may report it."""

    type: ClassVar[str]
    publishers: ClassVar[frozenset[Agency]]

    referral: Annotated[ReferralCode, Category.OPERATIONAL]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "type" not in cls.__dict__:
            return
        if not cls.publishers or not cls.publishers <= OUTSIDE:
            raise TypeError("a fact is published by outside agencies")
        # A fact of the agency as a whole is on "*" instead of a code; its sealed form must be able to say so.
        whole = get_annotations(cls).get("referral")
        own_fields: dict[str, Any] = (
            {} if whole is None else {"referral": (Annotated[ReferralCode | whole, Category.OPERATIONAL], ...)}
        )
        sealed_form: type[SealedFact] = create_model(
            f"Sealed{cls.__name__}", __base__=SealedFact, __module__=cls.__module__, **own_fields
        )
        sealed_form.type = cls.type
        _register(FACTS, cls.type, cls)
        _register(EVENTS, cls.type, sealed_form)
        _SEALED[cls.type] = sealed_form


FACTS: dict[str, type[Fact]] = {}
"""Each fact's contract by its CloudEvents type: what is inside the sealed form."""

_SEALED: dict[str, type[SealedFact]] = {}

_TYPE = re.compile(r"pk\.amanat\.[a-z]+(-[a-z]+)*\.v[1-9][0-9]*")
_C = TypeVar("_C", bound=Contract)


def _register(registry: dict[str, type[_C]], name: str, contract: type[_C]) -> None:
    if _TYPE.fullmatch(name) is None:
        raise TypeError("a type is pk.amanat.<past tense>.v<n>")
    if name in registry:
        raise TypeError("two contracts of one type")
    registry[name] = contract
