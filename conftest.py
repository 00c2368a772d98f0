"""Which tests run: those of Kafka and Keycloak with STACK=real, long forms with FULL=1; it says what is left out."""

import os
import shutil

import pytest

REAL = os.environ.get("AMANAT_STACK") == "real"
FULL = bool(os.environ.get("AMANAT_FULL"))
_FULL_SECONDS = 3600
_LEFT_OUT = pytest.StashKey[dict[str, int]]()
_TOOLS = {"java": "openjdk-17-jre-headless", "mvn": "maven"}


def pytest_configure(config: pytest.Config) -> None:
    """With STACK=real, what it needs must be there: nothing is left out silently."""
    config.stash[_LEFT_OUT] = {}
    missing = [
        f"{tool} (on Debian: apt-get install {package})" for tool, package in _TOOLS.items() if not shutil.which(tool)
    ]
    if REAL and missing:
        raise pytest.UsageError("STACK=real needs " + " and ".join(missing))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what this run cannot or need not do."""
    kept, out = [], []
    counts = config.stash[_LEFT_OUT]
    for item in items:
        why = None
        if item.get_closest_marker("full") and not FULL:
            why = "long forms: make test FULL=1"
        elif item.get_closest_marker("real") and not REAL:
            why = "tests that need Apache Kafka and Keycloak: make test STACK=real"
        if why is None:
            kept.append(item)
            if item.get_closest_marker("full"):
                item.add_marker(pytest.mark.timeout(_FULL_SECONDS))
        else:
            out.append(item)
            counts[why] = counts.get(why, 0) + 1
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says what was left out, and how to run it."""
    for why, count in config.stash[_LEFT_OUT].items():
        terminalreporter.write_line(f"left out: {count} {why}")
