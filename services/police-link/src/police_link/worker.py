"""The police's Kafka process: takes what the gate discloses, relays what reporting centres report."""

from amanat.agency.worker import run
from amanat.categories import Agency
from police_link.handlers import handlers
from police_link.settings import WorkerSettings

if __name__ == "__main__":
    run(Agency.POLICE_LINK, WorkerSettings.load(), handlers)
