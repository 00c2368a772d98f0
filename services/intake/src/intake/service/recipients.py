"""Who may be named as a recipient: the directory's organisations, for the cells that they serve, for their purpose."""

from amanat.consent import GrantTerms
from intake import schemas
from intake.errors import unknown_purpose, unknown_recipient
from intake.service.instruments import Instruments


def check_recipients(body: schemas.NewCase, cell: str, instruments: Instruments) -> None:
    """Every recipient and purpose must be the directory's. Raises UnknownRecipient or UnknownPurpose."""
    for number, terms in enumerate(body.consents):
        check_terms(terms, f"/consents/{number}", cell, instruments)
    for number, recipient in enumerate(body.referrals):
        if not instruments.directory.serves(recipient.agency, recipient.organisation, cell):
            raise unknown_recipient(f"/referrals/{number}")


def check_terms(terms: GrantTerms, pointer: str, cell: str, instruments: Instruments) -> None:
    """Raises UnknownRecipient or UnknownPurpose for one consent."""
    recipient = terms.recipient
    if not instruments.directory.serves(recipient.agency, recipient.organisation, cell):
        raise unknown_recipient(f"{pointer}/recipient")
    if terms.purpose is not None and terms.purpose != instruments.directory.purpose(recipient.agency):
        raise unknown_purpose(f"{pointer}/purpose")
