"""Servers on this machine that answer while a block lasts."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from typing import TypeVar

Server = TypeVar("Server", bound=http.server.ThreadingHTTPServer)
ANY_PORT = ("127.0.0.1", 0)


@contextlib.contextmanager
def serving(server: Server) -> Iterator[Server]:
    """``server`` answers in a thread, and is closed at the end."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
