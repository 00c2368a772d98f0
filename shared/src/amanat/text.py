"""Which characters a text may hold.

Refused are direction overrides and isolates (U+202A–202E, U+2066–2069), which make a text read otherwise than it is
stored, NUL, which PostgreSQL cannot hold, and lone surrogates, which no UTF-8 can. ZWNJ, ZWJ, LRM and RLM are kept:
Urdu needs them.
"""

import re

_REFUSED = re.compile("[\x00\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class RefusedText(ValueError):
    """The text holds a character that no text may hold. Never holds the text."""

    def __init__(self) -> None:
        super().__init__("holds a direction override, a NUL or a lone surrogate")


def has_refused_characters(text: str) -> bool:
    """Whether `text` holds a character that no text may hold."""
    return _REFUSED.search(text) is not None


def plain_text(text: str) -> str:
    """The text itself.

    Raises:
        RefusedText: it holds a character that no text may hold.
    """
    if has_refused_characters(text):
        raise RefusedText
    return text
