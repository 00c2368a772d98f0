"""What police-link refuses, and how it says so."""

from amanat.errors import Conflict


class AlreadyAcknowledged(Conflict):
    code = "already-acknowledged"
    title = "This referral was acknowledged already"
    title_ur = "اس ریفرل کی وصولی پہلے ہی درج ہو چکی ہے"


class AlreadyRegistered(Conflict):
    code = "fir-already-registered"
    title = "A FIR is registered on this referral already"
    title_ur = "اس ریفرل پر ایف آئی آر پہلے ہی درج ہے"


class AlreadyRefused(Conflict):
    code = "already-refused"
    title = "This referral was refused already; a FIR may still be registered"
    title_ur = "یہ ریفرل پہلے ہی مسترد ہو چکا ہے؛ ایف آئی آر اب بھی درج ہو سکتی ہے"
