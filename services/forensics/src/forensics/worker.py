"""The laboratories' Kafka process: takes what the gate discloses, relays what laboratories report."""

from amanat.agency.worker import run
from amanat.categories import Agency
from forensics.handlers import handlers
from forensics.service import PARCELS
from forensics.settings import WorkerSettings

if __name__ == "__main__":
    run(Agency.FORENSICS, WorkerSettings.load(), handlers, sources=[PARCELS])
