"""Forensics' environment: that of every agency."""

from amanat.agency.settings import AgencySettings, WorkerSettings

__all__ = ["Settings", "WorkerSettings"]


class Settings(AgencySettings):
    """What `main` is told."""
