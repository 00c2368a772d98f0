"""What webhooks refuse, and how they say so."""

from amanat.errors import Conflict, FieldError, InvalidInput


class TooManySubscriptions(Conflict):
    code = "too-many-subscriptions"
    title = "This organisation has as many subscriptions as it may have; remove one first"
    title_ur = "اس ادارے کی سبسکرپشنز کی حد پوری ہو چکی ہے؛ پہلے کوئی ایک ختم کیجیے"


class NotVerified(Conflict):
    code = "subscription-not-verified"
    title = "The endpoint has not echoed its challenge; there is nothing to send again"
    title_ur = "اس پتے نے ابھی تصدیقی جواب نہیں دیا؛ دوبارہ بھیجنے کو کچھ نہیں"


class EndpointRefused(InvalidInput):
    """The address is not one that webhooks are sent to. `reason` is one of the constants of `addresses`."""

    code = "endpoint-refused"
    title = "Webhooks are not sent to such an address"
    title_ur = "اس طرح کے پتے پر اطلاع نہیں بھیجی جاتی"

    def __init__(self, reason: str) -> None:
        super().__init__([FieldError(pointer="/url", code="endpoint-refused", message=reason)])
