"""What the survivor's page and the cell's part in it refuse."""

from typing import ClassVar

from amanat.errors import Conflict, FieldError, InvalidInput

__all__ = ["AlreadyUndone", "CodeWordRefused", "DecidersNeeded", "WeakPin", "bad_pin"]


class WeakPin(InvalidInput):
    """`bad_pin` makes it, with the field and what would help."""

    code = "weak-pin"
    title = "Please choose another number, one that is harder to guess"
    title_ur = "براہِ کرم کوئی اور نمبر چنیے جس کا اندازہ لگانا مشکل ہو"


WHY_NOT: dict[str, str] = {
    "six-to-twelve-digits": "6 to 12 digits are needed",
    "all-the-same": "all digits are the same; others would try that first",
    "in-a-row": "the digits stand in a row; others would try that first",
    "same-as-pin": "the second number must differ from the first",
}


def bad_pin(pointer: str, code: str) -> WeakPin:
    """The refusal of a PIN: where it stood, and why; never the PIN."""
    return WeakPin([FieldError(pointer=pointer, code=code, message=WHY_NOT[code])])


class CodeWordRefused(Conflict):
    """A wrong word, and the sixth try of a day whatever the word is: one refusal."""

    code = "code-word-refused"
    title = "The code word was not accepted; nothing was changed"
    title_ur = "کوڈ لفظ قبول نہیں ہوا؛ کچھ بھی نہیں بدلا گیا"


class AlreadyUndone(Conflict):
    code = "already-undone"
    title = "This was undone before"
    title_ur = "یہ پہلے ہی واپس کیا جا چکا ہے"


class DecidersNeeded(InvalidInput):
    """She alone cannot give what others decided with her: they are asked anew."""

    status: ClassVar[int] = 422
    code = "deciders-needed"
    title = "Others decided with her; say who decides now"
    title_ur = "یہ فیصلہ دوسروں کے ساتھ مل کر ہوا تھا؛ بتائیے کہ اب کون فیصلہ کر رہا ہے"
