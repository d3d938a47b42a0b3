"""What people do with registered models in MLflow itself: copies to other names, aliases by hand, webhooks."""

import base64
import hashlib
import hmac
import http.server
import importlib.util
import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import mlflow
import pytest
import registered_store
from folder_store import opened
from loopback import ANY_PORT, serving
from mlflow import MlflowClient
from project_scripts import ROOT
from registered_store import register

from nertransfer.core import schema
from nertransfer.core.commandline import build
from nertransfer.core.config import ExportConfig
from nertransfer.registry import versions
from nertransfer.serving.export import export
from nertransfer.tracking import model_uris
from nertransfer.tracking.store import Study, all_versions

SECRET = "between MLflow and the receiver"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = registered_store.make(tmp_path_factory.mktemp("elsewhere"))
    client = opened(folder, registered_store.FIRST).client
    client.create_registered_model("production")
    client.copy_model_version("models:/ner-aaa@champion", "production")
    client.set_registered_model_alias("production", "live", "1")
    client.set_registered_model_alias("ner-aaa", "reviewed", "1")
    return folder


@pytest.fixture
def study(made: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    return registered_store.opened_for_mlflow(made, monkeypatch)


def test_a_copy_under_another_name_loads_and_exports(study: Study) -> None:
    text = ["abc abd"]
    copied, own = (mlflow.pyfunc.load_model(f"models:/{name}") for name in ("production@live", "ner-aaa@champion"))
    assert copied.predict(text).equals(own.predict(text))
    run, version = model_uris.origin("models:/production@live", study.client)
    assert run is not None and version is not None and run.data.tags[schema.SOURCE] == "aaa"
    with model_uris.local_copy("models:/production/1", study.client, Path("work")) as start:
        assert (Path(start.location) / "model.safetensors").is_file()
    folder = export(build(ExportConfig, {"model": "models:/production@live", "output": "exports"}), study.client)
    assert (Path(folder) / "model.safetensors").is_file() and "aaa" in (Path(folder) / "README.md").read_text()


def test_registering_leaves_other_names_and_aliases_as_they_are(study: Study) -> None:
    assert register(study) == []
    aliases = study.client.get_registered_model("ner-aaa").aliases
    assert {name: int(version) for name, version in aliases.items()} == {"champion": 1, "from-tiny": 1, "reviewed": 1}
    assert len(all_versions(study.client, "production")) == 1
    (row,) = versions.read(study.client)
    assert row.aliases == ("champion", "from-tiny", "reviewed")


# --- webhooks --------------------------------------------------------------------------------------------


def receiver() -> ModuleType:
    spec = importlib.util.spec_from_file_location("webhook_receiver", ROOT / "docs" / "webhook_receiver.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def post(address: str, body: bytes, headers: dict[str, str]) -> int:
    request = urllib.request.Request(address, body, headers)
    try:
        return urllib.request.urlopen(request, timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_receiver_believes_what_is_signed_and_new(capsys: pytest.CaptureFixture[str]) -> None:
    module = receiver()
    module.Receiver.secret = SECRET
    module.Receiver.log_message = lambda *_: None
    event = {"entity": "model_version_alias", "action": "created"}
    body = json.dumps(event | {"data": {"name": "ner-hau", "alias": "champion", "version": "7"}}).encode()

    def headers(sent: float, secret: str = SECRET) -> dict[str, str]:
        signed = hmac.new(secret.encode(), f"id.{int(sent)}.".encode() + body, hashlib.sha256).digest()
        return {"X-MLflow-Delivery-Id": "id", "X-MLflow-Timestamp": str(int(sent)),
                "X-MLflow-Signature": f"v1,{base64.b64encode(signed).decode()}"}  # fmt: skip

    with serving(http.server.ThreadingHTTPServer(ANY_PORT, module.Receiver)) as server:
        address, now = f"http://127.0.0.1:{server.server_address[1]}/", time.time()
        refused = [headers(now, "another"), headers(now - 600), {}, headers(now) | {"X-MLflow-Timestamp": "x"}]
        assert [post(address, body, one) for one in refused] == [403] * 4
        assert post(address, b"x" * 200_000, headers(now)) == 413
        assert capsys.readouterr().out == ""
        assert post(address, body, headers(now)) == 204
    assert capsys.readouterr().out == "ner-hau@champion is version 7 now\n"


@pytest.fixture
def server(study: Study, made: Path, python: str) -> Iterator[str]:
    """MLflow's server on the store; webhooks may lead to this machine."""
    with socket.socket() as probe:
        probe.bind(ANY_PORT)
        port = probe.getsockname()[1]
    environment = os.environ | {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }  # fmt: skip
    command = [python, "-m", "mlflow", "server", "--backend-store-uri", study.uri, "--port", str(port),
               "--workers", "1"]  # fmt: skip
    with (made / "server.log").open("wb") as log, subprocess.Popen(
        command, env=environment, stdout=log, stderr=log, process_group=0
    ) as running:  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 120
            while True:
                try:
                    urllib.request.urlopen(f"{address}/health", timeout=20)
                    break
                except OSError:
                    assert running.poll() is None and time.monotonic() < deadline, (made / "server.log").read_text()
                    time.sleep(0.05)
            yield address
        finally:
            os.killpg(running.pid, 9)


def test_mlflow_tells_the_receiver_that_a_champion_has_changed(server: str) -> None:
    module, told, heard = receiver(), [], threading.Event()

    class Listening(module.Receiver):  # type: ignore[name-defined, misc]
        secret = SECRET

        def do_POST(self) -> None:
            super().do_POST()
            heard.set()

        def send_response(self, code: int, message: str | None = None) -> None:
            told.append(code)
            super().send_response(code, message)

        def log_message(self, *_: object) -> None: ...

    client = MlflowClient(tracking_uri=server, registry_uri=server)
    with serving(http.server.ThreadingHTTPServer(ANY_PORT, Listening)) as listening:
        address = f"http://127.0.0.1:{listening.server_address[1]}/"
        client.create_webhook("champions", address, ["model_version_alias.created"], secret=SECRET)
        client.set_registered_model_alias("ner-aaa", "champion", "1")
        assert heard.wait(60)
    assert told == [204]
