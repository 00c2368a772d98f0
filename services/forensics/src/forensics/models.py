"""Forensics' table besides those that all agencies share: parcels that no known kit explains yet."""

from sqlalchemy import Column, LargeBinary, MetaData, Table, Text, Uuid

from amanat.tables import Instant

metadata = MetaData()

parcels = Table(
    "parcels",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("barcode", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("recorded_by", Text, nullable=False),
    Column("matched_at", Instant),
)
