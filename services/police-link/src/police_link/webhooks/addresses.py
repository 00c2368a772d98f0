"""Where a webhook may go: which URLs, which hosts, which addresses. Pure; nothing is resolved here.

A stranger chooses the URL, so it must not lead into our own network (server-side request forgery). The tables are
IANA's special-purpose address registries (RFC 6890 and its updates), written out because what Python calls global
differs between its versions. Allowed is what is known to be public, not what is not known to be private.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address

MAX_URL = 2000
PORTS = frozenset({443, 8443})


class Reach(Enum):
    """PRIVATE is reachable only where the setting allows it; REFUSED never is."""

    PUBLIC = "public"
    PRIVATE = "private"
    REFUSED = "refused"


class UrlRefused(ValueError):
    """The text is a constant reason, without the URL."""


class AddressRefused(Exception):
    """The host's name leads where webhooks do not go."""


_PRIVATE_4 = tuple(map(IPv4Network, ("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_REFUSED_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "100.64.0.0/10",  # carriers' own; a cloud's metadata service among them
            "169.254.0.0/16",  # link-local: metadata services
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_PRIVATE_6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
_REFUSED_6 = tuple(
    map(
        IPv6Network,
        (
            "fd00:ec2::/32",  # a cloud's metadata service, inside the unique local range
            "2001::/23",  # protocol assignments, Teredo among them
            "2001:db8::/32",
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)
_GLOBAL_6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


def reach(address: Address) -> Reach:
    """How far an address lies; one that embeds an IPv4 address lies where that one does."""
    embedded = address if isinstance(address, IPv4Address) else _embedded(address)
    if embedded is not None:
        return _of(embedded, _REFUSED_4, _PRIVATE_4, Reach.PUBLIC)
    return _of(address, _REFUSED_6, _PRIVATE_6, Reach.PUBLIC if address in _GLOBAL_6 else Reach.REFUSED)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour


def _of(
    address: Address,
    refused: Sequence[IPv4Network | IPv6Network],
    private: Sequence[IPv4Network | IPv6Network],
    otherwise: Reach,
) -> Reach:
    if any(address in network for network in refused):
        return Reach.REFUSED
    return Reach.PRIVATE if any(address in network for network in private) else otherwise


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart once, so that nobody reads it differently afterwards. `target` is path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """As the Host header says it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORT[self.scheme] else f"{host}:{self.port}"

    @property
    def literal(self) -> Address | None:
        """The address, where the host is one and no name."""
        return _literal(self.host)


_DEFAULT_PORT = {"https": 443, "http": 80}
_TEXT = re.compile(r"[\x21-\x7e]+")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
# The last label starts with a letter: resolvers read 127.1, 0x7f.1 and 2130706433 as addresses.
_NAME = re.compile(rf"(?:{_LABEL}\.)*[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")


def parse_url(text: str, *, allow_private: bool) -> Target:
    """The URL, if webhooks may be sent to such a one; its name's addresses are judged by `allowed` at each attempt.

    Raises UrlRefused.
    """
    if len(text) > MAX_URL or not _TEXT.fullmatch(text) or "\\" in text:
        raise UrlRefused("must be a URL of at most 2000 ASCII characters")
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise UrlRefused("must be a URL of at most 2000 ASCII characters") from None
    if parts.scheme not in (("https", "http") if allow_private else ("https",)):
        raise UrlRefused("must start with https://")
    if "@" in parts.netloc or "#" in text:
        raise UrlRefused("must not hold a user, a password or a fragment")
    if not host or not _is_host(host):
        raise UrlRefused("must name a host by its DNS name (in ASCII) or address")
    port = _DEFAULT_PORT[parts.scheme] if port is None else port
    if port == 0 or not (allow_private or port in PORTS):
        raise UrlRefused("must use port 443 or 8443")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    found = Target(parts.scheme, host, port, target)
    local_name = found.literal is None and ("." not in host or host.endswith(".localhost"))
    if local_name and not allow_private:
        raise UrlRefused("must name a host on the public network")
    if found.literal is not None:
        try:
            allowed(found, [found.literal], allow_private=allow_private)
        except AddressRefused:
            raise UrlRefused("must name a host on the public network") from None
    return found


def allowed(target: Target, addresses: Sequence[Address], *, allow_private: bool) -> tuple[Address, ...]:
    """The addresses themselves, if each may be connected to: one bad one among them refuses them all.

    Plain http is for private addresses alone. Raises AddressRefused, also when there are none.
    """
    good = {Reach.PUBLIC} if target.scheme == "https" else set()
    if allow_private:
        good.add(Reach.PRIVATE)
    if not addresses or any(reach(address) not in good for address in addresses):
        raise AddressRefused
    return tuple(addresses)


def _is_host(host: str) -> bool:
    return _literal(host) is not None or (len(host) <= 253 and _NAME.fullmatch(host) is not None)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
