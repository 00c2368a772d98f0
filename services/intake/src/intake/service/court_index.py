"""The first page of a court bundle, for people: what is there, what is missing, and the gaps said. English and Urdu."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from amanat import verify

_HERE = Path(__file__).parent
# Everything that is filled in is escaped: a reference or a recipient is a stranger's text.
_TEMPLATES = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
_log = structlog.get_logger(__name__)

PAGES = (
    ("report.json", "examination, account, person, digital items", "معائنہ، بیان، شخص، ڈیجیٹل شواہد"),
    ("consents.json", "consents and withdrawals", "رضامندیاں اور واپسیاں"),
    ("custody.json", "kits, hand to hand", "کٹیں، ہاتھ بہ ہاتھ"),
    ("facts.json", "what police and laboratory reported", "پولیس اور لیبارٹری کی اطلاعات"),
    ("history.json", "what happened to the case, in order", "کیس کی کارروائی، ترتیب سے"),
    ("looks.json", "who looked at the case", "کیس کس نے دیکھا"),
)
BASES = {
    "court_order": ("court order", "عدالتی حکم"),
    "consent": ("her consent", "اس کی رضامندی"),
    "statutory_duty": ("statutory duty", "قانونی فرض"),
}
GAPS = {
    "release_without_receipt": ("released, and nobody recorded receiving it", "حوالہ ہوا، وصولی درج نہیں"),
    "receipt_without_release": ("received, and nobody recorded handing it over", "وصول ہوا، حوالگی درج نہیں"),
    "seal_broken": ("the seal was found broken", "مہر ٹوٹی ہوئی پائی گئی"),
    "seal_numbers_differ": ("release and receipt name different seals", "مہر کے نمبر مختلف ہیں"),
    "release_recorded_late": ("the release was recorded after its receipt", "حوالگی کا اندراج وصولی کے بعد ہوا"),
    "released_by_no_holder": (
        "released by somebody who had not received it, or had handed it on already",
        "اس نے حوالے کی جس نے وصول نہیں کی تھی یا پہلے ہی آگے دے چکا تھا",
    ),
    "long_on_the_way": (
        "more than 24 hours from release to receipt, or until the receipt was recorded",
        "حوالگی سے وصولی تک، یا وصولی کے اندراج تک، 24 گھنٹے سے زیادہ گزرے",
    ),
}
EXPECTED = {
    "mlc_number": ("MLC number", "ایم ایل سی نمبر"),
    "age_and_basis": ("age, or birth date", "عمر یا تاریخِ پیدائش"),
    "consent": ("consent, and by whom", "رضامندی، اور کس کی"),
    "time_of_incident": ("time of the incident", "واقعے کا وقت"),
    "account": ("the account in her words", "اس کے اپنے الفاظ میں بیان"),
    "acts": ("acts alleged", "بیان کردہ افعال"),
    "examiner_name": ("examiner's name", "معائنہ کار کا نام"),
    "examiner_designation": ("examiner's designation", "معائنہ کار کا عہدہ"),
    "requested_by": ("requester, or self-presented", "کس نے درخواست کی، یا خود آئی"),
    "identity_marks": ("identity marks", "شناختی علامات"),
    "accompanied_by": ("who accompanied her", "ساتھ کون تھا"),
    "started_at": ("start of the examination", "معائنے کا آغاز"),
    "ended_at": ("end of the examination", "معائنے کا اختتام"),
    "washed": ("whether she had washed", "غسل کیا یا نہیں"),
    "changed_clothes": ("whether she had changed clothes", "کپڑے بدلے یا نہیں"),
    "general_condition": ("general condition", "عمومی حالت"),
    "mental_state": ("mental state", "ذہنی حالت"),
    "injuries": ("injuries, or that none was found", "زخم، یا یہ کہ کوئی نہیں"),
    "genital_findings": ("fresh genital findings", "تازہ جنسی معائنے کے نتائج"),
    "anal_findings": ("fresh anal findings", "مقعد کے تازہ نتائج"),
    "samples": ("samples, or why none was taken", "نمونے، یا نہ لینے کی وجہ"),
    "clothing": ("clothing", "کپڑے"),
    "seal_number": ("seal number", "مہر کا نمبر"),
    "kit_barcode": ("kit number", "کٹ کا نمبر"),
    "handed_to": ("handed to whom", "کس کے حوالے ہوا"),
    "photographs_taken": ("whether photographs were taken", "تصاویر لی گئیں یا نہیں"),
    "opinion": ("opinion", "رائے"),
    "opinion_reasons": ("reasons of the opinion", "رائے کی وجوہات"),
    "pending": ("what is pending at the laboratory", "لیبارٹری میں کیا باقی ہے"),
}


def render(frame: Mapping[str, Any], made: Mapping[str, Any]) -> bytes | None:
    """The PDF of a bundle's index; None where it cannot be made: no bundle is refused for it.

    Takes most of a second, so call it off the event loop. `frame` and `made` as `court_file` has them.
    """
    html = _TEMPLATES.get_template("court_index.html").render(_told(frame, made))
    try:
        from weasyprint import HTML  # noqa: PLC0415 - heavy, and needs libpango, which a system may lack

        return bytes(HTML(string=html, url_fetcher=_nothing).write_pdf())
    except (OSError, ImportError) as error:
        _log.warning("index_pdf_left_out", kind=type(error).__name__)
        return None


def _nothing(url: str, *_: Any, **__: Any) -> NoReturn:
    raise ValueError("the page fetches nothing")


def _told(frame: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    name, basis = frame["cell"]["name"], BASES[frame["basis"]]
    contents, expected = made["contents"], made["report.json"]["expected"]
    signers = [*frame["keys"]["ledgers"].values(), frame["keys"]["bundles"]]
    return {
        "frame": frame,
        "contents": contents,
        "wrong": contents["changed"],
        "facts": [
            ("Bundle", "بنڈل", frame["bundle"]),
            ("Case", "کیس", frame["case"]),
            ("Crisis cell", "کرائسس سیل", f"{name['en']} · {name['ur']}"),
            ("Made", "تیار ہوا", frame["made_at"][:19].replace("T", " ") + " UTC"),
            ("On the basis of", "بنیاد", f"{basis[0]} · {basis[1]}"),
            ("Reference", "حوالہ", frame["reference"]),
            ("For", "برائے", frame["recipient"]),
        ],
        "pages": [(name, en, ur, _number(made[name])) for name, en, ur in PAGES if name in made]
        + [
            (
                "entries/",
                "entries of the ledger, with their proofs",
                "کھاتے کے اندراجات، ثبوت کے ساتھ",
                contents["entries"],
            )
        ],
        "kits": made["custody.json"]["kits"],
        "gaps": GAPS,
        "missing": [EXPECTED[part] for part in contents["missing"]],
        "there": sum(each["there"] for each in expected),
        "expected": len(expected),
        "keys": [
            (signer["origin"], verify.fingerprint(base64.b64decode(key["public_key"])))
            for signer in signers
            for key in signer["keys"]
        ],
    }


def _number(page: Mapping[str, Any]) -> int:
    return len(next(value for name, value in sorted(page.items(), reverse=True) if name != "expected"))
