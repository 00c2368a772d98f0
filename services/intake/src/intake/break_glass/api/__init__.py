"""Routes of breaking the glass: parse, call, return. Which person may call which stands in `people`."""

from intake.break_glass.api import disclosures, emergencies

routers = [emergencies.router, disclosures.router]

__all__ = ["routers"]
