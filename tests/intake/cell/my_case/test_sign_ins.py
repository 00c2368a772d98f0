"""Her PIN opens her page; everything else opens one harmless article, and costs the same."""

from __future__ import annotations

from ..world import POLICE, World, consent
from .cell import is_harmless, issue, sign_in


async def test_her_pin_opens_her_page(world: World) -> None:
    case, _ = await world.open_case(consent(POLICE, "identity", "incident"))
    claim = await issue(world, case)
    opened = await sign_in(world, claim.code)
    assert [part["category"]["id"] for part in opened["case"]["shared"][0]["parts"]] == ["identity", "incident"]
    assert opened["case"]["opened"] == {"times": 1, "last_before": None}
    assert is_harmless(await sign_in(world, claim.code, "111112"))
