"""The police's HTTP service: reporting centres read their referrals by leased keys and report what they did."""

from fastapi import FastAPI

from amanat.agency import app as agency
from amanat.categories import Agency
from amanat.http import serve
from police_link.api import routers
from police_link.settings import Settings


def build(settings: Settings) -> FastAPI:
    """The app, with everything it has."""
    return agency.build(
        Agency.POLICE_LINK, title="Amanat: police reporting centres", settings=settings, routers=routers
    )


if __name__ == "__main__":
    settings = Settings.load()
    serve(build(settings), settings)
