"""For tests of an agency's service: a gate in memory, tokens as plain words, and the service between them.

The service's own app, handlers, database roles and statements are real; the gate, the issuer and Kafka are not. What
holds across processes is tested on a running stack.
"""

from amanat.agency.testing.gate import Gate
from amanat.agency.testing.world import PlainTokens, World, environment, statements, world

__all__ = ["Gate", "PlainTokens", "World", "environment", "statements", "world"]
