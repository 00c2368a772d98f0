"""A hospital system's client: gets its own token, opens a case, says what became of each referral.

    python post_case.py --stack .amanat/stack.json --client arcc-karachi-system case.json
    python post_case.py --intake https://… --issuer https://… --client NAME --key-file key.json case.json

The second form is what a hospital runs; the first takes the same from the description of a local stack.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

WAITS_S = (0.5, 1, 2, 5)


def token(http: httpx.Client, issuer: str, client: str, key_file: Path) -> str:
    """An access token by client credentials with `private_key_jwt` (RFC 7523): no password ever leaves the hospital."""
    key = ECKey.import_key(json.loads(key_file.read_text()))
    now = int(time.time())
    claims = {"iss": client, "sub": client, "aud": issuer, "iat": now, "exp": now + 60, "jti": secrets.token_urlsafe()}
    form = {
        "grant_type": "client_credentials",
        "client_id": client,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key),
    }
    answer = http.post(f"{issuer}/protocol/openid-connect/token", data=form)
    if answer.is_error:
        raise SystemExit(f"the issuer refused with status {answer.status_code}")
    return str(answer.json()["access_token"])


def post_case(http: httpx.Client, intake: str, bearer: str, case: dict[str, Any]) -> dict[str, Any]:
    """Opens the case once, however often it has to be sent: one Idempotency-Key for all attempts."""
    headers = {"Authorization": f"Bearer {bearer}", "Idempotency-Key": str(uuid.uuid4())}
    for wait in (*WAITS_S, None):
        try:
            answer = http.post(f"{intake}/v1/cases", json=case, headers=headers)
        except httpx.TransportError:
            if wait is None:
                raise SystemExit("the cell does not answer; send it again later") from None
            time.sleep(wait)
            continue
        if answer.status_code not in {409, 429, 503} or wait is None:
            break
        time.sleep(float(answer.headers.get("retry-after", wait)))
    body: dict[str, Any] = answer.json()
    if answer.is_error:
        for fault in body.get("errors", ()):
            print(f"  {fault['pointer']}: {fault['message']}", file=sys.stderr)
        raise SystemExit(f"{answer.status_code} {body['code']}: {body['title']} (trace {body['trace_id']})")
    return body


def main(arguments: list[str]) -> None:
    """Exit status 1, with the problem's title, when it was refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=Path, help="the case as JSON; case.json beside this program is one")
    parser.add_argument("--client", required=True)
    parser.add_argument("--stack", type=Path)
    parser.add_argument("--intake")
    parser.add_argument("--issuer")
    parser.add_argument("--key-file", type=Path, help="the client's private key, a JWK")
    given = parser.parse_args(arguments)
    if given.stack:
        info = json.loads(given.stack.read_text())
        given.intake, given.issuer = info["services"]["intake"], info["issuer"]
        given.key_file = Path(info["clients"][given.client]["key_file"])
    if not (given.intake and given.issuer and given.key_file):
        parser.error("--stack, or all of --intake, --issuer and --key-file")
    with httpx.Client(timeout=20) as http:
        bearer = token(http, given.issuer, given.client, given.key_file)
        opened = post_case(http, given.intake, bearer, json.loads(given.case.read_text()))
    print(opened["case"])
    for referral in opened["referrals"]:
        shared = ", ".join(referral["categories"]) or "nothing"
        lacking = f"; still missing: {', '.join(referral['missing'])}" if referral["missing"] else ""
        print(f"  {referral['organisation']}: {referral['state']}, shares {shared}{lacking}")


if __name__ == "__main__":
    main(sys.argv[1:])
