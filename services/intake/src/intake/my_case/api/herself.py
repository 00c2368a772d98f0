"""What she asks for herself, with a claim code and a PIN: no token, no cookie, nothing of it in a URL."""

from fastapi import APIRouter

from amanat.problems import problems
from intake.my_case import schemas
from intake.my_case.api.desk import AtDesk
from intake.my_case.service import opening

router = APIRouter(tags=["my case"])


@router.post("/v1/my/sign-ins", response_model=schemas.Opened, responses=problems(503))
async def sign_in(body: schemas.SignIn, desk: AtDesk) -> schemas.Opened:
    """Open her page. Whatever is wrong with code or PIN, the answer is one and the same harmless article."""
    code, pin = body.code.get_secret_value(), body.pin.get_secret_value()
    form = desk.tools.instruments.randomness(16)
    return await opening.open_page(desk.database, code, pin, form, body.language, desk.now, desk.tools)


@router.post("/v1/my/view", response_model=schemas.Opened, responses=problems(404))
async def view_again(body: schemas.Look, desk: AtDesk) -> schemas.Opened:
    """Read her page again, as it stands now. The look is on record before the answer."""
    return await opening.open_again(desk.database, body.session, body.language, desk.now, desk.tools)


@router.post("/v1/my/withdrawals", response_model=schemas.TakenBack, responses=problems(404))
async def take_back(body: schemas.TakeBack, desk: AtDesk) -> schemas.TakenBack:
    """Take back a category, an office, or all. It acts at once, may be repeated, and the cell is told to call her."""
    return await opening.take_back(desk.database, body, desk.now, desk.tools)
