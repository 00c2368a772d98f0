"""What is refused where the glass is broken, and how it is said."""

from amanat.errors import Conflict, FieldError, Forbidden, InvalidInput, Refused


class NameOneCase(Refused):
    status, code = 422, "name-one-case"
    title = "Name the case by its code or by exactly one identifier"
    title_ur = "کیس کا کوڈ دیجیے یا صرف ایک شناخت"


class SeveralCases(Conflict):
    """The identifier is borne by more than one case: nothing is opened, and nothing said but how many there are."""

    code = "several-cases"
    title = "Several cases bear this identifier; give another one, or the case's code"
    title_ur = "یہ شناخت ایک سے زیادہ کیسوں میں ہے؛ کوئی اور شناخت یا کیس کا کوڈ دیجیے"

    def __init__(self, number: int) -> None:
        super().__init__(f"{number} cases bear it")


class EmergencyOver(Refused):
    status, code = 410, "emergency-over"
    title = "The time of this emergency is over; if there is need again, open another"
    title_ur = "اس ہنگامی رسائی کا وقت ختم ہو چکا ہے؛ دوبارہ ضرورت ہو تو نئی درخواست کیجیے"


class AnotherPersonReviews(Forbidden):
    code = "another-person-reviews"
    title = "Who opened an emergency does not review it"
    title_ur = "جس نے ہنگامی رسائی لی وہ خود اس کا جائزہ نہیں لے سکتا"


class AlreadyReviewed(Conflict):
    code = "already-reviewed"
    title = "This emergency was reviewed already"
    title_ur = "اس ہنگامی رسائی کا جائزہ لیا جا چکا ہے"


class CannotAsk(Forbidden):
    """Nobody could approve it: an approver is of another unit and holds another role than the asker."""

    code = "cannot-ask"
    title = "To ask for a disclosure outside you need a unit, and no part in approving such disclosures"
    title_ur = "باہر معلومات دینے کی درخواست وہی کر سکتا ہے جس کا شعبہ درج ہو اور جو خود منظوری نہ دیتا ہو"


class SecondPersonNeeded(Forbidden):
    """One body whatever is the same: the person, the unit, the role; or whoever decides has no unit."""

    code = "second-person-needed"
    title = "Somebody else, of another unit and another role than who asked, decides this"
    title_ur = "اس کا فیصلہ کوئی دوسرا فرد کرے گا جس کا شعبہ اور عہدہ درخواست دینے والے سے الگ ہو"


class AlreadyDecided(Conflict):
    code = "already-decided"
    title = "This was decided already"
    title_ur = "اس کا فیصلہ پہلے ہی ہو چکا ہے"


class DisclosureLapsed(Conflict):
    code = "disclosure-lapsed"
    title = "Nobody decided this in time; ask for it again"
    title_ur = "اس کا فیصلہ وقت پر نہیں ہوا؛ دوبارہ درخواست کیجیے"


class NotInForce(Conflict):
    code = "not-in-force"
    title = "This disclosure is not in force, so that there is nothing to end"
    title_ur = "یہ اجازت نافذ نہیں، اس لیے ختم کرنے کو کچھ نہیں"


class RestsOnLaw(Conflict):
    """What two people approved no desk and no system takes back: it is no consent of hers."""

    code = "rests-on-law"
    title = (
        "This rests on a court's order or a duty by law, and not on her consent; a supervisor ends it with"
        " POST /v1/cases/{case}/disclosures/{disclosure}/ending"
    )
    title_ur = (
        "یہ اس کی رضامندی پر نہیں بلکہ عدالتی حکم یا قانونی فرض پر ہے؛ اسے نگران"
        " POST /v1/cases/{case}/disclosures/{disclosure}/ending سے ختم کرتا ہے"
    )


class DisclosureNeeded(InvalidInput):
    """A court order or a statutory duty is no consent of hers: two people decide, and not one client."""

    code = "disclosure-needed"
    title = "Ask for a court order or statutory duty with POST /v1/cases/{case}/disclosures; a second person approves"
    title_ur = (
        "عدالتی حکم یا قانونی فرض کے لیے POST /v1/cases/{case}/disclosures استعمال کیجیے؛ منظوری دوسرا فرد دیتا ہے"
    )


def disclosure_needed(pointer: str) -> InvalidInput:
    """Of the consent at `pointer`."""
    return DisclosureNeeded(
        [FieldError(pointer=f"{pointer}/basis", code="disclosure-needed", message="is asked for as a disclosure")]
    )
