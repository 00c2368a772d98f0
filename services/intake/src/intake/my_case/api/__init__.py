"""Routes of the survivor's own page: parse, call, return."""

from intake.my_case.api import cell, herself, pages

routers = [herself.router, cell.router, pages.router]

__all__ = ["routers"]
