"""What an office can no longer read: told by one rule, whether or not a court's secret order goes on behind it.

To the minute, and with no word of the office's own: under secrecy there is none, and a fraction of a second or a
confirmation that only some endings have would tell which of them a secret order outlasts.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from amanat.categories import Agency
from amanat.db import AnyRow
from intake.my_case.service.found import Over
from intake.my_case.service.keeping import Kept, Key

_MINUTE = timedelta(minutes=1)
_WAITS = timedelta(seconds=30)
"""From a withdrawal's own moment until its share is locked and ended, at most; one that waited longer says so."""


def endings(
    epochs: Mapping[Key, Sequence[AnyRow]], kept: Kept, lease_of: Callable[[Agency], float], now: datetime
) -> tuple[Over, ...]:
    """Every ending that she may know of, by office and category. `epochs` are all shares, the oldest of each first;
    `lease_of` gives seconds."""
    found = []
    for key in sorted(epochs):
        ending = kept.ending(key, epochs[key]) if key in kept.secret else _ending(epochs[key][-1], now)
        if ending is not None:
            found.append(_over(key, *ending, timedelta(seconds=lease_of(key[0]))))
    return tuple(found)


def _ending(latest: AnyRow, now: datetime) -> tuple[datetime, AnyRow] | None:
    """The end of the latest epoch, where no secret order opens the same."""
    # What has run out is over at once, though its sweep is yet to come: nothing is leased under it.
    if latest.ended_at is None and (latest.until is None or latest.until > now):
        return None
    return min(each for each in (latest.ended_at, latest.until) if each is not None), latest


def _over(key: Key, end: datetime, row: AnyRow, lease: timedelta) -> Over:
    ended_at = end.replace(second=0, microsecond=0)
    closed = ended_at + _whole_minutes(_MINUTE + lease + _WAITS)
    if row.ended_at == end and row.closed_no_later_than > closed:
        closed = ended_at + _whole_minutes(row.closed_no_later_than - ended_at)
    return Over(*key, ended_at=ended_at, closed_no_later_than=closed)


def _whole_minutes(span: timedelta) -> timedelta:
    """The span, rounded up."""
    return -(-span // _MINUTE) * _MINUTE
