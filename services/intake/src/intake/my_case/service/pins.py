"""What a PIN, a code word and a claim code may be, and their one spelling."""

import unicodedata
from itertools import pairwise

from amanat.codes import BadCode, new_code, parse_code
from intake.my_case.errors import bad_pin

PREFIX = "M"
"""Of claim codes: no agency's, so that none of them takes a claim for a referral."""
SHORTEST, LONGEST = 6, 12

__all__ = ["PREFIX", "check_pins", "new_code", "spelled", "spelled_code", "spelled_word"]


def spelled(pin: str) -> str:
    """A PIN as it is hashed: digits of any script as 0-9, without spaces and hyphens. What is none stays what it is."""
    kept = []
    for character in unicodedata.normalize("NFKC", pin):
        kind = unicodedata.category(character)
        if not (kind in {"Pd", "Cf", "Cc"} or character.isspace()):
            kept.append(str(unicodedata.decimal(character)) if kind == "Nd" else character)
    return "".join(kept)


def spelled_word(word: str) -> str:
    """A code word as it is hashed: whoever says it on the telephone says neither capitals nor spaces."""
    composed = unicodedata.normalize("NFKC", word).casefold()
    return "".join(c for c in composed if unicodedata.category(c) not in {"Cf", "Cc", "Zs", "Pd"})


def spelled_code(code: str) -> str:
    """A claim code in its normal form. What is none stays as it is: unknown, and treated as every unknown code."""
    try:
        return parse_code(code, PREFIX)
    except BadCode:
        try:
            return parse_code(PREFIX + code, PREFIX)
        except BadCode:
            return code


def check_pins(pin: str, duress: str | None) -> None:
    """Raises WeakPin for what others would try first, kindly and with the reason."""
    for pointer, each in (("/pin", pin), ("/duress_pin", duress)):
        if each is not None and (why := _why_not(spelled(each))) is not None:
            raise bad_pin(pointer, why)
    if duress is not None and spelled(duress) == spelled(pin):
        raise bad_pin("/duress_pin", "same-as-pin")


def _why_not(pin: str) -> str | None:
    if not (pin.isascii() and pin.isdecimal() and SHORTEST <= len(pin) <= LONGEST):
        return "six-to-twelve-digits"
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    if steps == {0}:
        return "all-the-same"
    # 123456, 987654, 890123
    return "in-a-row" if steps in ({1}, {9}) else None
