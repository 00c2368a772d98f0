"""Access tokens of a running local stack, got as any client or person would get them.

`info` is the content of `stack.json`. Keycloak's people log in by authorization code + PKCE: the login form is filled
in over HTTP, as a browser would. The embedded issuer has no login form and grants directly.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

from amanat_local.realm import DESK, REDIRECT_URI

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_FORM = re.compile(r'<form[^>]*\bid="kc-form-login"[^>]*\baction="([^"]+)"')


class NoToken(Exception):
    """The name is unknown, or the issuer refused it; the text says which, without what was sent."""


def token(info: Mapping[str, Any], name: str) -> str:
    """The access token of a client or a user of the realm. Raises NoToken."""
    try:
        with httpx.Client(timeout=10) as http:
            if name in info["clients"]:
                return _of_client(http, info, name)
            if name not in info["users"]:
                raise NoToken(f"{name} is neither a client nor a user of this realm; `amanat stack status` lists them")
            if info["kind"] == "embedded":
                return _of_person_directly(http, info, name)
            return _of_person_by_code(http, info, name)
    except httpx.HTTPError as error:
        raise NoToken(f"the issuer does not answer ({type(error).__name__})") from None


def _of_client(http: httpx.Client, info: Mapping[str, Any], name: str) -> str:
    key = ECKey.import_key(json.loads(Path(info["clients"][name]["key_file"]).read_text()))
    now = int(time.time())
    claims = {"iss": name, "sub": name, "aud": info["issuer"], "jti": secrets.token_urlsafe(16)}
    assertion = jwt.encode({"alg": "ES256", "kid": key.kid}, claims | {"iat": now, "exp": now + 60}, key)
    form = {"grant_type": "client_credentials", "client_id": name, "client_assertion_type": ASSERTION_TYPE}
    return _granted(http.post(info["token_url"], data=form | {"client_assertion": assertion}))


def _of_person_directly(http: httpx.Client, info: Mapping[str, Any], name: str) -> str:
    password = info["users"][name]["password"]
    form = {"grant_type": "urn:amanat:embedded:person", "client_id": DESK, "username": name, "password": password}
    return _granted(http.post(info["token_url"], data=form))


def _of_person_by_code(http: httpx.Client, info: Mapping[str, Any], name: str) -> str:
    """RFC 7636 with S256; `state` is checked as a client must."""
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "client_id": DESK,
        "redirect_uri": REDIRECT_URI,
        "response_type": "code",
        "scope": "openid",
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    page = http.get(f"{info['issuer']}/protocol/openid-connect/auth", params=asked)
    found = _FORM.search(page.text)
    if page.status_code != httpx.codes.OK or found is None:
        raise NoToken(f"the issuer showed no login form (status {page.status_code})")
    filled = {"username": name, "password": info["users"][name]["password"]}
    # Keycloak marks its cookies Secure even on loopback, where browsers send them all the same and httpx does not.
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in http.cookies.jar)
    sent = http.post(html.unescape(found[1]), data=filled, headers={"cookie": cookies})
    back = parse_qs(urlsplit(sent.headers.get("location", "")).query)
    if back.get("state") != [state] or "code" not in back:
        raise NoToken(f"the issuer did not let {name} in (status {sent.status_code})")
    form = {
        "grant_type": "authorization_code",
        "client_id": DESK,
        "redirect_uri": REDIRECT_URI,
        "code": back["code"][0],
        "code_verifier": verifier,
    }
    return _granted(http.post(info["token_url"], data=form))


def _granted(answer: httpx.Response) -> str:
    if answer.status_code != httpx.codes.OK:
        raise NoToken(f"the issuer refused with status {answer.status_code}")
    return str(answer.json()["access_token"])
