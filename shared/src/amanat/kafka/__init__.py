"""Kafka's two ends: a producer that keeps order and never hangs, a consumer that loses nothing and never stalls unseen.

No Kafka transactions: outbox and inbox carry exactly-once effect, so either end may send or receive twice.
"""

from amanat.kafka.access import KafkaAccess, access
from amanat.kafka.consumer import Consumer, Stalled
from amanat.kafka.producer import Outgoing, Producer, Published, make_producer
from amanat.received import Received, UnknownType, received

__all__ = [
    "Consumer",
    "KafkaAccess",
    "Outgoing",
    "Producer",
    "Published",
    "Received",
    "Stalled",
    "UnknownType",
    "access",
    "make_producer",
    "received",
]
