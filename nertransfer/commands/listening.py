"""A port of this machine, taken before anything is loaded, so that one which cannot be had is told at once."""

import socket

from nertransfer.core.errors import InputError


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens at the address; port 0 takes one that is free. Raises InputError where it cannot be had."""
    made: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)  # asyncio sets TCP_NODELAY only where the protocol is named
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen()
    except (OSError, UnicodeError) as error:  # the latter for a name that can be no host's
        if made is not None:
            made.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot listen on {host}:{port}: {reason}; choose another port with port=<number>", "port"
        ) from error
    return made
