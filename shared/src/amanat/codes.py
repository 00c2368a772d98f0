"""Case and referral codes: `P-7KQ2-M4XD-3`.

A prefix, eight characters of Crockford's base32 (40 random bits) and Crockford's check character, which finds every
single wrong character and every swap of neighbours. Only numbers whose check character is itself one of the 32 are
issued, so that a code can be read over a telephone and stands in a URL as it is.
"""

import re
from collections.abc import Callable, Mapping

from amanat.categories import Agency

PREFIX: Mapping[Agency, str] = {
    Agency.INTAKE: "C",
    Agency.POLICE_LINK: "P",
    Agency.FORENSICS: "F",
    Agency.LEGAL_AID: "L",
}
"""The first letter of a case's code (intake) and of an agency's referral codes."""

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARACTER = "[0-9A-HJKMNP-TV-Z]"
CODE_PATTERN = rf"^[CPFL]-{_CHARACTER}{{4}}-{_CHARACTER}{{4}}-{_CHARACTER}$"
"""A code in its normal form; for schemas. The check character is verified by `parse_code` only."""

_DIGITS = 8
_CHECK_MODULUS = 37
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1"})
_SEPARATORS = re.compile(r"[\s\-‐‑–]+")


class BadCode(ValueError):
    """The text is not a code of that prefix. Never holds the text."""

    def __init__(self) -> None:
        super().__init__("not a code")


def new_code(prefix: str, randomness: Callable[[int], bytes]) -> str:
    """A fresh code of `prefix` from five bytes of `randomness`; the caller's unique index settles a collision."""
    number = int.from_bytes(randomness(5), "big")
    remainder = number % _CHECK_MODULUS
    if remainder >= len(ALPHABET):
        # Five of the 37 check characters are no digit or letter: move on to the next number with the check character 0
        # (past the last of 40 bits, to one of the first).
        number = (number + _CHECK_MODULUS - remainder) % (1 << 40)
    digits = "".join(ALPHABET[(number >> (5 * place)) & 31] for place in reversed(range(_DIGITS)))
    return f"{prefix}-{digits[:4]}-{digits[4:]}-{ALPHABET[number % _CHECK_MODULUS]}"


def parse_code(text: str, prefix: str) -> str:
    """The normal form of a code as a person may type it: any case, spaces for hyphens, O for 0, I and L for 1.

    Raises:
        BadCode: another prefix, another length, a character outside the alphabet, or a wrong check character.
    """
    if len(text) > 40:
        raise BadCode
    plain = _SEPARATORS.sub("", text).upper()
    if not plain.startswith(prefix):
        raise BadCode
    digits = plain[len(prefix) :].translate(_MISREAD)
    if len(digits) != _DIGITS + 1 or any(character not in ALPHABET for character in digits):
        raise BadCode
    number = 0
    for character in digits[:_DIGITS]:
        number = number * 32 + ALPHABET.index(character)
    if number % _CHECK_MODULUS != ALPHABET.index(digits[_DIGITS]):
        raise BadCode
    return f"{prefix}-{digits[:4]}-{digits[4:8]}-{digits[8]}"
