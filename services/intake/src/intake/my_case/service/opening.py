"""What a sign-in and a visit open: her page to her, an article to everybody else."""

from datetime import datetime

from amanat.db import Database
from amanat.errors import NotFound
from intake.my_case import schemas
from intake.my_case.service.signing_in import Claim, sign_in, visited
from intake.my_case.service.taking_back import take_back_from_afar
from intake.my_case.service.tools import Tools
from intake.my_case.service.viewing import view
from intake.my_case.service.visits import Visit
from intake.my_case.texts import Language, say, say_all


def article(language: Language) -> schemas.Article:
    """What anybody may read."""
    return schemas.Article(title=say(language, "article.title"), paragraphs=say_all(language, "article.paragraphs"))


async def open_page(
    database: Database, code: str, pin: str, form: bytes | None, language: Language, now: datetime, tools: Tools
) -> schemas.Opened:
    """Her page, or the article, which is the same whatever was wrong. Raises Unavailable when too many wait."""
    claim = await sign_in(database, code, pin, form, now, tools)
    if claim is None:
        return schemas.Opened(session=tools.visits.begin(None, now), article=article(language), case=None)
    shown = await view(database, claim, language, now, tools)
    return schemas.Opened(session=tools.visits.begin(claim.digest, now, claim.of), article=None, case=shown)


async def open_again(
    database: Database, session: str, language: Language, now: datetime, tools: Tools
) -> schemas.Opened:
    """The page as it stands now, for a visit. Raises NotFound for none, an old one, and one whose claim has ended."""
    visit = tools.visits.read(session, now)
    if visit is None:
        raise NotFound
    goes_on = tools.visits.go_on(visit, now)
    if visit.harmless:
        return schemas.Opened(session=goes_on, article=article(language), case=None)
    shown = await view(database, await _claim_of(database, visit), language, now, tools)
    return schemas.Opened(session=goes_on, article=None, case=shown)


async def take_back(database: Database, wish: schemas.TakeBack, now: datetime, tools: Tools) -> schemas.TakenBack:
    """Ends what she names. Raises NotFound for an unknown visit, and for the harmless one alike."""
    visit = tools.visits.read(wish.session, now)
    if visit is None or visit.harmless:
        raise NotFound
    return await take_back_from_afar(database, await _claim_of(database, visit), wish, now, tools)


async def _claim_of(database: Database, visit: Visit) -> Claim:
    claim = await visited(database, visit)
    if claim is None:
        raise NotFound
    return claim
