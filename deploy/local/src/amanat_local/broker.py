"""The embedded stack's broker: librdkafka's mock cluster, in a process of its own until SIGTERM.

It speaks Kafka's wire protocol, keeps everything in memory, drops old records silently (about 5 MB a partition) and
knows neither users nor ACLs: for a first look and tests, never for a claim about durability. Its port cannot be chosen,
so it writes the address to a file once it answers.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from confluent_kafka import Producer

PARTITIONS = 4  # the mock cluster's own number for a topic it makes at first sight
AGENCIES = ("police-link", "forensics", "legal-aid")
SERVICES = ("intake", *AGENCIES)
CHECKPOINTS = tuple(f"checkpoints.{service}" for service in SERVICES)
TOPICS = (*(f"{kind}.{agency}" for kind in ("disclosures", "facts") for agency in AGENCIES), *CHECKPOINTS)


def serve(address_file: Path, topics: tuple[str, ...] = TOPICS) -> None:
    """Writes `host:port` to `address_file` when all topics exist; returns after SIGTERM or SIGINT."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    host = Producer({"test.mock.num.brokers": 1, "allow.auto.create.topics": True, "log_level": 3})
    (broker,) = host.list_topics(timeout=10).brokers.values()
    for topic in topics:
        while len(host.list_topics(topic, timeout=10).topics[topic].partitions) != PARTITIONS:
            if stopped.wait(0.02):
                return
    pending = address_file.with_suffix(".pending")
    pending.write_text(f"{broker.host}:{broker.port}")
    pending.rename(address_file)
    stopped.wait()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
