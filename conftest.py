"""Which tests run: those of Kafka and Keycloak with STACK=real, long forms with FULL=1, those of pages and paper where
a program shows them. A run says what it left out; CI leaves nothing out for want of a program.
"""

import os
import shutil
from ctypes.util import find_library

import psutil
import pytest

REAL = os.environ.get("AMANAT_STACK") == "real"
FULL = bool(os.environ.get("AMANAT_FULL"))
CI = os.environ.get("CI", "").lower() in {"1", "true"}
_FULL_SECONDS = 3600
_LEFT_OUT = pytest.StashKey[dict[str, int]]()
_LEFT_RUNNING = pytest.StashKey[list[str]]()
_TOOLS = {"java": "openjdk-17-jre-headless", "mvn": "maven"}
_PROGRAMS = {
    "chromium": ("chromium", lambda: shutil.which("chromium")),
    "openssl": ("openssl", lambda: shutil.which("openssl")),
    "pango": ("libpango-1.0-0 libpangoft2-1.0-0", lambda: find_library("pangoft2-1.0")),
}
"""What `@pytest.mark.needs` may name: Debian's packages, and whether it is there."""


def pytest_configure(config: pytest.Config) -> None:
    """With STACK=real, what it needs must be there: nothing is left out silently."""
    config.stash[_LEFT_OUT] = {}
    missing = [
        f"{tool} (on Debian: apt-get install {package})" for tool, package in _TOOLS.items() if not shutil.which(tool)
    ]
    if REAL and missing:
        raise pytest.UsageError("STACK=real needs " + " and ".join(missing))
    lacking = [package for package, is_there in _PROGRAMS.values() if not is_there()]
    if CI and lacking:
        raise pytest.UsageError("CI leaves nothing out: apt-get install " + " ".join(lacking))


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
        elif needed := item.get_closest_marker("needs"):
            package, is_there = _PROGRAMS[needed.args[0]]
            why = None if is_there() else f"tests that need what Debian calls {package}"
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


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run that leaves a server behind has failed."""
    factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    ours = str(factory.getbasetemp())
    running = [process.info for process in psutil.process_iter(["pid", "name", "cmdline"])]
    left = [f"{each['name']} ({each['pid']})" for each in running if ours in " ".join(each["cmdline"] or ())]
    session.config.stash[_LEFT_RUNNING] = left
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says what was left out, and how to run it; and what was left running."""
    for server in config.stash.get(_LEFT_RUNNING, []):
        terminalreporter.write_line(f"FAILED: left running: {server}")
    for why, count in config.stash[_LEFT_OUT].items():
        terminalreporter.write_line(f"left out: {count} {why}")
