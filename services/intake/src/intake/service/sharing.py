"""Decide, project, seal, outbox: the one room through which anything leaves the cell (law 1).

`plan` is pure: it takes what is known of a case and says what has to change. `intake.repository.changes.apply` writes
it, in the order in which locks are taken everywhere. `main` uses it for the cell's own records, the gate for facts and
for grants that came to their end.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from prometheus_client import Counter

from amanat import sealing
from amanat.categories import PERSONAL, Agency, Category
from amanat.consent import Access, Grant, ceiling, decide
from amanat.contracts.base import Event
from amanat.contracts.disclosures import (
    DISCLOSED_RECORDS,
    CategoryDisclosed,
    CategoryWithdrawn,
    DisclosedRecord,
    DisclosedRecords,
    KitAnnounced,
    ReferralOpened,
)
from amanat.contracts.records import project
from intake.changes import Changes, Document, NewKey, Outgoing, Referral, Share
from intake.errors import TooMuchInOneCategory
from intake.service.setting import Setting

LARGEST = 700_000
"""Bytes of one category's projection: sealed and in base64 it must fit a message of Kafka's default megabyte."""
TOO_MUCH = Counter("amanat_too_much_to_share_total", "Projections of facts and halves that were too large to go on")
KIT_HANDLERS = frozenset({Agency.POLICE_LINK, Agency.FORENSICS})


def plan(
    changes: Changes,
    referral: Referral,
    grants: frozenset[Grant],
    documents: Sequence[Document],
    setting: Setting,
) -> Referral:
    """Bring one referral to what the valid grants say now: end shares, open shares under a new epoch, disclose.

    Grants are the whole state of the case's consents. Nothing is done, and nothing is sent, for a referral without a
    valid grant (law 2). Returns the referral as it will stand.
    """
    granted = _decide(grants, referral, setting).categories & PERSONAL
    ended = sorted(set(referral.shares) - granted)
    started = sorted(granted - set(referral.shares)) if setting.opens else []
    if ended or started:
        referral = replace(referral, consent_version=referral.consent_version + 1)
    for category in ended:
        referral = end(changes, referral, category, setting)
    if started and referral.state == "waiting_for_consent":
        referral = _open(changes, referral, setting, "referral_opened")
    elif started and referral.state == "closed":
        referral = _open(changes, referral, setting, "referral_reopened")
    for category in started:
        share = Share(category, referral.next_epoch(category), _until(grants, referral, category, setting))
        referral = replace(
            referral,
            shares={**referral.shares, category: share},
            last_epochs={**referral.last_epochs, category: share.epoch},
        )
        changes.shares_opened.append((referral.code, share))
        changes.state("share_opened", referral.code, category=category.value, epoch=share.epoch)
    for category in sorted(granted & set(referral.shares) - set(started)):
        until = _until(grants, referral, category, setting)
        if not setting.opens:
            # What may not be opened is not prolonged either: an end that was told does not move away.
            until = min((end for end in (until, referral.shares[category].until) if end is not None), default=None)
        share = replace(referral.shares[category], until=until)
        if share != referral.shares[category]:
            referral = replace(referral, shares={**referral.shares, category: share})
            changes.shares_prolonged.append((referral.code, share))
    return disclose(changes, _closed_if_empty(changes, referral, setting), documents, started, setting)


def end_shares(changes: Changes, referral: Referral, categories: Collection[Category], setting: Setting) -> Referral:
    """End these shares of one referral, whatever grants there are. Returns the referral as it will stand."""
    ended = sorted(set(referral.shares) & set(categories))
    if not ended:
        return referral
    referral = replace(referral, consent_version=referral.consent_version + 1)
    for category in ended:
        referral = end(changes, referral, category, setting)
    return _closed_if_empty(changes, referral, setting)


def _closed_if_empty(changes: Changes, referral: Referral, setting: Setting) -> Referral:
    if referral.state == "open" and not referral.shares:
        changes.timeline.append(_entry(setting.now, "referral_closed", referral))
        referral = replace(referral, state="closed")
    changes.referrals[referral.code] = referral
    return referral


def disclose(
    changes: Changes,
    referral: Referral,
    documents: Sequence[Document],
    categories: Collection[Category],
    setting: Setting,
    *,
    amended: bool = False,
) -> Referral:
    """Send the whole current projection of each of the categories that this referral shares now.

    A higher `seq` replaces what the agency has; an amendment is sent even when nothing is left to show. Each message
    has a key of its own within the epoch, since `main` cannot unwrap an earlier one; an epoch's keys end together.
    Nothing is sent under a share whose last basis has expired, though its sweep is yet to come.
    """
    for category in sorted(set(categories) & live_shares(referral, setting)):
        content = DisclosedRecords(records=tuple(_projection(referral, documents, category, setting)))
        if not content.records and not amended:
            continue
        epoch = referral.shares[category].epoch
        event_id = setting.new_id()
        plaintext = content.model_dump_json().encode()
        if len(plaintext) > LARGEST:
            if setting.must_fit:
                raise TooMuchInOneCategory
            # What an agency did takes effect all the same; what no longer fits is not sent on, and people are told.
            TOO_MUCH.inc()
            changes.timeline.append(_entry(setting.now, "too_much_to_share", referral, category=category))
            continue
        key, wrap = setting.minter.mint()
        aad = sealing.associated_data(
            referral=referral.code,
            category=category,
            event_id=event_id,
            contract=DISCLOSED_RECORDS,
            key_id=key.key_id,
            epoch=epoch,
        )
        event = CategoryDisclosed(
            referral=referral.code,
            organisation=referral.organisation,
            category=category,
            epoch=epoch,
            key_id=key.key_id,
            seq=referral.next_seq,
            contract=DISCLOSED_RECORDS,
            sealed=sealing.seal(key, plaintext, aad, setting.minter.randomness),
        )
        changes.keys.append(NewKey(key.key_id, referral.code, category, epoch, referral.next_seq, wrap))
        referral = _send(changes, referral, event, event_id)
    return referral


def amend(
    changes: Changes,
    referral: Referral,
    documents: Sequence[Document],
    touched: Sequence[Document],
    setting: Setting,
) -> Referral:
    """Send anew the categories of which this referral sees something in the `touched` documents, old or new.

    Whoever sees nothing of them gets no message: it would tell that something happened. What this plan has just
    disclosed holds them already.
    """
    sent = {(code, share.category) for code, share in changes.shares_opened}
    seen = {
        category
        for category in live_shares(referral, setting)
        if (referral.code, category) not in sent and _projection(referral, touched, category, setting)
    }
    return disclose(changes, referral, documents, seen, setting, amended=True)


def live_shares(referral: Referral, setting: Setting) -> set[Category]:
    """Categories whose last basis has not expired."""
    return {c for c, share in referral.shares.items() if share.until is None or share.until > setting.now}


def announce_kit(changes: Changes, referral: Referral, barcode: str, setting: Setting) -> Referral:
    """Tell an agency that handles kits of a barcode, if it has a share of the case at all."""
    if referral.agency not in KIT_HANDLERS or not live_shares(referral, setting):
        return referral
    event = KitAnnounced(
        referral=referral.code, organisation=referral.organisation, barcode=barcode, announced_at=setting.now
    )
    return _send(changes, referral, event, setting.new_id())


def _decide(grants: frozenset[Grant], referral: Referral, setting: Setting) -> Access:
    return decide(
        grants,
        ceiling(referral.agency, adult=not setting.minor),
        referral.agency,
        referral.organisation,
        referral.purpose,
        setting.now,
        rules=setting.rules,
    )


def _open(changes: Changes, referral: Referral, setting: Setting, kind: str) -> Referral:
    """The agency is told each time: after all was withdrawn, a new grant is news to it, and so are later kits."""
    event = ReferralOpened(
        referral=referral.code,
        organisation=referral.organisation,
        purpose=referral.purpose,
        opened_at=setting.now,
        consent_version=referral.consent_version,
    )
    referral = _send(changes, replace(referral, state="open"), event, setting.new_id())
    changes.timeline.append(_entry(setting.now, kind, referral))
    changes.state(kind, referral.code, agency=referral.agency.value, organisation=referral.organisation)
    return _announce_kits(changes, referral, setting)


def _announce_kits(changes: Changes, referral: Referral, setting: Setting) -> Referral:
    if referral.agency in KIT_HANDLERS:
        for barcode in setting.barcodes:
            kit = KitAnnounced(
                referral=referral.code, organisation=referral.organisation, barcode=barcode, announced_at=setting.now
            )
            referral = _send(changes, referral, kit, setting.new_id())
    return referral


def end(
    changes: Changes, referral: Referral, category: Category, setting: Setting, *, kind: str = "category_ended"
) -> Referral:
    """End one share: its keys go, its tombstone is sent. The caller has raised the consent version."""
    share = referral.shares[category]
    changes.shares_ended.append((referral.code, share, setting.lease_seconds(referral.agency)))
    changes.timeline.append(_entry(setting.now, kind, referral, category=category, epoch=share.epoch))
    changes.state("key_destroyed", referral.code, category=category.value, epoch=share.epoch)
    event = CategoryWithdrawn(
        referral=referral.code,
        organisation=referral.organisation,
        category=category,
        epoch=share.epoch,
        consent_version=referral.consent_version,
        withdrawn_at=setting.now,
    )
    referral = _send(changes, referral, event, setting.new_id())
    return replace(referral, shares={c: s for c, s in referral.shares.items() if c != category})


def _send(changes: Changes, referral: Referral, event: Event, event_id: UUID) -> Referral:
    changes.outgoing.append(Outgoing(event_id, event, referral.agency, referral.organisation, referral.next_seq))
    referral = replace(referral, next_seq=referral.next_seq + 1)
    changes.referrals[referral.code] = referral
    return referral


def _projection(
    referral: Referral, documents: Iterable[Document], category: Category, setting: Setting
) -> list[DisclosedRecord]:
    return [
        DisclosedRecord(
            record=document.kind, record_id=document.record_id, recorded_at=document.recorded_at, fields=fields
        )
        for document in documents
        if not referral.is_author(document)
        and (fields := project(document.record, category, referral.agency, adult=not setting.minor))
    ]


def _until(grants: frozenset[Grant], referral: Referral, category: Category, setting: Setting) -> datetime | None:
    """The latest end of the valid bases of one category: it is readable while any of them is valid."""
    ends: list[datetime | None] = []
    for grant in grants:
        single = _decide(frozenset({grant}), referral, setting)
        if category in single.categories:
            ends.append(single.until)
    bounded = [end for end in ends if end is not None]
    return max(bounded) if len(bounded) == len(ends) and bounded else None


def _entry(at: datetime, kind: str, referral: Referral, **detail: Any) -> dict[str, Any]:
    return {
        "at": at,
        "kind": kind,
        "agency": referral.agency,
        "organisation": referral.organisation,
        "referral": referral.code,
        "detail": detail,
    }
