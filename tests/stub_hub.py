"""A model hub on this machine that takes uploads as huggingface_hub sends them."""

import base64
import http.server
import json
from urllib.parse import urlsplit

from loopback import ANY_PORT


class Hub(http.server.ThreadingHTTPServer):
    """``uploaded``: files by repository and path; ``visibility``: of repositories that were made; ``tokens``: what was
    shown for them; ``refuses``: whether it answers uploads with a message that has the token in it."""

    def __init__(self) -> None:
        super().__init__(ANY_PORT, _Handler)
        self.uploaded: dict[str, dict[str, bytes]] = {}
        self.visibility: dict[str, str] = {}
        self.tokens: set[str] = set()
        self.refuses = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        match urlsplit(self.path).path.strip("/").split("/"):
            case ["api", "models", owner, name, "tree", _] if f"{owner}/{name}" in self.server.uploaded:
                files = self.server.uploaded[f"{owner}/{name}"].items()
                self._answer([{"type": "file", "path": p, "size": len(c), "oid": "0" * 40} for p, c in files])
            case _:
                self._answer({}, 404, "not found")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.server.tokens.add(token)
        match urlsplit(self.path).path.strip("/").split("/"):
            case ["api", "repos", "create"]:
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}"
                self.server.uploaded.setdefault(name, {})
                self.server.visibility.setdefault(name, asked["visibility"])
                self._answer({"url": f"{self.server.address}/{name}"})
            case _ if self.server.refuses:
                self._answer({}, 403, f"no write access with {token}")
            case ["api", "validate-yaml"]:
                self._answer({"errors": [], "warnings": []})
            case ["api", "models", _, _, "preupload", _]:
                paths = [file["path"] for file in json.loads(body)["files"]]
                modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]
                self._answer({"files": modes})
            case ["api", "models", owner, name, "commit", _]:
                files = self.server.uploaded[f"{owner}/{name}"]
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                    elif line["key"] == "deletedFile":
                        del files[line["value"]["path"]]
                commit = "0" * 40
                url = f"{self.server.address}/{owner}/{name}/commit/{commit}"
                self._answer({"commitUrl": url, "commitOid": commit})
            case _:
                self._answer({}, 404, "not found")

    def _answer(self, value: object, status: int = 200, error: str = "") -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        if error:
            self.send_header("X-Error-Message", error)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...
