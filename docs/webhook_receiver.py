"""Receives MLflow's webhooks and prints every alias of a registered model that was set. Standard library alone.

    WEBHOOK_SECRET=... python docs/webhook_receiver.py --port 8000

Only what MLflow has signed with the secret, at most five minutes ago, is believed. docs/registry.md, "When a champion
changes", says how to have MLflow send it. Put what shall happen then where the line is printed.
"""

import argparse
import base64
import hashlib
import hmac
import http.server
import json
import os
import sys
import time
from email.message import Message

MOST_BYTES = 100_000
OLDEST_SECONDS = 300


def is_signed(headers: Message, body: bytes, secret: str) -> bool:
    """Whether the request is MLflow's, and new: the signature is over delivery id, time and body."""
    delivery, sent = headers.get("X-MLflow-Delivery-Id", ""), headers.get("X-MLflow-Timestamp", "")
    signed = hmac.new(secret.encode(), f"{delivery}.{sent}.".encode() + body, hashlib.sha256).digest()
    wanted = f"v1,{base64.b64encode(signed).decode()}"
    is_new = sent.isdecimal() and abs(time.time() - int(sent)) < OLDEST_SECONDS
    return is_new and hmac.compare_digest(headers.get("X-MLflow-Signature", "").encode(), wanted.encode())


class Receiver(http.server.BaseHTTPRequestHandler):
    """Answers 204 to what is MLflow's, 403 to everything else."""

    secret = ""
    timeout = 10

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        size = int(length) if length.isdecimal() and len(length) < 10 else MOST_BYTES + 1
        if size > MOST_BYTES:
            self.send_error(413)
            return
        body = self.rfile.read(size)
        if not is_signed(self.headers, body, self.secret):
            self.send_error(403)
            return
        self.send_response(204)
        self.end_headers()
        told = json.loads(body)
        if told.get("entity") == "model_version_alias" and told.get("action") == "created":
            data = told["data"]
            print(f"{data['name']}@{data['alias']} is version {data['version']} now", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Print aliases of registered models that MLflow says were set.")
    parser.add_argument("--port", type=int, default=8000, help="port to listen at, on 127.0.0.1 (default: 8000)")
    port = parser.parse_args().port
    Receiver.secret = os.environ.get("WEBHOOK_SECRET", "")
    if not Receiver.secret:
        sys.exit("error: set WEBHOOK_SECRET to the secret that MLflow has for this webhook")
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Receiver) as server:
        print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
