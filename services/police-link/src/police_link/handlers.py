"""What police-link does on each event of the gate: what every agency does, and what is hooked in here."""

from collections.abc import Callable, Mapping
from datetime import datetime

from amanat.agency.handlers import Hooks, build
from amanat.agency.instruments import Instruments
from amanat.inbox import Handler

HOOKS = Hooks(arrived=(), disclosed=(), withdrawn=(), kit_announced=())
"""Called with (session, referral, organisation, now) within the event's transaction."""


def handlers(instruments: Instruments, now: Callable[[], datetime]) -> Mapping[str, Handler]:
    """The table from event type to effect."""
    return build(instruments, now, HOOKS)
