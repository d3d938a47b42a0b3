"""What a server bears: connections, seconds and bytes of a request, requests that wait, seconds until it has ended.

uvicorn limits how many connections are answered and how long it waits once it is asked to end. The rest is here.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any, TypeVar

import h11
import uvicorn
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 500
"""At once; requests on more of them are answered with 503, by uvicorn."""

REQUEST_SECONDS = 30.0
"""From the first byte of a request, or the opening of a connection, until the last byte is there."""

ANSWER_SECONDS = 60.0
"""Until a client has read an answer that is larger than the buffers of the connection."""

GRACE_SECONDS = 20
"""For the requests under way once the server is asked to end."""

WAITING = 32
"""Requests that wait for the one that is computed."""

HELD_BYTES = 100_000_000
"""Of all bodies and answers at once, apart from the first `FREE_BYTES` of each: small ones find room at any time."""

FREE_BYTES = 65_536

T = TypeVar("T")


def overload(reason: str) -> HTTPException:
    return HTTPException(503, f"{reason}: try again later", {"Retry-After": "1"})


# --- connections -----------------------------------------------------------------------------------


class Connection(H11Protocol):
    """uvicorn's, which does not wait for the rest of a request once the server is asked to end."""

    def shutdown(self) -> None:
        if self._is_incomplete():
            self._end(503)
        else:
            super().shutdown()

    def _is_incomplete(self) -> bool:
        """Whether the head or a part of a request is there, or nothing of it yet, and bytes are waited for."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _end(self, status: int) -> None:
        """Close at once, with an answer where one is owed."""
        if self.conn.our_state is h11.SEND_RESPONSE:
            phrase = HTTPStatus(status).phrase
            self.transport.write(
                f"HTTP/1.1 {status} {phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )
            self.cycle.disconnected = True
        self.transport.abort()


class LimitedConnection(Connection):
    """Closes also when a request or the reading of its answer takes too long."""

    _request: asyncio.TimerHandle | None = None
    _answer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._request, self._answer):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._answer = self.loop.call_later(ANSWER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._answer is not None:
            self._answer.cancel()

    def _watch(self) -> None:
        """Begin to count the seconds where a part of a request, or all of it, is not there; end where all is."""
        is_incomplete = self._is_incomplete()
        if is_incomplete and self._request is None:
            self._request = self.loop.call_later(REQUEST_SECONDS, self._end, 408)
        elif not is_incomplete and self._request is not None:
            self._request.cancel()
            self._request = None


# --- memory ----------------------------------------------------------------------------------------


class Room:
    """ASGI middleware that counts the bytes of bodies and answers which are held at once.

    An application tells how many by ``request.state.hold(size)``, which raises HTTPException with status 503 where
    there is no room. They are held until the client has read the answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.taken = app, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def read(message: Message) -> None:
            """Send; the last message waits until the client has read what came before."""
            if message["type"] == "http.response.body" and not message.get("more_body"):
                await send({**message, "more_body": True})
                message = {"type": "http.response.body"}
            await send(message)

        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with self.share() as hold, suppress(asyncio.CancelledError):  # the server ends, and has waited long enough
            scope.setdefault("state", {})["hold"] = hold
            await self.app(scope, receive, read)

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """A function that says how many bytes one request holds now. An answer of any size fits where it is alone."""
        mine = 0

        def hold(size: int) -> None:
            nonlocal mine
            others, wanted = self.taken - mine, max(0, size - FREE_BYTES)
            if wanted > mine and others and others + wanted > HELD_BYTES:
                raise overload("the server has no room for more large requests")
            mine, self.taken = wanted, others + wanted

        try:
            yield hold
        finally:
            self.taken -= mine


# --- work ------------------------------------------------------------------------------------------


class Worker:
    """One thread, which does one piece of work after the other; few of them wait."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "worker")
        self._under_way: set[Future[Any]] = set()

    @property
    def is_busy(self) -> bool:
        return bool(self._under_way)

    async def run(self, request: Request, work: Callable[..., T], *arguments: Any) -> T:
        """What ``work`` returns. Raises HTTPException with status 503 where too many wait, or the server ends before,
        and ClientDisconnect where nobody waits for it any more."""
        if len(self._under_way) > WAITING:
            raise overload("the server is busy")
        future = self._thread.submit(work, *arguments)
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        found = asyncio.wrap_future(future)
        gone = asyncio.ensure_future(request.receive())  # after the body, it returns when the client has left
        try:
            await asyncio.wait((found, gone), return_when=asyncio.FIRST_COMPLETED)
            if not found.done():
                raise ClientDisconnect
            return found.result()
        except asyncio.CancelledError:
            raise overload("the server has ended") from None
        finally:
            gone.cancel()
            found.cancel()  # where it has not begun


# --- the server ------------------------------------------------------------------------------------


def settings() -> dict[str, Any]:
    """What uvicorn is told for a server that takes requests with bodies from anybody."""
    return {"http": LimitedConnection, "ws": "none", "limit_concurrency": CONNECTIONS}


def run(application: ASGIApp, listening: socket.socket, worker: Worker | None = None, **more: Any) -> None:
    """Answer at a socket until SIGTERM or Ctrl-C, and say so; at most `GRACE_SECONDS` for the requests under way.

    ``more``: settings of uvicorn's. Ends the process, with status 1, where ``worker`` goes on after that.
    """
    ours = {"http": Connection, "log_level": "warning", "timeout_graceful_shutdown": GRACE_SECONDS}
    with suppress(KeyboardInterrupt):  # uvicorn has ended politely and raises the signal once more
        uvicorn.Server(uvicorn.Config(application, **(ours | more))).run(sockets=[listening])
    if worker is None or not worker.is_busy:
        print("stopped", flush=True)
        return
    print(f"stopped; a request took more than {GRACE_SECONDS} seconds, and got no answer", flush=True)
    sys.stderr.flush()
    os._exit(1)  # Python would wait for the thread
