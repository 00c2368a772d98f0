"""One record gathered from several resources, within the limits of its fields."""

from typing import Any

LINE = 500  # characters, as contracts.values.Line
PARAGRAPH = 50_000  # as contracts.values.Paragraph
Note = str | None
"""None when it was kept, else the rule why not (`outcomes.NOTES`)."""


class Notebook:
    """The fields of one record to be. Each method keeps all of a value or nothing of it, and says which."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def put(self, field: str, value: Any) -> Note:
        """A field with one value: the first stays, an equal one is no news."""
        if value is None:
            return "unreadable-value"
        if isinstance(value, str) and len(value) > LINE:
            return "too-long"
        if field in self.fields and self.fields[field] != value:
            return "said-twice"
        self.fields[field] = value
        return None

    def write(self, field: str, value: str | None) -> Note:
        """A long text, to which each value adds a line."""
        if value is None:
            return "unreadable-value"
        lines = [self.fields[field]] if field in self.fields else []
        joined = "\n".join([*lines, value])
        if len(joined) > PARAGRAPH:
            return "too-long"
        self.fields[field] = joined
        return None

    def add(self, field: str, value: Any, *, most: int) -> Note:
        """A list, to which each value adds an element."""
        if value is None:
            return "unreadable-value"
        if (isinstance(value, str) and len(value) > LINE) or len(self.fields.get(field, ())) >= most:
            return "too-long"
        self.fields[field] = (*self.fields.get(field, ()), value)
        return None
