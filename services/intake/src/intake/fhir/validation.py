"""Is a resource what FHIR R4 says it is? fhir.resources tells shape and types; `bindings` adds the required codes.

Only the types that are read here are held to it. A Claim that is not kept blocks nobody's way in (law 8), and R4B's
models, which fhir.resources offers, differ from R4 only in types that are not read.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import ValidationError

from intake.fhir.bindings import OTHER_VERSIONS, REQUIRED, REQUIRED_CONCEPTS, RESOURCE_TYPES
from intake.fhir.elements import Json, codes, objects, words
from intake.fhir.refusals import Issue

READ: frozenset[str] = words(
    """
    Patient RelatedPerson Organization Practitioner Medication Encounter Condition Observation Procedure
    MedicationRequest MedicationAdministration MedicationStatement DiagnosticReport Immunization
    AllergyIntolerance ServiceRequest Specimen CarePlan ImagingStudy ClinicalImpression Consent
    """
)
"""The types that are read, and therefore validated wherever they stand in the bundle."""

# fhir.resources also takes its own Python names for elements (`class_fhir`, `value__ext`), which FHIR does not have.
_ELEMENT = re.compile(r"_?[a-z][A-Za-z0-9]*")
_NOT_FHIR = frozenset({"fhirComments", "fhir_comments", "_resourceType"})

_CODES = {
    "missing": ("required", "An element that must be there is missing."),
    "extra_forbidden": ("structure", "FHIR R4 has no such element here."),
    "value_error": ("value", "The value is not one that this element may have."),
}
_OTHER = ("structure", "The element is not of the shape that FHIR R4 gives it.")


@cache
def _models() -> Mapping[str, Any]:
    # Imported on first use: the models cost 0.4 s and 15 MB, which a service that gets no FHIR should not pay.
    from fhir.resources.R4B import get_fhir_model_class  # noqa: PLC0415 - see above

    return {name: get_fhir_model_class(name) for name in sorted(READ)}


def warm_up() -> None:
    """Loads the models, so that the first bundle does not wait for them. Takes 0.4 s; call it in a thread."""
    for name, model in _models().items():
        try:
            model.model_validate({"resourceType": name})
        except ValidationError:
            continue  # most types have required elements; building the validator was the point


@cache
def _declared() -> frozenset[str]:
    from fhir_core.fhirabstractmodel import FHIRAbstractModel  # noqa: PLC0415 - see `_models`

    _models()
    names = {"Bundle", "entry", "resource", "request", "fullUrl", "type", "method", "url", "resourceType"}
    waiting = [FHIRAbstractModel]
    while waiting:
        model = waiting.pop()
        waiting += model.__subclasses__()
        names |= {field.alias or name for name, field in model.model_fields.items()}
    return frozenset(names)


def expression(path: Sequence[str | int], base: str = "Bundle") -> str:
    """A FHIRPath that stops before the first name that FHIR does not declare: a made-up name is input (law 9)."""
    declared = _declared()
    written = base
    for step in path:
        if isinstance(step, int):
            written += f"[{step}]"
        elif step in declared:
            written += f".{step}"
        else:
            break
    return written


def faults(resource: dict[str, Any], place: str) -> list[Issue]:
    """What is wrong with a resource of a type in `READ`; `place` is its FHIRPath. Never quotes the resource."""
    found = [
        Issue("structure", "not-an-element", "FHIR R4 has no such element here.", expression(path, place))
        for path in _not_elements(resource)
    ]
    contained = [dict(each) for each in objects(resource.get("contained"))]
    if "contained" in resource and resource["contained"] != contained:
        found.append(Issue("structure", "not-a-resource", "A contained resource is no resource.", place))
    bare = {name: value for name, value in resource.items() if name != "contained"}
    found += _of_model(bare, place) or [*_bindings(resource, place)]
    for index, each in enumerate(contained):
        # Of what is contained, only what is read is judged, so that a body cannot load all of FHIR's models.
        where = f"{place}.contained[{index}]"
        if each.get("resourceType") in READ:
            found += _of_model({name: value for name, value in each.items() if name != "contained"}, where)
        elif not isinstance(kind := each.get("resourceType"), str) or kind not in RESOURCE_TYPES:
            found.append(Issue("structure", "not-a-resource", "A contained resource is no R4 resource.", where))
    return found


def _not_elements(resource: Json) -> Iterator[tuple[str | int, ...]]:
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), resource)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, dict):
            if any(not _ELEMENT.fullmatch(name) or name in _NOT_FHIR for name in node):
                yield path
            waiting += [((*path, name), child) for name, child in node.items() if isinstance(child, dict | list)]
        elif isinstance(node, list):
            waiting += [((*path, step), child) for step, child in enumerate(node) if isinstance(child, dict | list)]


def _of_model(resource: dict[str, Any], place: str) -> list[Issue]:
    try:
        _models()[resource["resourceType"]].model_validate(resource)
    except ValidationError as error:
        return [
            _issue(fault["type"], fault["loc"], place)
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    except Exception:  # the library lets KeyError, TypeError and others out on input that it did not expect
        return [Issue(_OTHER[0], "not-r4", _OTHER[1], place)]
    return []


def _issue(kind: str, path: Sequence[str | int], place: str) -> Issue:
    code, said = _CODES.get(kind.rpartition(".")[2], _OTHER)
    return Issue(code, "not-r4", said, expression(path, place))


def _bindings(resource: Json, place: str) -> Iterator[Issue]:
    kind = str(resource["resourceType"])
    for path, allowed in REQUIRED.get(kind, {}).items():
        for where, value in _values(resource, path, place):
            if value not in allowed:
                yield Issue("code-invalid", "not-in-value-set", "The code is not of the required value set.", where)
    for (owner, element), (system, known) in REQUIRED_CONCEPTS.items():
        if owner == kind and element in resource and not known.intersection(codes(resource[element], system)):
            yield Issue(
                "code-invalid",
                "not-in-value-set",
                "The concept carries no code of the required value set.",
                f"{place}.{element}",
            )


def _values(node: Json, path: tuple[str, ...], place: str) -> Iterator[tuple[str, Any]]:
    value = node.get(path[0])
    where = f"{place}.{path[0]}"
    if len(path) == 1:
        if value is not None:
            yield where, value
    elif isinstance(value, list):
        for index, each in enumerate(value):
            if isinstance(each, Mapping):
                yield from _values(each, path[1:], f"{where}[{index}]")
    elif isinstance(value, Mapping):
        yield from _values(value, path[1:], where)


def other_version(resource: Json) -> str | None:
    """The version of FHIR that a resource gives away by an element that R4 does not have; None for none."""
    kind = resource.get("resourceType")
    if not isinstance(kind, str):
        return None
    if kind == "Encounter" and (
        isinstance(resource.get("class"), list) or resource.get("status") in ("discharged", "completed", "on-hold")
    ):
        return "R5"
    for version, marks in OTHER_VERSIONS.items():
        if any(name in resource for name in marks.get(kind, ())):
            return version
    return None
