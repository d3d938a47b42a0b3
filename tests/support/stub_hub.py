"""A model hub on this machine: gives and takes files as huggingface_hub asks for and sends them."""

import base64
import hashlib
import http.server
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from loopback import ANY_PORT

from nertransfer.encoders import start_files

Files = Mapping[str, bytes]


@dataclass
class Repository:
    """``commits``: files by commit; ``refs``: the commit of a branch, ``main``, or of a proposal, ``refs/pr/1``."""

    commits: dict[str, Files] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Files, ref: str = "main") -> str:
        """Add a commit to a branch; returns its hash."""
        digest = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[digest] = files
        self.refs[ref] = digest
        return digest


def forget_the_hub() -> None:
    """Ask the hub anew, as another process would."""
    start_files._commit.cache_clear()
    start_files._files.cache_clear()


def files_of(folder: Path) -> dict[str, bytes]:
    """The files in a folder by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


class Hub(http.server.ThreadingHTTPServer):
    """``repositories`` to download from, by id; ``moved``: older ids, which are redirected; ``asked``: paths that were
    asked for; ``fails``: a status that it answers all downloads with.

    ``uploaded``: files by repository and path; ``visibility``: of repositories that were made; ``tokens``: what was
    shown for them; ``refuses``: whether it answers uploads with a message that has the token in it."""

    def __init__(self) -> None:
        super().__init__(ANY_PORT, _Handler)
        self.repositories: dict[str, Repository] = {}
        self.moved: dict[str, str] = {}
        self.asked: list[str] = []
        self.fails = 0
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
        path = urlsplit(self.path).path
        self.server.asked.append(path)
        if self.server.fails:
            return self._answer({}, self.server.fails, "out of order")
        for old, new in self.server.moved.items():
            if path.startswith((f"/api/models/{old}/", f"/{old}/resolve/")) or path == f"/api/models/{old}":
                self.send_response(307)
                self.send_header("Location", path.replace(old, new, 1))
                self.send_header("Content-Length", "0")
                return self.end_headers()
        match [unquote(part) for part in path.strip("/").split("/")]:
            case ["api", "models", owner, name, "tree", _] if f"{owner}/{name}" in self.server.uploaded:
                self._tree(self.server.uploaded[f"{owner}/{name}"])
            case ["api", "models", owner, name, *rest]:
                revision = rest[1] if rest else "main"
                if (found := self._commit(f"{owner}/{name}", revision)) is None:
                    return None
                commit, files = found
                if rest[:1] == ["tree"]:
                    return self._tree(files)
                listed = [{"rfilename": path} for path in files]
                self._answer({"id": f"{owner}/{name}", "sha": commit, "siblings": listed, "tags": []})
            case [owner, name, "resolve", revision, *rest]:
                if (found := self._commit(f"{owner}/{name}", revision)) is not None:
                    self._file(*found, "/".join(rest))
            case _:
                self._answer({}, 404, "not found")

    do_HEAD = do_GET

    def _commit(self, name: str, revision: str) -> tuple[str, Files] | None:
        repository = self.server.repositories.get(name)
        if repository is None:
            return self._answer({}, 401, "Repository not found", "RepoNotFound")
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            return self._answer({}, 404, "Invalid rev id", "RevisionNotFound")
        return commit, repository.commits[commit]

    def _tree(self, files: Files) -> None:
        self._answer([{"type": "file", "path": p, "size": len(c), "oid": "0" * 40} for p, c in files.items()])

    def _file(self, commit: str, files: Files, name: str) -> None:
        if name not in files:
            return self._answer({}, 404, "Entry not found", "EntryNotFound")
        content = files[name]
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

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

    def _answer(self, value: object, status: int = 200, error: str = "", code: str = "") -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        if error:
            self.send_header("X-Error-Message", error)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...
