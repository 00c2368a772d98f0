"""In whose name she reads: the one place that makes a principal without a token, out of a claim that was proved."""

from amanat.categories import Agency
from amanat.principal import Principal
from intake.my_case.service.signing_in import Claim

ROLE, CLIENT, PURPOSE = "survivor", "my-case", "own_view"


def herself(claim: Claim) -> Principal:
    """She, at her own cell, for her own case. The look names the claim, which names nobody."""
    return Principal(
        agency=Agency.INTAKE,
        organisation=claim.tenant,
        roles=frozenset({ROLE}),
        cells=frozenset({claim.tenant}),
        subject=ROLE,
        client=CLIENT,
        token_id=str(claim.id),
    )
