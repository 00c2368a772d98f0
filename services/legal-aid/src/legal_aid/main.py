"""The legal aid partners' HTTP service: they follow a feed, pull summaries, and say who represents her."""

from fastapi import FastAPI

from amanat.agency import app as agency
from amanat.categories import Agency
from amanat.http import serve
from legal_aid.api import routers
from legal_aid.settings import Settings


def build(settings: Settings) -> FastAPI:
    """The app, with everything it has."""
    return agency.build(Agency.LEGAL_AID, title="Amanat: legal aid partners", settings=settings, routers=routers)


if __name__ == "__main__":
    settings = Settings.load()
    serve(build(settings), settings)
