"""An authority's time stamp over a bundle's checkpoint (RFC 3161), where one is set up. No bundle is refused for it."""

import hashlib

import httpx
import structlog

from amanat import verify

PATIENCE_S = 5.0
LONGEST = 65_536
# TimeStampReq: version 1, SHA-256 of what is stamped, and the authority's certificate is asked for (RFC 3161, 2.4.1).
_BEFORE = bytes.fromhex("3039020101303130 0d06096086480165030402010500 0420")
_BEHIND = bytes.fromhex("0101ff")
_log = structlog.get_logger(__name__)


def query(message: bytes) -> bytes:
    """The request for a stamp over a message's hash."""
    return _BEFORE + hashlib.sha256(message).digest() + _BEHIND


async def stamp(url: str, message: bytes) -> bytes | None:
    """The authority's answer over `message`, if a verifier will take it; only a hash leaves the cell. None where no
    authority is set up, and when its answer does not come in time or does not fit, which is logged."""
    if not url:
        return None
    try:
        async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
            answer = await http.post(
                url, content=query(message), headers={"Content-Type": "application/timestamp-query"}
            )
        answer.raise_for_status()
        if len(answer.content) > LONGEST:
            raise ValueError("longer than a time stamp is")
        verify.read_stamp(answer.content, message)
    except (httpx.HTTPError, *verify.UNREADABLE) as error:
        _log.warning("time_stamp_left_out", kind=type(error).__name__)
        return None
    return answer.content
