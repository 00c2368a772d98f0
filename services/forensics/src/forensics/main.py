"""The laboratories' HTTP service: a kit is asked for by its barcode, received, reported on, handed back."""

from fastapi import FastAPI

from amanat.agency import app as agency
from amanat.categories import Agency
from amanat.http import serve
from forensics.api import routers
from forensics.settings import Settings


def build(settings: Settings) -> FastAPI:
    """The app, with everything it has."""
    return agency.build(Agency.FORENSICS, title="Amanat: forensic laboratories", settings=settings, routers=routers)


if __name__ == "__main__":
    settings = Settings.load()
    serve(build(settings), settings)
