"""Business code names actors, refusals, looks and pages without a web framework."""

from __future__ import annotations

import subprocess
import sys

import pytest

FOR_SERVICES = ["principal", "errors", "inputs", "idempotency", "ledger", "looks", "pages", "settings"]


@pytest.mark.parametrize("module", FOR_SERVICES)
def test_what_services_import_needs_no_web_framework(module: str) -> None:
    program = f"import sys, amanat.{module}; print(sorted({{'fastapi', 'starlette', 'aiokafka'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
