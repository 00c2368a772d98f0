"""One POST to a stranger's address: resolved once, every address checked, the connection pinned to what was checked.

The name is not looked up again (it could answer otherwise the second time), no redirect is followed, no proxy used, no
connection kept; TLS and the Host header carry the original name. The whole attempt has 10 s, the answer's body 4 KiB.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address

import httpcore

from police_link.webhooks.addresses import Address, AddressRefused, Target, UrlRefused, allowed, parse_url

TIMEOUT_S = 10.0
MAX_BODY = 4096
MAX_ADDRESSES = 4

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]

# Not the loop's own few threads: a name server that never answers must not hold up the database's name.
_resolvers = ThreadPoolExecutor(max_workers=16, thread_name_prefix="webhook-resolve")


async def resolve(host: str, port: int) -> Sequence[Address]:
    """Every address that the system knows for a name. Raises OSError."""

    def look_up() -> list[Address]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(ip_address(str(entry[4][0])) for entry in found))

    return await asyncio.get_running_loop().run_in_executor(_resolvers, look_up)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: at most MAX_BODY bytes of body; `cut` if there was more."""

    status: int
    body: bytes
    cut: bool
    retry_after: str | None


class Unsent(Exception):
    """No answer was had. `reason` is one of a few constants, fit for logs and metrics; no address, no URL."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Caller:
    """Made once per process: holds the trust store, no connection."""

    def __init__(
        self,
        *,
        allow_private: bool,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._allow_private = allow_private
        self._resolve = resolve
        self._tls = tls or ssl.create_default_context()
        self._network = network or httpcore.AnyIOBackend()
        self._timeout_s = timeout_s

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Raises Unsent."""
        try:
            async with asyncio.timeout(self._timeout_s):
                target = parse_url(url, allow_private=self._allow_private)
                return await self._post(target, await self._addresses(target), headers, body)
        except UrlRefused:
            raise Unsent("url-refused") from None
        except AddressRefused:
            raise Unsent("address-refused") from None
        except (TimeoutError, httpcore.TimeoutException):
            raise Unsent("timeout") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError):
            raise Unsent("connection") from None

    async def _addresses(self, target: Target) -> tuple[Address, ...]:
        literal = target.literal
        if literal is not None:
            found: Sequence[Address] = [literal]
        else:
            try:
                found = await self._resolve(target.host, target.port)
            except (OSError, ValueError):
                raise Unsent("unresolved") from None
        return allowed(target, found, allow_private=self._allow_private)

    async def _post(
        self, target: Target, addresses: tuple[Address, ...], headers: Mapping[str, str], body: bytes
    ) -> Reply:
        url = httpcore.URL(
            scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.target.encode()
        )
        sent = {"Host": target.authority, "Connection": "close", "Accept-Encoding": "identity", **headers}
        async with (
            httpcore.AsyncConnectionPool(
                ssl_context=self._tls, retries=0, network_backend=_Pinned(target, addresses, self._network)
            ) as pool,
            pool.stream("POST", url, headers=list(sent.items()), content=body) as response,
        ):
            kept = bytearray()
            async for chunk in response.aiter_stream():
                kept += chunk
                if len(kept) > MAX_BODY:
                    break
            found = {name.lower(): value for name, value in response.headers}
            retry_after = found.get(b"retry-after")
            return Reply(
                status=response.status,
                body=bytes(kept[:MAX_BODY]),
                cut=len(kept) > MAX_BODY,
                retry_after=retry_after.decode("ascii", "replace") if retry_after is not None else None,
            )


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to the addresses that were checked, whatever the name would lead to by now."""

    def __init__(self, target: Target, addresses: Sequence[Address], network: httpcore.AsyncNetworkBackend) -> None:
        self._target = target
        self._addresses = addresses[:MAX_ADDRESSES]
        self._network = network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the backend's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        if (host, port) != (self._target.host, self._target.port):
            raise httpcore.ConnectError("not the host that was checked")
        each = TIMEOUT_S / len(self._addresses)
        last: Exception = httpcore.ConnectError()
        for address in self._addresses:
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout=each, local_address=local_address, socket_options=socket_options
                )
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                last = error
        raise last

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the backend's interface
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("not the host that was checked")

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)
