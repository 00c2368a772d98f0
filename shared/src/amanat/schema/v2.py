"""The platform's tables, second version: what the HTTP process may put into the outbox, and take back of it.

The relay publishes whatever the outbox holds. So the topics that a service's HTTP process may never speak on (the
checkpoints of its ledger above all: an old one signed long ago makes the witnesses stop) are barred where it writes.
"""

from amanat.schema import Operations, api_role

_TAKEN_BACK = (
    "pk.amanat.category-disclosed.v1",
    "pk.amanat.kit-announced.v1",
    "pk.amanat.referral-opened.v1",
)
"""What a withdrawal takes back as far as nobody has it yet (`amanat.outbox`)."""


def narrow_outbox(op: Operations, db: str) -> None:
    """Keeps the api role of database `db` to the topics that are its own to speak on, and to what it may take back.

    Intake's `main` writes disclosures and takes unpublished ones back; an agency's writes that agency's facts, and what
    it wrote there stays: a look or a custody half once reported is not the HTTP process's to unsay.
    """
    api = api_role(db)
    topics = "topic LIKE 'disclosures.%'" if db == "intake" else f"topic = 'facts.{db.replace('_', '-')}'"
    op.execute(f"CREATE POLICY own_topics ON outbox AS RESTRICTIVE FOR INSERT TO {api} WITH CHECK ({topics})")
    if db != "intake":
        op.execute(f"REVOKE UPDATE (cancelled_at) ON outbox FROM {api}")
        return
    unsent = f"type IN ({', '.join(map(repr, _TAKEN_BACK))}) AND published_at IS NULL"
    op.execute(
        f"CREATE POLICY taking_back ON outbox AS RESTRICTIVE FOR UPDATE TO {api}"
        f" USING ({unsent} AND cancelled_at IS NULL) WITH CHECK ({unsent} AND cancelled_at IS NOT NULL)"
    )
