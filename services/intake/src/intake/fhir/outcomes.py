"""What became of each entry, in constant texts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

NOTES: Mapping[str, str] = {
    "kind-not-kept": "This kind of resource is not kept.",
    "outside-the-visit": "This does not refer to the visit and is not kept.",
    "other-person": "This is about somebody else than the visit's patient and is not kept.",
    "not-a-fact": "By its status this did not happen, is not done yet or was entered in error; it is not kept.",
    "modifier": "A modifier that is not known here could change what this means; it is not kept.",
    "empty": "This says nothing that is kept.",
    "said-twice": "Another entry says this differently, and only one can be kept; this one is not.",
    "too-long": "This is longer, or the last of more, than can be kept; it is not.",
    "unreadable-value": "The value is not of the kind that this code asks for; it is not kept.",
    "unknown-code": "The code is not one of the code system that it names; it is not kept.",
    "no-visit-sample": "A sample is kept only with an examination-request of the visit.",
    "unknown-recipient": "The performer is not a recipient that serves this cell; no referral is asked for.",
    "consent-status": "This consent is not active and grants nothing.",
    "consent-person": "This consent is not the visit's patient's and grants nothing.",
    "consent-period": "This consent is not in its period and grants nothing.",
    "consent-type": "This consent has no provision of type permit and grants nothing.",
    "consent-narrowed": "This consent is narrowed in a way that cannot be kept to here, and therefore grants nothing.",
    "consent-recipient": "An actor of this consent is not a recipient that serves this cell; it grants nothing.",
    "consent-purpose": "This consent does not name the recipient's purpose and grants nothing.",
    "consent-data-class": "This consent names no data class, or one that is not known, and grants nothing.",
    "consent-decision": "This consent names a decision that is not known and grants nothing.",
    "consent-undated": "This consent has no date and cannot be told from one withdrawn since; it grants nothing.",
    "consent-withdrawn-since": "What she has withdrawn since this consent was given stays withdrawn; ask her anew.",
    "consent-too-many": "More consents than can be taken at once; this one is not recorded.",
    "consent-waits": "This consent names nobody who decided; it is recorded and grants nothing until they are.",
    "telecom-left-out": "A telephone number is no leave to call it; only a marked safe contact is kept.",
    "attachment-left-out": "Attachments and photographs are not kept.",
    "birth-date-partial": "The birth date is not a full date; only the least age that it allows is kept.",
    "gender-other": "Gender other is kept as unknown, unless a transgender identity is given.",
    "time-left-out": "The time is not an exact one, or lies in the future; it is not kept.",
}
"""What a rule says to the sender; the rule itself is the stable code."""


@dataclass(frozen=True)
class Outcome:
    """Of one entry: what it is kept as (None: not kept), and notes, by rule, on what was left out.

    `kept_as` is a kind of record (`person`, `safe_contact`, `incident`, `examination`, `care_note`), or `case`,
    `consent`, `referral`.
    """

    index: int
    kept_as: str | None
    notes: tuple[str, ...] = ()

    def dropped(self, note: str) -> "Outcome":
        """The same entry, not kept after all."""
        return replace(self, kept_as=None, notes=(note,))

    def noted(self, note: str) -> "Outcome":
        """The same entry, with one more thing that was left out of it."""
        return replace(self, notes=(*self.notes, note))
