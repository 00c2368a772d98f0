"""Legal-aid's SQL: what it keeps of a case is what every agency keeps, so its statements are theirs."""

from amanat.agency.repository import arrivals, lock_referral, parts_statement, state_of, versions

__all__ = ["arrivals", "lock_referral", "parts_statement", "state_of", "versions"]
