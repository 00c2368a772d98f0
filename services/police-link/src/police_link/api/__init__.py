"""Routes of the reporting centres: parse, call, return. A router of another room is added to this list."""

from amanat.ledger_web import ledger_router
from police_link.api import kits, referrals
from police_link.api.desk import asking
from police_link.webhooks import api as webhooks

routers = [referrals.router, kits.router, webhooks.router, ledger_router(asking)]

__all__ = ["routers"]
