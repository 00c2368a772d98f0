"""What schemathesis loads: the token of the service's own client, and one check more than it has: nothing is echoed.

Environment: FUZZ_STACK is the path of `stack.json`, FUZZ_CLIENT the name of the client whose tokens are used, FUZZ_RUN
a text that no earlier run on this stack had, FUZZ_FORGIVEN a file that takes a line for each case that was answered at
the second call only.
"""

import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import schemathesis

from amanat_local import tokens

# Shorter texts stand in any answer by chance: "a", "true", "urn".
TELLING = 12
FHIR_WORDS = "resourceType OperationOutcome"
_KEY = re.compile(r"[!-~]{1,200}")
_calls = itertools.count()


def _token() -> str:
    info = json.loads(Path(os.environ["FUZZ_STACK"]).read_text())
    return tokens.token(info, os.environ["FUZZ_CLIENT"])


@schemathesis.auth(refresh_interval=120)
class Token:
    """A token lives five minutes; a long run outlives it."""

    def get(self, case: schemathesis.Case, context: schemathesis.AuthContext) -> str:
        return _token()

    def set(self, case: schemathesis.Case, data: str, context: schemathesis.AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Three of four valid keys are made new ones, so that bodies are tried and not replays alone."""
    key = case.headers.get("Idempotency-Key")
    number = next(_calls)
    if isinstance(key, str) and _KEY.fullmatch(key) and number % 4:
        case.headers["Idempotency-Key"] = f"{key}-{os.environ['FUZZ_RUN']}-{number}"


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext, failure: Any, case: schemathesis.Case, response: schemathesis.Response
) -> bool:
    """A gate that did not answer within a second is told from a fault: what says Retry-After is asked once more. How
    often that was so is kept: a service that sends everybody away at first has a fault all the same.
    """
    waits = response.headers.get("retry-after")
    if response.status_code != 503 or not waits:
        return True
    time.sleep(float(waits[0]) + 1)
    if case.call().status_code >= 500:
        return True
    with Path(os.environ["FUZZ_FORGIVEN"]).open("a") as forgiven:
        forgiven.write(f"{case.id}\n")
    return False


@schemathesis.check
def refusals_never_echo(ctx: Any, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """No text that was sent stands in the body or the headers of a refusal (law 9)."""
    if response.status_code < 400:
        return
    answer = response.content.decode("utf-8", "replace") + str(response.headers)
    described = str(case.operation.schema.raw_schema)  # names that a contract declares are no secret
    if case.operation.path == "/fhir":
        described += FHIR_WORDS
    for part in (case.body, case.path_parameters, case.query):
        for text in _texts(part):
            if len(text) >= TELLING and text in answer and text not in described:
                raise AssertionError("a refusal echoes what was sent")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(name)
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
