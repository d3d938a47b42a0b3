"""A reverse proxy before a tracking server that loses, doubles, delays and refuses: what networks do to requests.

The first requests to every address of MLflow's API meet one fault after the other, later ones by chance, which a seed
decides. Where the server itself does not answer, the proxy says 502, as others do.
"""

import random
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import urllib3

FAULTS = ("lose", "double", "refuse", "delay")
DELAY_SECONDS = 0.2
_ID = re.compile(r"m-[0-9a-f]{32}|[0-9a-f]{32}|(?<=artifacts/artifacts/).*|\?.*|\d+")
_OF_A_CONNECTION = ("connection", "transfer-encoding", "keep-alive", "content-length", "server", "date")


class FaultyProxy(ThreadingHTTPServer):
    """Entered, it serves at ``address`` until it is left. ``done`` counts faults by (kind, method and address)."""

    daemon_threads = True

    def __init__(self, upstream: str, seed: int = 0, share: float = 0.02) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.share, self.done = upstream, share, Counter[tuple[str, str]]()
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.pool = urllib3.PoolManager(retries=False, maxsize=16)
        self._chance, self._seen, self._lock = random.Random(seed), Counter[str](), threading.Lock()

    def fault(self, method: str, path: str) -> str:
        """What happens to a request; empty for nothing."""
        if "/api/" not in path:
            return ""
        kind = f"{method} {_ID.sub('', path)}"
        with self._lock:
            number = self._seen[kind]
            self._seen[kind] += 1
            chosen = self._chance.choice(FAULTS) if self._chance.random() < self.share else ""
            chosen = FAULTS[number] if number < len(FAULTS) else chosen
            if chosen:
                self.done[chosen, kind] += 1
        return chosen

    def __enter__(self) -> "FaultyProxy":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """Clients that are killed leave in the middle."""


class _Handler(BaseHTTPRequestHandler):
    server: FaultyProxy
    protocol_version = "HTTP/1.1"

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.fault(self.command, self.path)
        if fault == "refuse":
            self._answer(503, b"", {})
            return
        if fault == "delay":
            time.sleep(DELAY_SECONDS)
        headers = {name: text for name, text in self.headers.items() if name.lower() not in _OF_A_CONNECTION}
        url = self.server.upstream + self.path
        try:
            answers = [
                self.server.pool.request(self.command, url, body=body, headers=headers, decode_content=False)
                for _ in range(1 + (fault == "double"))
            ]
        except urllib3.exceptions.HTTPError:
            self._answer(502, b"", {})
            return
        if fault == "lose":
            self.close_connection = True
            return
        self._answer(answers[0].status, answers[0].data, answers[0].headers)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _forward

    def _answer(self, status: int, body: bytes, headers: "urllib3.HTTPHeaderDict | dict[str, str]") -> None:
        self.send_response(status)
        for name, text in headers.items():
            if name.lower() not in _OF_A_CONNECTION:
                self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
