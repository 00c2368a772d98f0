"""The tables of the survivor's own page. What they hold of her is sealed, hashed or an HMAC."""

from sqlalchemy import ARRAY, BigInteger, Column, ForeignKey, Identity, LargeBinary, Table, Text, UniqueConstraint, Uuid

from intake.models import Instant, metadata

__all__ = ["afar_withdrawals", "calls", "claims", "metadata", "sign_ins"]

claims = Table(
    "claims",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("case_code", Text, ForeignKey("cases.code"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("code_sealed", LargeBinary, nullable=False),
    Column("language", Text, nullable=False),
    Column("pin_hash", Text, nullable=False),
    Column("duress_hash", Text, nullable=False),
    Column("code_word_hash", Text, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("ended_at", Instant),
    UniqueConstraint("tenant", "digest"),
)

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("form", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("noted_at", Instant),
)

calls = Table(
    "calls",
    metadata,
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("case_code", Text, ForeignKey("cases.code"), nullable=False),
    Column("claim", Uuid, ForeignKey("claims.id")),
    Column("reason", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("done_at", Instant),
    Column("done_by", Text),
)

afar_withdrawals = Table(
    "afar_withdrawals",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("case_code", Text, ForeignKey("cases.code"), nullable=False),
    Column("call_id", Uuid, ForeignKey("calls.id"), nullable=False),
    Column("consent_id", Uuid, nullable=False),
    Column("agency", Text, nullable=False),
    Column("organisation", Text, nullable=False),
    Column("categories", ARRAY(Text), nullable=False),
    Column("at", Instant, nullable=False),
    Column("undone_at", Instant),
)
