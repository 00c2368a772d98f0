"""Breaking the glass: clinical emergencies with their reviews, and disclosures that others than she ordered.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

from amanat.schema import api_role, tenant_table

revision = "0005"
down_revision = "0004"

TABLES = (
    """CREATE TABLE emergencies (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        case_code text NOT NULL REFERENCES cases,
        clinician_cell text NOT NULL,
        subject text NOT NULL,
        client text NOT NULL,
        token_id text NOT NULL,
        unit text NOT NULL,
        found_by text NOT NULL CHECK (found_by IN ('case', 'mlc_number', 'cnic', 'hospital_record_number')),
        reason_sealed bytea NOT NULL,
        opened_at timestamptz NOT NULL,
        open_until timestamptz NOT NULL,
        review_due_at timestamptz NOT NULL,
        overdue_noted_at timestamptz,
        UNIQUE (tenant, id)
    )""",
    "CREATE INDEX emergencies_case ON emergencies (tenant, case_code)",
    "CREATE INDEX emergencies_clinicians ON emergencies (clinician_cell, opened_at)",
    "CREATE INDEX emergencies_due ON emergencies (review_due_at) WHERE overdue_noted_at IS NULL",
    """CREATE TABLE emergency_reviews (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        emergency uuid NOT NULL,
        clinician_cell text NOT NULL,
        finding text NOT NULL CHECK (finding IN ('justified', 'not_justified')),
        note_sealed bytea NOT NULL,
        subject text NOT NULL,
        client text NOT NULL,
        token_id text NOT NULL,
        unit text NOT NULL,
        reviewed_at timestamptz NOT NULL,
        UNIQUE (tenant, emergency),
        FOREIGN KEY (tenant, emergency) REFERENCES emergencies (tenant, id)
    )""",
    # Which of a cell's looks were another cell's clinicians': a look itself has no more than a tenant, the case's.
    """CREATE TABLE emergency_looks (
        tenant text NOT NULL,
        look_id uuid NOT NULL,
        clinician_cell text NOT NULL,
        PRIMARY KEY (tenant, look_id),
        FOREIGN KEY (tenant, look_id) REFERENCES looks (tenant, id)
    )""",
    """CREATE TABLE outside_disclosures (
        id uuid PRIMARY KEY,
        position bigint GENERATED ALWAYS AS IDENTITY,
        tenant text NOT NULL,
        case_code text NOT NULL REFERENCES cases,
        agency text NOT NULL,
        organisation text NOT NULL,
        categories text[] NOT NULL,
        basis text NOT NULL CHECK (basis IN ('court_order', 'statutory_duty')),
        reference_sealed bytea NOT NULL,
        expires_at timestamptz NOT NULL,
        secrecy_sealed bytea,
        secret_until timestamptz,
        subject text NOT NULL,
        client text NOT NULL,
        token_id text NOT NULL,
        unit text NOT NULL,
        roles text[] NOT NULL,
        asked_at timestamptz NOT NULL,
        lapses_at timestamptz NOT NULL,
        secrecy_ended_noted_at timestamptz,
        UNIQUE (tenant, id),
        CHECK ((secrecy_sealed IS NULL) = (secret_until IS NULL))
    )""",
    "CREATE INDEX outside_disclosures_case ON outside_disclosures (tenant, case_code, position)",
    "CREATE INDEX outside_disclosures_secret ON outside_disclosures (secret_until)"
    " WHERE secret_until IS NOT NULL AND secrecy_ended_noted_at IS NULL",
    """CREATE TABLE outside_decisions (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        disclosure uuid NOT NULL,
        decision text NOT NULL CHECK (decision IN ('approved', 'refused', 'lapsed')),
        consent uuid,
        reason_sealed bytea,
        subject text,
        client text,
        token_id text,
        unit text,
        decided_at timestamptz NOT NULL,
        UNIQUE (tenant, disclosure),
        FOREIGN KEY (tenant, disclosure) REFERENCES outside_disclosures (tenant, id),
        CHECK ((decision = 'approved') = (consent IS NOT NULL)),
        CHECK ((decision = 'lapsed') = (subject IS NULL))
    )""",
)

# {table: (main, gate)}. What was asked, found and decided is appended to; the gate notes what it has told of.
GRANTS = {
    "emergencies": ("SELECT, INSERT", "SELECT, UPDATE (overdue_noted_at)"),
    "emergency_reviews": ("SELECT, INSERT", "SELECT"),
    "emergency_looks": ("SELECT, INSERT", "SELECT"),
    "outside_disclosures": ("SELECT, INSERT", "SELECT, UPDATE (secrecy_ended_noted_at)"),
    "outside_decisions": ("SELECT, INSERT", "SELECT, INSERT"),
}
# A clinician finds her emergency again, and her cell hears of it and of its review, though the case is another cell's:
# these rows, and nothing of the case.
OF_CLINICIANS = (
    "CREATE POLICY clinicians ON {table} FOR SELECT TO {api} USING"
    " (clinician_cell = ANY (string_to_array(NULLIF(current_setting('amanat.tenants', true), ''), ',')))"
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    for table, (main, gate) in GRANTS.items():
        tenant_table(op, table, "intake", main, gate, background_all=True)
    for table in ("emergencies", "emergency_reviews"):
        op.execute(OF_CLINICIANS.format(table=table, api=api_role("intake")))


def downgrade() -> None:
    raise RuntimeError("a ledger is not taken back: restore a backup instead")
