"""Whether a contract may become another without a new version: every old event still readable, every old reader served.

A writer's change must let readers of the new contract read all that was ever written (golden files, replays), and
readers of the old one read what is written now: they ignore fields that they do not know, and need those that they do.
An added value of an enumeration is allowed: its readers are deployed first, and an older one parks the event, losing
nothing. Whatever else differs is incompatible and belongs in a new version of the type.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_UPPER_LIMITS = ("maxLength", "maximum", "exclusiveMaximum", "maxItems")
_LOWER_LIMITS = ("minLength", "minimum", "exclusiveMinimum", "minItems")
_KIND = ("type", "format", "contentEncoding", "pattern", "x-category")
_NO_LIMIT = float("inf")


def incompatibilities(old: Schema, new: Schema) -> tuple[str, ...]:
    """What forbids replacing `old` by `new`, as `path: reason`; empty when it may.

    Both are JSON Schemas as `amanat.contracts.export` writes them: `properties`, `$defs` and local `$ref`s.
    """
    return tuple(_compare(_Place(old, new, "$", ()), old, new))


class _Place:
    """Where two schemas are compared: their roots, for references, and the path. Knows which pairs it is inside of."""

    def __init__(self, old_root: Schema, new_root: Schema, path: str, inside: tuple[tuple[str, str], ...]) -> None:
        self.old_root, self.new_root, self.path, self.inside = old_root, new_root, path, inside

    def at(self, step: str) -> "_Place":
        return _Place(self.old_root, self.new_root, f"{self.path}{step}", self.inside)

    def entered(self, pair: tuple[str, str]) -> "_Place":
        return _Place(self.old_root, self.new_root, self.path, (*self.inside, pair))


def _compare(place: _Place, old: Schema, new: Schema) -> Iterator[str]:
    if "$ref" in old or "$ref" in new:
        pair = (str(old.get("$ref")), str(new.get("$ref")))
        if pair in place.inside:
            return
        place = place.entered(pair)
        old, new = _resolved(place.old_root, old), _resolved(place.new_root, new)
    if "anyOf" in old or "anyOf" in new:
        yield from _compare_variants(place, old, new)
        return
    for word in _KIND:
        if old.get(word) != new.get(word):
            yield f"{place.path}: {word} changed"
    yield from _compare_reach(place, old, new)
    yield from _compare_values(place, old, new)
    yield from _compare_limits(place, old, new)
    yield from _compare_properties(place, old, new)
    for word in ("items", "additionalProperties"):
        if isinstance(old.get(word), Mapping) and isinstance(new.get(word), Mapping):
            yield from _compare(place.at(f"[{word}]"), old[word], new[word])


def _compare_properties(place: _Place, old: Schema, new: Schema) -> Iterator[str]:
    was, now = old.get("properties", {}), new.get("properties", {})
    was_required, now_required = set(old.get("required", ())), set(new.get("required", ()))
    for name in was:
        here = place.at(f".{name}")
        if name not in now:
            yield f"{here.path}: removed or renamed"
            continue
        if name in was_required and name not in now_required:
            yield f"{here.path}: no longer required, and older readers need it"
        if name in now_required and name not in was_required:
            yield f"{here.path}: now required, and older events lack it"
        yield from _compare(here, was[name], now[name])
    for name in now:
        if name not in was and name in now_required:
            yield f"{place.path}.{name}: new and required, and older events lack it"


def _compare_variants(place: _Place, old: Schema, new: Schema) -> Iterator[str]:
    was, now = _variants(place.old_root, old), _variants(place.new_root, new)
    for kind in was.keys() - now.keys():
        yield f"{place.path}: no longer {kind}"
    for kind in now.keys() - was.keys():
        yield f"{place.path}: may now be {kind}, which older readers do not expect"
    if old.get("x-category") != new.get("x-category"):
        yield f"{place.path}: x-category changed"
    yield from _compare_reach(place, old, new)
    for kind in was.keys() & now.keys():
        # Beside `anyOf` stand the field's own marks, compared above; a variant has none.
        yield from _compare(place, _unmarked(was[kind]), _unmarked(now[kind]))


def _compare_reach(place: _Place, old: Schema, new: Schema) -> Iterator[str]:
    was, now = old.get("x-reaches"), new.get("x-reaches")
    if was is not None and (now is None or not set(now) <= set(was)):
        yield f"{place.path}: reaches more agencies than before"


def _compare_values(place: _Place, old: Schema, new: Schema) -> Iterator[str]:
    was, now = _values(old), _values(new)
    if now is not None and (was is None or not set(was) <= set(now)):
        yield f"{place.path}: fewer values than before"
    elif was is not None and now is None:
        yield f"{place.path}: no longer an enumeration"


def _compare_limits(place: _Place, old: Schema, new: Schema) -> Iterator[str]:
    for word in _UPPER_LIMITS:
        if new.get(word, _NO_LIMIT) < old.get(word, _NO_LIMIT):
            yield f"{place.path}: {word} lowered"
    for word in _LOWER_LIMITS:
        if new.get(word, -_NO_LIMIT) > old.get(word, -_NO_LIMIT):
            yield f"{place.path}: {word} raised"


def _resolved(root: Schema, schema: Schema) -> Schema:
    """The schema that a reference names, with the marks that stand beside the reference."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    definition: Schema = root["$defs"][str(reference).removeprefix("#/$defs/")]
    return {**definition, **{word: value for word, value in schema.items() if word != "$ref"}}


def _variants(root: Schema, schema: Schema) -> dict[str, Schema]:
    found = [_resolved(root, variant) for variant in schema.get("anyOf", (schema,))]
    return {
        " ".join(str(variant[word]) for word in ("type", "format") if word in variant): variant for variant in found
    }


def _unmarked(schema: Schema) -> Schema:
    return {word: value for word, value in schema.items() if word not in {"x-category", "x-reaches"}}


def _values(schema: Schema) -> tuple[str, ...] | None:
    if "const" in schema:
        return (str(schema["const"]),)
    return tuple(str(value) for value in schema["enum"]) if "enum" in schema else None
