"""Her code on paper: an address, a code to scan with the code in its fragment, and nothing that names a cell."""

import base64
import hashlib
from importlib.resources import files

import segno
from markupsafe import Markup

from intake.my_case.api.rendering import render
from intake.my_case.texts import Language

STYLE = files("intake.my_case").joinpath("static", "paper.css").read_text("utf-8")
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
PAPER_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def paper(language: Language, address: str, code: str) -> str:
    """A page of A6 as HTML, whole in itself."""
    svg = segno.make_qr(f"{address}#{code}", error="m").svg_inline(scale=4, border=2, omitsize=True, dark="#000")
    return render(
        "paper.html",
        language,
        style=Markup(STYLE),  # noqa: S704 - our own file, whose hash the policy names
        picture=Markup(svg),  # noqa: S704 - drawn here, of modules and no text
        address=address.split("://", 1)[-1],
        code=code,
    )
