"""A service's README names what it owns, hears, says and shares, each route and each setting, and none that is not."""

import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic_settings import BaseSettings

from amanat.settings import PREFIX

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/pyproject.toml"))


def routes_of(package: str) -> set[str]:
    """`METHOD /path` of every router in the package's rooms."""
    rooms = [room.name for room in pkgutil.walk_packages(import_module(package).__path__, f"{package}.")]
    named = [each for room in rooms if ".migrations" not in room for each in vars(import_module(room)).values()]
    # A router that a factory made has no name of its own: it stands in the service's list of routers.
    things = [inner for each in named for inner in (each if isinstance(each, list) else [each])]
    routes = [route for each in things if isinstance(each, APIRouter) for route in each.routes]
    return {f"{method} {route.path}" for route in routes if isinstance(route, APIRoute) for method in route.methods}


def settings_of(module: str) -> set[str]:
    """The names of all settings that the module's processes are told."""
    classes = [each for each in vars(import_module(module)).values() if isinstance(each, type)]
    return {PREFIX + field.upper() for each in classes if issubclass(each, BaseSettings) for field in each.model_fields}


def routes_in(readme: str) -> set[str]:
    return set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`\s]*)`", readme))


def settings_in(readme: str) -> set[str]:
    return set(re.findall(rf"`({PREFIX}[A-Z_]+)`", readme))


def readme_of(*folder: str) -> str:
    return ROOT.joinpath(*folder, "README.md").read_text()


@pytest.mark.parametrize("service", SERVICES)
def test_a_readme_says_what_the_service_owns_hears_says_and_shares(service: str) -> None:
    assert re.findall(r"^\| \*\*(\w+)\*\* \|", readme_of("services", service), re.MULTILINE) == [
        "owns", "hears", "says", "shares",
    ]  # fmt: skip


@pytest.mark.parametrize("service", SERVICES)
def test_a_readme_names_every_route_and_no_other(service: str) -> None:
    assert routes_in(readme_of("services", service)) == routes_of(service.replace("-", "_"))


@pytest.mark.parametrize("service", SERVICES)
def test_a_readme_names_every_setting_of_its_service_alone_and_no_other(service: str) -> None:
    shared = settings_in(readme_of("shared"))
    assert settings_in(readme_of("services", service)) == settings_of(f"{service.replace('-', '_')}.settings") - shared


def test_the_librarys_readme_names_the_settings_of_every_process_and_no_other() -> None:
    assert settings_in(readme_of("shared")) == settings_of("amanat.settings")


def test_a_route_or_setting_that_is_only_hinted_at_is_not_named() -> None:
    told = "| `GET /v1/kits/{barcode}`, `…/receipt` | `AMANAT_PORT`, and AMANAT_HOST |"
    assert (routes_in(told), settings_in(told)) == ({"GET /v1/kits/{barcode}"}, {"AMANAT_PORT"})
