"""What is compared of each database, as superuser. `$1` are the story's codes, barcodes and ids, as text.

What only follows the clock is left out: `clock_overdue`, and the versions that it raises. So is what may rightly repeat
where a request was lost: looks, leases, and what is told of them.
"""

from __future__ import annotations

DATABASES = ("intake", "police_link", "forensics", "legal_aid")

COMMON = {
    "outbox": "SELECT topic, type, referral, seq, category, epoch, published_at IS NOT NULL, cancelled_at IS NOT NULL"
    " FROM outbox WHERE referral = ANY($1) AND type <> 'pk.amanat.looks-reported.v1'",
    "inbox": "SELECT type, referral FROM inbox WHERE referral = ANY($1) AND type <> 'pk.amanat.looks-reported.v1'",
    "parked": "SELECT type, referral, reason FROM parked WHERE referral = ANY($1)",
    "ledger": "SELECT tenant, kind, subject FROM ledger_entries"
    " WHERE subject = ANY($1) AND kind NOT IN ('look', 'leased', 'look_told')",
    "idempotency": "SELECT tenant, client, key, status FROM idempotency WHERE split_part(key, '/', 1) = ANY($1)",
}

INTAKE = {
    "cases": "SELECT tenant, code, presented_at IS NOT NULL FROM cases WHERE code = ANY($1)",
    "index": "SELECT case_code, field FROM case_index WHERE case_code = ANY($1)",
    "records": "SELECT case_code, kind, author_agency, author_organisation, referral, categories, corrects IS NOT NULL"
    " FROM records WHERE case_code = ANY($1)",
    "consent events": "SELECT case_code, kind FROM consent_events WHERE case_code = ANY($1)",
    "referrals": "SELECT code, case_code, agency, organisation, purpose, state, progress, consent_version, next_seq,"
    " opened_at IS NOT NULL, epoch_floor FROM referrals WHERE case_code = ANY($1)",
    "shares": "SELECT referral, category, epoch, until IS NOT NULL, ended_at IS NOT NULL, confirmed_at IS NOT NULL"
    " FROM shares WHERE referral = ANY($1)",
    "keys": "SELECT referral, category, epoch FROM keys WHERE referral = ANY($1)",
    "request secrets": "SELECT count(DISTINCT secret_id) FROM keys WHERE referral = ANY($1)",
    "kits": "SELECT tenant, barcode, case_code FROM kits WHERE barcode = ANY($1)",
    "custody halves": "SELECT barcode, half, holder_agency, holder_organisation, counterpart_agency,"
    " counterpart_organisation FROM custody_halves WHERE barcode = ANY($1)",
    "custody matches": "SELECT released.barcode, released.holder_organisation, received.holder_organisation"
    " FROM custody_matches JOIN custody_halves released ON released.id = release_id"
    " JOIN custody_halves received ON received.id = receipt_id WHERE released.barcode = ANY($1)",
    "clocks": "SELECT case_code, kind, source, met_at IS NOT NULL FROM clocks WHERE case_code = ANY($1)",
    "overdue twice": "SELECT case_code, detail ->> 'clock' FROM timeline"
    " WHERE case_code = ANY($1) AND kind = 'clock_overdue' GROUP BY 1, 2 HAVING count(*) > 1",
    "lease alarmed of twice": "SELECT case_code, kind, agency FROM timeline"
    " WHERE case_code = ANY($1) AND kind IN ('opened_not_accounted_for', 'accounted_for_late')"
    " GROUP BY 1, 2, 3, detail ->> 'lease' HAVING count(*) > 1",
    "timeline": "SELECT case_code, kind, agency, organisation, referral, detail FROM timeline WHERE case_code = ANY($1)"
    " AND kind NOT IN ('clock_overdue', 'opened_not_accounted_for', 'accounted_for_late')",
}

AGENCY = {
    "referrals": "SELECT tenant, code, purpose, state, consent_version, next_seq, version"
    " FROM referrals WHERE code = ANY($1)",
    "disclosures": "SELECT tenant, referral, category, epoch, seq, contract FROM disclosures WHERE referral = ANY($1)",
    "tombstones": "SELECT tenant, referral, category, epoch FROM tombstones WHERE referral = ANY($1)",
    "kits": "SELECT tenant, referral, barcode FROM kits WHERE barcode = ANY($1)",
    "own records": "SELECT tenant, referral, kind, seq FROM own_records WHERE referral = ANY($1)",
}

POLICE_LINK = {
    "deliveries": "SELECT tenant, type, referral, delivered_at IS NOT NULL, gave_up_at IS NOT NULL"
    " FROM webhook_deliveries WHERE subscription_id::text = ANY($1) AND (referral IS NULL OR referral = ANY($1))",
}

FORENSICS = {"parcels": "SELECT tenant, barcode, matched_at IS NOT NULL FROM parcels WHERE barcode = ANY($1)"}
