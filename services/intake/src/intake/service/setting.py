"""What a plan is made with and does not change: the time, the rules, and who makes its keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from amanat import sealing
from amanat.categories import Agency
from amanat.consent import AgeRules
from amanat.kek import RequestSecret


class Minter:
    """Makes data keys for one request; all are wrapped under one secret, sealed once to the key-encryption key."""

    def __init__(self, secret: Callable[[], RequestSecret], randomness: Callable[[int], bytes]) -> None:
        self._make = secret
        self._secret: RequestSecret | None = None
        self.randomness = randomness

    @property
    def secret(self) -> RequestSecret | None:
        """The request's secret, None while nothing was minted."""
        return self._secret

    def mint(self) -> tuple[sealing.DataKey, bytes]:
        """A fresh data key and its wrap."""
        if self._secret is None:
            self._secret = self._make()
        key = sealing.mint(self.randomness)
        return key, self._secret.wrap(key)


@dataclass(frozen=True)
class Setting:
    """What every plan needs and no plan changes."""

    now: datetime
    minor: bool
    barcodes: Sequence[str]
    minter: Minter
    new_id: Callable[[], UUID]
    lease_seconds: Callable[[Agency], float]
    rules: AgeRules
    must_fit: bool = True
    """False for what agencies did: that takes effect though its projection has grown too large to go on."""
    opens: bool = True
    """False where nothing may be newly shared: a withdrawal needs no key, so it waits for nobody who has one."""
