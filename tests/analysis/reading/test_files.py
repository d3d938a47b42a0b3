"""Files of runs that a server keeps: what is not there is missing, and what it does not give is an error."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from loopback import serving
from mlflow.exceptions import MlflowException

from analysis.reading import files


class Artifacts(BaseHTTPRequestHandler):
    """A tracking server that lists one artifact and gives none."""

    def do_GET(self) -> None:
        listed = {"files": [{"path": "kept.csv", "is_dir": False}]}
        found = listed if "artifacts?" in self.path else {"error_code": "INTERNAL_ERROR"}
        body = json.dumps(found).encode()
        self.send_response(200 if found is listed else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None: ...


def test_a_file_that_a_server_has_and_does_not_give_is_no_missing_one() -> None:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Artifacts)) as server:
        uri = f"http://127.0.0.1:{server.server_port}"
        assert files._fetched({"gone": "mlflow-artifacts:/1/run/artifacts/gone.csv"}, uri) == {"gone": None}
        with pytest.raises(MlflowException, match="403"):
            files._fetched({"kept": "mlflow-artifacts:/1/run/artifacts/kept.csv"}, uri)
