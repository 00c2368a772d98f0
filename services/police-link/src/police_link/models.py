"""Police-link's tables besides those that all agencies share (`amanat.tables`)."""

from sqlalchemy import MetaData

metadata = MetaData()
