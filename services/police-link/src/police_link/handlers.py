"""What police-link does on each event of the gate: what every agency does, and what webhooks hook in."""

from collections.abc import Callable, Mapping
from datetime import datetime

from amanat.agency.handlers import build
from amanat.agency.instruments import Instruments
from amanat.inbox import Handler
from police_link.webhooks.worker import hooks


def handlers(instruments: Instruments, now: Callable[[], datetime]) -> Mapping[str, Handler]:
    """The table from event type to effect."""
    return build(instruments, now, hooks(instruments))
