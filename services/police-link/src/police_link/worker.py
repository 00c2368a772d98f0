"""The police's Kafka process: takes what the gate discloses, relays what reporting centres report, sends webhooks."""

from amanat.agency.worker import run
from amanat.categories import Agency
from police_link.handlers import handlers
from police_link.settings import WorkerSettings
from police_link.webhooks.worker import tasks

if __name__ == "__main__":
    settings = WorkerSettings.load()
    run(
        Agency.POLICE_LINK,
        settings,
        handlers,
        more=lambda database, instruments: tasks(database, instruments, settings),
    )
