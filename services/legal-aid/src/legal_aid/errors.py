"""What legal-aid refuses, and how it says so."""

from amanat.errors import Conflict


class AlreadyDeclined(Conflict):
    code = "already-declined"
    title = "This case was declined already; a lawyer may still be assigned"
    title_ur = "یہ کیس پہلے ہی نامنظور ہو چکا ہے؛ وکیل اب بھی مقرر ہو سکتا ہے"
