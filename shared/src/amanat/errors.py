"""Expected refusals: each is a class with a status, a stable code and a title in English and Urdu.

A service's `errors.py` adds its own::

    class SealBroken(Refused):
        status, code = 409, "seal-broken"
        title, title_ur = "The seal is not the one that was released", "مہر وہ نہیں جو حوالے کی گئی تھی"

Raise them anywhere below a route; the HTTP edge turns them into RFC 9457 problems. Nothing that a client sent may
stand in a title, a detail or a header (law 9): details are constant texts. Without consent it is `NotFound`, which
hides existence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, TypedDict


class FieldError(TypedDict):
    """One fault of an input: where (RFC 6901 pointer, known fields only), a stable code, a constant text."""

    pointer: str
    code: str
    message: str


class Refused(Exception):
    """An expected refusal. `detail` is a constant text of the program, never input."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "refused"
    title: ClassVar[str] = "The request was refused"
    title_ur: ClassVar[str] = "درخواست قبول نہیں کی گئی"

    def __init__(
        self,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(self.code)
        self.detail = detail
        self.headers: dict[str, str] = dict(headers or {})
        self.errors: tuple[FieldError, ...] = tuple(errors)


class BadRequest(Refused):
    status, code = 400, "bad-request"
    title, title_ur = "The request cannot be read", "درخواست پڑھی نہیں جا سکتی"


class MalformedBody(BadRequest):
    code = "malformed-body"
    title, title_ur = "The body is not acceptable JSON", "متن درست JSON نہیں"


class IdempotencyKeyMissing(Refused):
    status, code = 400, "idempotency-key-missing"
    title, title_ur = "An Idempotency-Key header is needed", "Idempotency-Key ہیڈر درکار ہے"


class IdempotencyKeyInvalid(Refused):
    status, code = 400, "idempotency-key-invalid"
    title = "The Idempotency-Key must be 1 to 255 visible ASCII characters"
    title_ur = "Idempotency-Key میں 1 سے 255 تک ASCII حروف ہونے چاہئیں"


class BadCursor(Refused):
    """422, as every other parameter that has the right form and does not fit."""

    status, code = 422, "bad-cursor"
    title, title_ur = "The cursor is not one that this list gave out", "یہ نشانی اس فہرست کی دی ہوئی نہیں"


class Unauthenticated(Refused):
    """Without a token, or with one that does not verify: one body for both; only the challenge tells them apart."""

    status, code = 401, "unauthenticated"
    title, title_ur = "A valid access token is needed", "درست اجازتی ٹوکن درکار ہے"

    def __init__(self, *, invalid_token: bool = False) -> None:
        challenge = 'Bearer realm="amanat"' + (', error="invalid_token"' if invalid_token else "")
        super().__init__(headers={"WWW-Authenticate": challenge})


class Forbidden(Refused):
    """The token verifies, and its agency or roles do not allow this. One body for every reason."""

    status, code = 403, "forbidden"
    title, title_ur = "This is not allowed to you", "آپ کو اس کی اجازت نہیں"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="amanat", error="insufficient_scope"'})


class NotFound(Refused):
    status, code = 404, "not-found"
    title, title_ur = "There is nothing here for you", "یہاں آپ کے لیے کچھ نہیں"


class MethodNotAllowed(Refused):
    status, code = 405, "method-not-allowed"
    title, title_ur = "This address does not take that method", "یہ پتہ یہ طریقہ قبول نہیں کرتا"


class NotAcceptable(Refused):
    status, code = 406, "not-acceptable"
    title, title_ur = "None of the asked formats can be given", "مانگی گئی کوئی صورت دستیاب نہیں"


class Conflict(Refused):
    status, code = 409, "conflict"
    title, title_ur = "This does not fit the present state", "یہ موجودہ حالت سے میل نہیں کھاتا"


class Busy(Conflict):
    """The same request is still being worked on (an idempotency twin that waited 5 s)."""

    code = "busy"
    title, title_ur = "The same request is still being worked on", "یہی درخواست ابھی زیرِ عمل ہے"

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class PreconditionFailed(Refused):
    status, code = 412, "precondition-failed"
    title, title_ur = "It was changed in the meantime", "اس دوران یہ بدل چکا ہے"


class TooLarge(Refused):
    status, code = 413, "too-large"
    title, title_ur = "The body is too large", "متن حد سے بڑا ہے"


class WrongContentType(Refused):
    status, code = 415, "wrong-content-type"
    title, title_ur = "The body is not of a content type taken here", "متن کی یہ قسم یہاں قبول نہیں"


class InvalidInput(Refused):
    """`errors` say where, by pointer, and what, by code; never what was sent."""

    status, code = 422, "invalid-input"
    title, title_ur = "The input is not valid", "دی گئی معلومات درست نہیں"

    def __init__(self, errors: Sequence[FieldError] = (), detail: str | None = None) -> None:
        super().__init__(detail, errors=errors)


class KeyReused(Refused):
    status, code = 422, "idempotency-key-reused"
    title = "This Idempotency-Key came before with another body"
    title_ur = "یہ Idempotency-Key پہلے کسی اور متن کے ساتھ آ چکی ہے"


class PreconditionRequired(Refused):
    status, code = 428, "precondition-required"
    title, title_ur = "An If-Match header is needed", "If-Match ہیڈر درکار ہے"


class TooManyRequests(Refused):
    status, code = 429, "too-many-requests"
    title, title_ur = "Too many requests", "درخواستیں حد سے زیادہ ہیں"

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)})


class Unavailable(Refused):
    status, code = 503, "unavailable"
    title, title_ur = "The service cannot answer just now", "سروس اس وقت جواب نہیں دے سکتی"

    def __init__(self, detail: str | None = None, *, retry_after: int = 5) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class GateUnavailable(Unavailable):
    """The gate is away and the lease is over. Never 404: that would say there is nothing."""

    code = "gate-unavailable"
    title, title_ur = "The keys cannot be had just now; try again", "کنجیاں اس وقت نہیں مل سکتیں؛ دوبارہ کوشش کریں"


class IdentityUnavailable(Unavailable):
    """No signing keys of the issuer were ever fetched, so no token can be checked."""

    code = "identity-unavailable"
    title, title_ur = "Tokens cannot be checked just now; try again", "ٹوکن کی جانچ اس وقت ممکن نہیں؛ دوبارہ کوشش کریں"


class ProofUnavailable(Unavailable):
    """The stored tree does not lead to what was signed. Its operator is alarmed, and can compute it anew."""

    code = "proof-unavailable"
    title = "The ledger's stored tree does not fit what was signed; no proof can be made until it is mended"
    title_ur = "لیجر کا محفوظ درخت دستخط شدہ سے میل نہیں کھاتا؛ درستی تک ثبوت نہیں بن سکتا"

    def __init__(self, detail: str | None = None, *, retry_after: int = 600) -> None:
        super().__init__(detail, retry_after=retry_after)
