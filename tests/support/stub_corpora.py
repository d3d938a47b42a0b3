"""The repository of the published corpora on this machine: ``/<owner>/<name>/<commit>/<path>``, as it is laid out."""

import http.server
from collections.abc import Mapping
from urllib.parse import urlsplit

from loopback import ANY_PORT

from nertransfer.corpora import download

REPOSITORY = "masakhane-io/masakhane-ner"


class Repository(http.server.ThreadingHTTPServer):
    """``files``: content by path, all of one commit; ``asked``: the paths that were asked for at that commit."""

    def __init__(self, files: Mapping[str, bytes], commit: str = download.COMMIT) -> None:
        super().__init__(ANY_PORT, _Handler)
        self.files = dict(files)
        self.commit = commit
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        inside = f"/{REPOSITORY}/{self.server.commit}/"
        path = urlsplit(self.path).path
        name = path.removeprefix(inside)
        self.server.asked.append(name)
        content = self.server.files.get(name) if path.startswith(inside) else None
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None: ...
