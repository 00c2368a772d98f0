"""What forensics refuses, and how it says so."""

from amanat.errors import Conflict


class KitNotAccepted(Conflict):
    code = "kit-not-accepted"
    title = "This laboratory has not received and accepted that kit"
    title_ur = "اس لیبارٹری نے وہ کٹ وصول اور قبول نہیں کی"
