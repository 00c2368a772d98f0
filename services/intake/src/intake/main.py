"""The cell's HTTP service: parses strangers' input; can seal and destroy, never lease or unwrap."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from amanat.body import FHIR
from amanat.db import Database, ready
from amanat.http import add_check, create_app, serve
from amanat.kek import FileKekPublic
from intake.api import routers
from intake.api.desk import Desk
from intake.api.fhir import refusal
from intake.break_glass.api import routers as break_glass
from intake.fhir import warm_up_off_loop
from intake.my_case import api as my_case
from intake.my_case.api import pages
from intake.my_case.api.desk import Desk as MyCaseDesk
from intake.my_case.service.tools import Tools
from intake.service import opening
from intake.service.instruments import Instruments
from intake.settings import Settings


def build(settings: Settings) -> FastAPI:
    """The app, with everything it has."""
    database = Database(settings.database_url, application_name="intake-main")
    instruments = Instruments.from_settings(settings, FileKekPublic(settings.kek_public_dir), secrets.token_bytes)

    group = opening.group(database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await warm_up_off_loop()
        yield
        await group.close()
        await database.dispose()

    app = create_app(
        title="Amanat: the cell",
        service="intake",
        settings=settings,
        routers=[*routers, *break_glass, *my_case.routers],
        lifespan=lifespan,
        bodies={"/fhir": FHIR, "/my": pages.FORMS},
        renderers={"/fhir": refusal, "/my": pages.refuse},
    )
    app.state.desk = Desk(database, instruments, group)
    app.state.my_case = MyCaseDesk(database, Tools.from_settings(settings, instruments, secrets.token_bytes))
    add_check(app, "database", lambda: ready(database))
    return app


if __name__ == "__main__":
    settings = Settings.load()
    serve(build(settings), settings)
