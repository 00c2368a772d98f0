"""Legal-aid's tables besides those that all agencies share (`amanat.tables`): none."""

from sqlalchemy import MetaData

metadata = MetaData()
