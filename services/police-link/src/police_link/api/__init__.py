"""Routes of the reporting centres: parse, call, return. A router of another room is added to this list."""

from police_link.api import kits, referrals

routers = [referrals.router, kits.router]

__all__ = ["routers"]
