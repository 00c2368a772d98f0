"""The legal aid partners' Kafka process: takes what the gate discloses, relays what partners report."""

from amanat.agency.worker import run
from amanat.categories import Agency
from legal_aid.handlers import handlers
from legal_aid.settings import WorkerSettings

if __name__ == "__main__":
    run(Agency.LEGAL_AID, WorkerSettings.load(), handlers)
