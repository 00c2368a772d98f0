"""Routes of the cell: parse, call, return."""

from intake.api import cases, consents, custody

routers = [cases.router, consents.router, custody.router]

__all__ = ["routers"]
