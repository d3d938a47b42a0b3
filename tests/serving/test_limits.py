"""A server under clients that are slow, many or rude, and one that is asked to end meanwhile."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection

import pytest
import uvicorn
from project_scripts import ROOT
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from nertransfer.serving import limits

MEGABYTE = b"a" * 1_000_000


def application(worker: limits.Worker, work: Callable[[bytes], bytes]) -> Starlette:
    async def answer(request: Request) -> Response:
        body = b""
        with suppress(ClientDisconnect):
            async for part in request.stream():
                body += part
                request.state.hold(len(body))
            answered = await worker.run(request, work, body)
            request.state.hold(len(answered))
            return Response(answered)
        return Response(status_code=400)

    async def ping(_: Request) -> Response:
        return Response("here")

    routes = [Route("/", answer, methods=["POST"]), Route("/ping", ping)]
    return Starlette(routes=routes, middleware=[Middleware(limits.Room)])


@contextmanager
def served(work: Callable[[bytes], bytes] = bytes.upper, worker: limits.Worker | None = None) -> Iterator[int]:
    """The port of a server in a thread of this process."""
    listening = socket.create_server(("127.0.0.1", 0))
    made = application(worker or limits.Worker(), work)
    config = uvicorn.Config(made, log_level="critical", **limits.settings())
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@contextmanager
def sent(port: int, data: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
        yield connection


def head(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % length


def ask(port: int, body: bytes = b"", method: str = "POST", path: str = "/") -> tuple[int, bytes]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline


def until_closed(connection: socket.socket) -> bytes:
    found = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            found += part
    return found


@pytest.mark.parametrize(
    ("data", "answered"),
    [
        (b"", b""),
        (b"POST / HTT", b""),
        (head(10) + b"abc", b"HTTP/1.1 408 Request Timeout\r\n"),
        (head(2) + b"ab" + head(10) + b"abc", b"HTTP/1.1 200 OK\r\n"),
        (b"GET /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
    ],
)
def test_a_request_that_does_not_come_to_an_end_is_ended(
    data: bytes, answered: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 0.1)
    with served() as port, sent(port, data) as connection:
        found = until_closed(connection)
        assert found.startswith(answered) and bool(found) == bool(answered)
        assert ask(port, b"good") == (200, b"GOOD")


def test_an_answer_that_nobody_reads_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(limits, "HELD_BYTES", 0)
    with served(lambda body: MEGABYTE * 20 if body == b"much" else body) as port:
        with sent(port, head(4) + b"much") as connection:
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
            assert ask(port, MEGABYTE)[0] == 503  # the answer is held
            assert ask(port, b"small") == (200, b"small")
            until(lambda: ask(port, MEGABYTE)[0] == 200)  # it is dropped
            assert len(until_closed(connection)) < 20_000_000
        assert ask(port, b"much") == (200, MEGABYTE * 20)


def test_many_who_hold_large_bodies_leave_room_for_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HELD_BYTES", 3_000_000)
    with served() as port:
        holding = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(20)]
        refused = 0
        for connection in holding:
            connection.sendall(head(len(MEGABYTE) + 1) + MEGABYTE)
            assert ask(port, b"small") == (200, b"SMALL")
        for connection in holding:
            connection.setblocking(False)
            with suppress(BlockingIOError):
                refused += connection.recv(12) == b"HTTP/1.1 503"
        assert refused >= 17
        for connection in holding:
            connection.close()
        until(lambda: ask(port, MEGABYTE)[0] == 200)


def test_what_one_request_holds_is_counted_once_and_given_back() -> None:
    room = limits.Room(Response())
    with room.share() as first, room.share() as second:
        first(10 * limits.HELD_BYTES)  # where it is alone
        second(limits.FREE_BYTES)
        with pytest.raises(HTTPException):
            second(limits.FREE_BYTES + 1)
        first(limits.FREE_BYTES + 7)
        assert room.taken == 7
        second(limits.FREE_BYTES + limits.HELD_BYTES - 7)
        assert room.taken == limits.HELD_BYTES
    assert room.taken == 0


class Slow:
    """Work that begins and waits until it may go on."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.done: list[bytes] = []

    def __call__(self, body: bytes) -> bytes:
        self.begun.set()
        assert self.go_on.wait(30)
        self.done.append(body)
        return body


def test_a_busy_server_says_so_at_once_and_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WAITING", 0)
    work = Slow()
    with served(work) as port, ThreadPoolExecutor(1) as client:
        first = client.submit(ask, port, b"first")
        assert work.begun.wait(30)
        assert ask(port, b"extra")[0] == 503
        assert ask(port, method="GET", path="/ping") == (200, b"here")
        work.go_on.set()
        assert first.result() == (200, b"first") and work.done == [b"first"]
        assert ask(port, b"next") == (200, b"next")


def test_nothing_is_computed_for_a_client_that_has_left() -> None:
    work, worker = Slow(), limits.Worker()
    with served(work, worker) as port, ThreadPoolExecutor(1) as client:
        first = client.submit(ask, port, b"first")
        assert work.begun.wait(30)
        with sent(port, head(4) + b"left"):
            until(lambda: len(worker._under_way) == 2)
        until(lambda: len(worker._under_way) == 1)
        work.go_on.set()
        assert first.result() == (200, b"first")
        assert ask(port, b"next") == (200, b"next") and work.done == [b"first", b"next"]


def test_more_connections_than_it_bears_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONNECTIONS", 3)
    with served() as port, sent(port, head(9)), sent(port, head(9)):
        assert ask(port, b"extra")[0] == 503


ENDING = """
import signal, socket, sys, time
from nertransfer.core import processes
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from nertransfer.serving import limits

signal.signal(signal.SIGTERM, processes.handle_interrupt_once)  # as commands.run does
limits.GRACE_SECONDS = 1
worker = limits.Worker()
SECONDS = float(sys.argv[1])

def work():
    print("begun", flush=True)
    time.sleep(SECONDS)

async def application(scope, receive, send):
    request = Request(scope, receive)
    try:
        await request.body()
        await worker.run(request, work)
        answer = Response("done")
    except ClientDisconnect:
        return
    except HTTPException as error:
        answer = Response(error.detail, error.status_code)
    await answer(scope, receive, send)

listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
limits.run(application, listening, worker, lifespan="off")
"""


@pytest.mark.parametrize(
    ("seconds", "answered", "status", "last"),
    [
        (0.3, b"HTTP/1.1 200 OK", 0, "stopped\n"),
        (
            60,
            b"HTTP/1.1 503 Service Unavailable",
            1,
            "stopped; a request took more than 1 seconds, and got no answer\n",
        ),
    ],
)
def test_asked_to_end_it_answers_what_is_there_and_waits_for_nothing_else(
    seconds: float, answered: bytes, status: int, last: str
) -> None:
    """Besides the request under way one client holds its body, one the end of its head, and one says nothing."""
    command = [sys.executable, "-c", ENDING, str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None and running.stderr is not None
        port = int(running.stdout.readline())
        with ExitStack() as stack:
            asks = (head(9) + b"a", b"POST / HTT", b"", head(1) + b"a")
            held, begun, silent, whole = [stack.enter_context(sent(port, data)) for data in asks]
            assert running.stdout.readline() == "begun\n"
            asked = time.monotonic()
            running.terminate()
            assert until_closed(held).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert until_closed(begun) == until_closed(silent) == b""
            assert until_closed(whole).startswith(answered)
        assert running.wait(30) == status and time.monotonic() - asked < 30
        assert running.stdout.read() == last and "Traceback" not in running.stderr.read()
