"""Applies the realm to a Keycloak server by its admin API. Run again, it brings clients and people up to date."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey
from keycloak import KeycloakAdmin
from keycloak.exceptions import KeycloakError

from amanat_local.realm import DESK, REALM, REDIRECT_URI, ROLES, TOKEN_SECONDS, Identity, Realm

__all__ = ["KeycloakError", "Server", "apply", "public_jwks", "representation"]

MANAGED = "amanat.managed"
"""Marks the clients that we made: one that is no longer in the directory is deleted."""
_REALM_KEYS = (("ecdsa-generated", None), ("hmac-generated", "HS512"), ("aes-generated", None))
"""Tokens are signed with ES256; the other two are for Keycloak's own cookies and links."""
_IN_ACCESS_TOKEN = {
    "access.token.claim": "true",
    "id.token.claim": "false",
    "userinfo.token.claim": "false",
    "introspection.token.claim": "true",
}


@dataclass(frozen=True)
class Server:
    """A Keycloak server and its administrator in the realm `master`."""

    url: str
    admin: str
    password: str = field(repr=False)


def public_jwks(files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Client → public JWK, of the files that exist; a private half in them stays where it is."""
    return {
        client: dict(ECKey.import_key(json.loads(file.read_text())).as_dict(private=False))
        for client, file in files.items()
        if file.exists()
    }


def apply(
    server: Server, realm: Realm, *, public_keys: Mapping[str, Mapping[str, Any]], passwords: Mapping[str, str]
) -> None:
    """Makes or updates the realm. People without a password here are left to the administrators.

    Raises keycloak.exceptions.KeycloakError.
    """
    admin = KeycloakAdmin(
        server_url=server.url, username=server.admin, password=server.password, realm_name="master", timeout=30
    )
    wanted = representation(realm, public_keys=public_keys, passwords=passwords)
    if REALM not in {each["realm"] for each in admin.get_realms()}:
        admin.create_realm(wanted)
        return
    admin.change_current_realm(REALM)
    clients, users = wanted.pop("clients"), wanted.pop("users")
    scopes = wanted.pop("clientScopeMappings")
    for made_once in ("roles", "components"):
        del wanted[made_once]
    admin.update_realm(REALM, wanted)
    _update_clients(admin, clients)
    _update_roles(admin, scopes)
    _update_users(admin, users)


def _update_clients(admin: KeycloakAdmin, clients: list[dict[str, Any]]) -> None:
    there = {client["clientId"]: client for client in admin.get_clients()}
    for client in clients:
        if client["clientId"] in there:
            admin.update_client(there[client["clientId"]]["id"], client)
        else:
            admin.create_client(client)
    for name in there.keys() - {client["clientId"] for client in clients}:
        if there[name].get("attributes", {}).get(MANAGED) == "true":
            admin.delete_client(there[name]["id"])


def _update_roles(admin: KeycloakAdmin, scopes: Mapping[str, list[dict[str, Any]]]) -> None:
    desk = _id(admin, DESK)
    for audience, roles in ROLES.items():
        owner = _id(admin, audience)
        for role in roles:
            admin.create_client_role(owner, {"name": role}, skip_exists=True)
        for scope in scopes.get(audience, []):
            granted = [admin.get_client_role(owner, role) for role in scope["roles"]]
            admin.assign_client_roles_to_client_scope(desk, owner, granted)


def _id(admin: KeycloakAdmin, client: str) -> str:
    found = admin.get_client_id(client)
    if found is None:
        raise LookupError(f"the realm has no client {client}")
    return str(found)


def _update_users(admin: KeycloakAdmin, users: list[dict[str, Any]]) -> None:
    for user in users:
        roles = user.pop("clientRoles")
        known = admin.get_user_id(user["username"])
        if known is not None:
            admin.update_user(known, user)
        user_id = known or admin.create_user(user)
        for audience, names in roles.items():
            owner = _id(admin, audience)
            admin.assign_client_role(user_id, owner, [admin.get_client_role(owner, name) for name in names])


def representation(
    realm: Realm, *, public_keys: Mapping[str, Mapping[str, Any]], passwords: Mapping[str, str]
) -> dict[str, Any]:
    """The realm as Keycloak's RealmRepresentation."""
    people = [person for person in realm.people if person.name in passwords]
    return {
        "realm": REALM,
        "enabled": True,
        "accessTokenLifespan": TOKEN_SECONDS,
        "defaultSignatureAlgorithm": "ES256",
        "registrationAllowed": False,
        "resetPasswordAllowed": False,
        "rememberMe": False,
        "bruteForceProtected": True,
        "roles": {"client": {audience: [{"name": role} for role in roles] for audience, roles in ROLES.items()}},
        "clients": [
            *(_audience(audience) for audience in ROLES),
            *(_client(client, public_keys[client.name]) for client in realm.clients if client.name in public_keys),
            _desk(),
        ],
        "clientScopeMappings": {
            audience: [{"client": DESK, "roles": [role for role in roles if not role.endswith("_system")]}]
            for audience, roles in ROLES.items()
            if roles != ("service",)
        },
        "users": [_user(person, passwords[person.name]) for person in people],
        "components": {
            # Named here and not left to be made at first use: a service that fetched the keys before would not know it.
            "org.keycloak.keys.KeyProvider": [_key_provider(kind, algorithm) for kind, algorithm in _REALM_KEYS],
            "org.keycloak.userprofile.UserProfileProvider": [
                {
                    "providerId": "declarative-user-profile",
                    "subComponents": {},
                    "config": {"kc.user.profile.config": [json.dumps(_profile())]},
                }
            ],
        },
    }


def _bare(name: str, **more: Any) -> dict[str, Any]:
    """A client that may do nothing; what it may is added. No scopes, no full scope: no claim that we did not name."""
    attributes = {MANAGED: "true"} | more.pop("attributes", {})
    return {
        "clientId": name,
        "enabled": True,
        "protocol": "openid-connect",
        "publicClient": False,
        "bearerOnly": False,
        "standardFlowEnabled": False,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "serviceAccountsEnabled": False,
        "fullScopeAllowed": False,
        "defaultClientScopes": [],
        "optionalClientScopes": [],
        "attributes": attributes,
    } | more


def _audience(name: str) -> dict[str, Any]:
    return _bare(name, bearerOnly=True)


def _client(client: Identity, public_key: Mapping[str, Any]) -> dict[str, Any]:
    return _bare(
        client.name,
        serviceAccountsEnabled=True,
        clientAuthenticatorType="client-jwt",
        attributes={
            "use.jwks.string": "true",
            "jwks.string": json.dumps({"keys": [dict(public_key)]}),
            "token.endpoint.auth.signing.alg": "ES256",
        },
        protocolMappers=[
            _mapper("sub", "oidc-sub-mapper"),
            _mapper("audience", "oidc-audience-mapper", {"included.client.audience": client.audience}),
            *(_fixed(name, value) for name, value in client.claims().items()),
        ],
    )


def _desk() -> dict[str, Any]:
    """People of all agencies: who they are decides the audience, since it comes into the token with a role of it."""
    return _bare(
        DESK,
        publicClient=True,
        standardFlowEnabled=True,
        redirectUris=[REDIRECT_URI],
        attributes={"pkce.code.challenge.method": "S256"},
        protocolMappers=[
            _mapper("sub", "oidc-sub-mapper"),
            _mapper("audience", "oidc-audience-resolve-mapper"),
            *(_of_user(name, multivalued=name == "cells") for name in ("agency", "organisation", "cells", "unit")),
            *(_roles_of(audience) for audience, roles in ROLES.items() if roles != ("service",)),
        ],
    )


def _mapper(name: str, kind: str, config: Mapping[str, str] | None = None) -> dict[str, Any]:
    told = _IN_ACCESS_TOKEN | dict(config or {})
    return {"name": name, "protocol": "openid-connect", "protocolMapper": kind, "config": told}


def _fixed(claim: str, value: Any) -> dict[str, Any]:
    text, kind = (value, "String") if isinstance(value, str) else (json.dumps(value), "JSON")
    return _mapper(
        claim, "oidc-hardcoded-claim-mapper", {"claim.name": claim, "claim.value": text, "jsonType.label": kind}
    )


def _of_user(attribute: str, *, multivalued: bool) -> dict[str, Any]:
    config = {"user.attribute": attribute, "claim.name": attribute, "jsonType.label": "String"}
    return _mapper(
        attribute, "oidc-usermodel-attribute-mapper", config | {"multivalued": "true" if multivalued else "false"}
    )


def _roles_of(audience: str) -> dict[str, Any]:
    config = {"usermodel.clientRoleMapping.clientId": audience, "claim.name": "roles", "jsonType.label": "String"}
    return _mapper(f"roles at {audience}", "oidc-usermodel-client-role-mapper", config | {"multivalued": "true"})


def _user(person: Identity, password: str) -> dict[str, Any]:
    return {
        "username": person.name,
        "enabled": True,
        "attributes": {
            "agency": [person.agency],
            "organisation": [person.organisation],
            "cells": list(person.cells),
            "unit": [person.unit] if person.unit else [],
        },
        "clientRoles": {person.audience: list(person.roles)},
        "credentials": [{"type": "password", "value": password, "temporary": False}],
    }


def _key_provider(kind: str, algorithm: str | None) -> dict[str, Any]:
    config = {"priority": ["100"]} | ({"algorithm": [algorithm]} if algorithm else {})
    if kind == "ecdsa-generated":
        config = {"priority": ["100"], "ecdsaEllipticCurveKey": ["P-256"]}
    return {"name": kind, "providerId": kind, "subComponents": {}, "config": config}


def _profile() -> dict[str, Any]:
    """Agency, organisation, cells, unit are the administrators' to set: nobody moves themselves to another station."""
    own = {"view": ["admin", "user"], "edit": ["admin"]}
    names = ("username", "email", "firstName", "lastName", "agency", "organisation", "cells", "unit")
    return {
        "attributes": [
            {"name": name, "permissions": own, "multivalued": name == "cells", "validations": {}} for name in names
        ]
    }
