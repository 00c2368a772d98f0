"""What intake refuses, and how it says so."""

from amanat.errors import Conflict, FieldError, InvalidInput, Refused, Unavailable

__all__ = [
    "AlreadyCorrected",
    "AmbiguousKit",
    "BundleChanged",
    "BundlesUnavailable",
    "GateClosed",
    "KitExists",
    "NothingWitnessed",
    "OneIdentifier",
    "TooMuchInOneCategory",
    "UnknownCell",
    "UnknownPurpose",
    "UnknownRecipient",
]


class AlreadyCorrected(Conflict):
    code = "already-corrected"
    title = "That record was corrected already; correct the newest one"
    title_ur = "یہ اندراج پہلے ہی درست کیا جا چکا ہے؛ تازہ ترین کو درست کیجیے"


class KitExists(Conflict):
    code = "kit-exists"
    title = "A kit with this barcode is open already"
    title_ur = "اس بارکوڈ کی کٹ پہلے سے کھلی ہے"


class AmbiguousKit(Conflict):
    code = "ambiguous-kit"
    title = "Two of the cells that this client serves have a kit with this barcode"
    title_ur = "اس نظام کے دو سیلوں میں اسی بارکوڈ کی کٹ موجود ہے"


class GateClosed(Unavailable):
    """After a restore, until it is reopened. Never an empty lease: that would say there is nothing."""

    code = "gate-closed"
    title = "The gate is closed after a restore; try again"
    title_ur = "بحالی کے بعد گیٹ ابھی بند ہے؛ دوبارہ کوشش کریں"


class NothingWitnessed(Conflict):
    """A bundle would prove nothing: no other service has cosigned a checkpoint of this ledger yet."""

    code = "nothing-witnessed"
    title = "No checkpoint of the ledger was cosigned yet; a bundle would prove nothing. Try again later"
    title_ur = "کھاتے کے کسی چیک پوائنٹ پر ابھی گواہی نہیں؛ بنڈل کچھ ثابت نہ کرے گا۔ بعد میں کوشش کریں"


class BundleChanged(Conflict):
    """An entry of it was erased since, a record changed, or the program writes its pages in another way."""

    code = "bundle-changed"
    title = "This bundle can no longer be made as it was; ask for a new one"
    title_ur = "یہ بنڈل اب ویسا نہیں بن سکتا جیسا تھا؛ نیا بنڈل مانگیے"


class BundlesUnavailable(Unavailable):
    """No bundle key is set, or the directory does not name it."""

    code = "bundles-unavailable"
    title = "No court bundle can be made here: the key that signs them is not set up"
    title_ur = "یہاں عدالتی بنڈل نہیں بن سکتا: دستخط کی کلید مقرر نہیں"


class TooMuchInOneCategory(Refused):
    status, code = 422, "too-much-in-one-category"
    title = "One category of this case would grow beyond what can be sent at once; shorten its records"
    title_ur = "اس کیس کے ایک زمرے کا متن حد سے بڑھ جائے گا؛ اندراجات مختصر کیجیے"


class UnknownCell(Refused):
    status, code = 422, "unknown-cell"
    title = "Name one of the cells that this client serves"
    title_ur = "ان سیلوں میں سے ایک کا نام دیجیے جن کے لیے یہ نظام کام کرتا ہے"


class OneIdentifier(Refused):
    status, code = 422, "one-identifier"
    title = "Search by exactly one identifier"
    title_ur = "تلاش کے لیے صرف ایک شناخت دیجیے"


def unknown_recipient(pointer: str) -> InvalidInput:
    """The directory has no such organisation, or it does not serve this cell."""
    return UnknownRecipient([FieldError(pointer=pointer, code="unknown-recipient", message="not in the directory")])


def unknown_purpose(pointer: str) -> InvalidInput:
    """The purpose is not the one for which this agency receives anything."""
    return UnknownPurpose([FieldError(pointer=pointer, code="unknown-purpose", message="not this agency's purpose")])


class UnknownRecipient(InvalidInput):
    code = "unknown-recipient"
    title = "The directory knows no such recipient for this cell"
    title_ur = "اس سیل کے لیے ایسا کوئی ادارہ فہرست میں نہیں"


class UnknownPurpose(InvalidInput):
    code = "unknown-purpose"
    title = "This recipient receives nothing for that purpose"
    title_ur = "اس ادارے کو اس مقصد کے لیے کچھ نہیں بھیجا جاتا"
