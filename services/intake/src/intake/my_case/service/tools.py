"""What the survivor's page needs besides a session. Made once per process by `main`."""

from collections.abc import Callable
from dataclasses import dataclass

from amanat.at_rest import Macs
from amanat.pages import Cursors
from intake.my_case.service.secret_words import SecretWords, Turns
from intake.my_case.service.visits import Visits
from intake.service.instruments import Instruments
from intake.settings import Settings


@dataclass(frozen=True)
class Tools:
    """The cell's instruments, and those of sign-ins."""

    instruments: Instruments
    words: SecretWords
    turns: Turns
    cells_turns: Turns
    """Of the cell's own people, apart: strangers who crowd the page keep nobody from undoing or from a new code."""
    visits: Visits
    cursors: Cursors
    replays: Macs
    """Under the pepper: that two requests are the same must not be a way to try PINs without it."""
    address: str
    """What the paper says; a code follows in its fragment."""
    quick_exit: str
    """Empty for the neutral page of this service."""

    @classmethod
    def from_settings(cls, settings: Settings, instruments: Instruments, randomness: Callable[[int], bytes]) -> "Tools":
        """Reads the pepper; raises what a missing file raises."""
        pepper = Macs.from_file(settings.claim_pepper_file)
        return cls(
            instruments=instruments,
            words=SecretWords(
                pepper,
                passes=settings.claim_hash_passes,
                memory_kib=settings.claim_hash_memory_kib,
                lanes=settings.claim_hash_lanes,
                randomness=randomness,
            ),
            turns=Turns(),
            cells_turns=Turns(at_once=1),
            visits=Visits(instruments.macs, randomness),
            cursors=Cursors(instruments.macs),
            replays=pepper,
            address=settings.my_case_url or f"{settings.public_url.rstrip('/')}/my",
            quick_exit=settings.quick_exit_url,
        )

    def claim_digest(self, code: str) -> bytes:
        """32 bytes under which a claim is found: the code itself is not in the database."""
        return self.instruments.macs.mac("claim", code.encode("utf-8", "surrogatepass"))
