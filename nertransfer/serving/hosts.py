"""The names by which a server may be asked: a page whose own name was made to lead here gets no answer. Pure."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
EVERY_ADDRESS = ("0.0.0.0", "::")
"""Addresses to listen at; nobody is called so."""

_AUTHORITY = re.compile(r"([^\s:@/?#\[\]]+|\[[0-9a-f:.]+\])(:[0-9]{0,5})?")


def allowed(host: str, more: Iterable[str] = ()) -> frozenset[str]:
    """Loopback, the address ``host`` that is listened at, and ``more`` names, in small letters and without ports."""
    own = () if host in EVERY_ADDRESS else (f"[{host}]" if ":" in host else host,)
    return frozenset(name.lower() for name in (*LOOPBACK, *own, *more))


def refusal(headers: Mapping[str, str], names: frozenset[str]) -> str:
    """Why a request with these headers is not answered; empty where it is.

    A browser names in ``Host`` what stands in its address line, and in ``Origin`` whose page sends the request.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    if _name(host) not in names:
        return f"Host {host[:100]!r} is not allowed: start the server with allowed_hosts=<its name>"
    if origin is not None and _name(_authority(origin)) not in names:
        return f"Origin {origin[:100]!r} is not allowed: pages of this server alone, or of allowed_hosts"
    return ""


def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # brackets that do not match
        return ""


def _name(authority: str) -> str:
    found = _AUTHORITY.fullmatch(authority.lower())
    return found[1] if found else ""
