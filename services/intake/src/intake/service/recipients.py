"""Who may be named as a recipient: the directory's organisations, for the cells that they serve, for their purpose."""

from amanat.consent import GrantTerms
from amanat.consent import Recipient as GrantRecipient
from intake import schemas
from intake.break_glass.errors import disclosure_needed
from intake.errors import unknown_purpose, unknown_recipient
from intake.service.instruments import Instruments

OUTSIDE_HER_CONSENT = frozenset({"court_order", "statutory_duty"})
"""Bases that one client alone may not claim: two people decide (DESIGN.md, "Identity and access")."""


def check_recipients(body: schemas.NewCase, cell: str, instruments: Instruments) -> None:
    """Every recipient and purpose is the directory's. Raises UnknownRecipient, UnknownPurpose, DisclosureNeeded."""
    for number, terms in enumerate(body.consents):
        check_terms(terms, f"/consents/{number}", cell, instruments)
    for number, recipient in enumerate(body.referrals):
        check_recipient(recipient, f"/referrals/{number}", cell, instruments)


def check_terms(terms: GrantTerms, pointer: str, cell: str, instruments: Instruments) -> None:
    """Raises UnknownRecipient or UnknownPurpose for one consent; DisclosureNeeded for what is none of hers."""
    recipient = terms.recipient
    check_recipient(recipient, f"{pointer}/recipient", cell, instruments)
    if terms.purpose is not None and terms.purpose != instruments.directory.purpose(recipient.agency):
        raise unknown_purpose(f"{pointer}/purpose")
    if terms.basis in OUTSIDE_HER_CONSENT:
        raise disclosure_needed(pointer)


def check_recipient(
    recipient: schemas.Recipient | GrantRecipient, pointer: str, cell: str, instruments: Instruments
) -> None:
    """Raises UnknownRecipient unless the directory's organisation serves the cell."""
    if not instruments.directory.serves(recipient.agency, recipient.organisation, cell):
        raise unknown_recipient(pointer)
