"""A legal aid partner's client: gets its own token, walks its feed, pulls the summary of every case in it.

    python pull_summaries.py --stack .amanat/stack.json --client partner-hamdam-system
    python pull_summaries.py --legal-aid https://… --issuer https://… --client NAME --key-file key.json

`--state FILE` keeps where the feed was left: the next run shows what arrived since, and only that. Nothing of a
summary is kept: she may take it back, and then it must be gone here too.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

WAITS_S = (0.5, 1, 2, 5)


def token(http: httpx.Client, issuer: str, client: str, key_file: Path) -> str:
    """An access token by client credentials with `private_key_jwt` (RFC 7523)."""
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


class Partner:
    """One partner's connection to legal-aid. `resume` is the cursor from which to ask again later."""

    def __init__(self, http: httpx.Client, url: str, bearer: str) -> None:
        self._http, self._url = http, url
        self._headers = {"Authorization": f"Bearer {bearer}"}
        self.resume: str | None = None

    def feed(self, cursor: str | None) -> Iterator[dict[str, Any]]:
        """The cases that arrived after the cursor, oldest first: codes and states, no content."""
        while True:
            page = _body(self._get("/v1/cases", {"cursor": cursor} if cursor else {}))
            yield from page["items"]
            self.resume = page["resume"] or self.resume or cursor
            cursor = page["next"]
            if cursor is None:
                return

    def summary(self, code: str) -> dict[str, Any] | None:
        """What she shares with this partner just now; None when that is nothing, also when it no longer is."""
        answer = self._get(f"/v1/cases/{code}/summary", {})
        return None if answer.status_code == httpx.codes.NOT_FOUND else _body(answer)

    def _get(self, path: str, query: dict[str, str]) -> httpx.Response:
        """Again after a while when the connection broke, or the answer is 429 or 503."""
        for wait in WAITS_S:
            try:
                answer = self._http.get(self._url + path, params=query, headers=self._headers)
            except httpx.TransportError:
                time.sleep(wait)
                continue
            if answer.status_code not in {429, 503}:
                return answer
            time.sleep(float(answer.headers.get("retry-after", wait)))
        return self._http.get(self._url + path, params=query, headers=self._headers)


def _body(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    if answer.is_error:
        raise SystemExit(f"{answer.status_code} {body['code']}: {body['title']} (trace {body['trace_id']})")
    return body


def main(arguments: list[str]) -> None:
    """Prints one JSON object a line: a case's summary. Exit status 1, with the problem's title, when refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--client", required=True)
    parser.add_argument("--stack", type=Path)
    parser.add_argument("--legal-aid")
    parser.add_argument("--issuer")
    parser.add_argument("--key-file", type=Path, help="the client's private key, a JWK")
    parser.add_argument("--state", type=Path)
    given = parser.parse_args(arguments)
    if given.stack:
        info = json.loads(given.stack.read_text())
        given.legal_aid, given.issuer = info["services"]["legal-aid"], info["issuer"]
        given.key_file = Path(info["clients"][given.client]["key_file"])
    if not (given.legal_aid and given.issuer and given.key_file):
        parser.error("--stack, or all of --legal-aid, --issuer and --key-file")
    left_at = given.state.read_text() if given.state and given.state.exists() else None
    with httpx.Client(timeout=20) as http:
        partner = Partner(http, given.legal_aid, token(http, given.issuer, given.client, given.key_file))
        for each in partner.feed(left_at):
            summary = partner.summary(each["referral"])
            if summary is not None:
                print(json.dumps(summary, ensure_ascii=False))
    if given.state and partner.resume:
        given.state.write_text(partner.resume)


if __name__ == "__main__":
    main(sys.argv[1:])
