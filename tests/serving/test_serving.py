"""A registered model behind HTTP, ours and MLflow's own server: right answers, clean refusals, a clean end."""

import html
import http.client
import json
import random
import re
import select
import socket
import sys
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from hashlib import sha256
from pathlib import Path

import mlflow
import pytest
from folder_store import make_store
from mlflow.pyfunc import PyFuncModel
from project_scripts import ROOT
from starlette.testclient import TestClient
from tiny_models import register_tiny_model, save_tiny_mlflow_model

from nertransfer.commands.listening import listener
from nertransfer.core.commandline import build
from nertransfer.core.config import ServeConfig
from nertransfer.core.errors import InputError
from nertransfer.core.options import ModelOptions
from nertransfer.registry.tagger import LONGEST_TEXT, Tagger
from nertransfer.serving import hosts, limits
from nertransfer.serving import server as serving
from nertransfer.serving.prediction import load_tagger

sys.path.insert(0, str(ROOT / "benchmarks"))

from model_server import Server, serve

HERE = "http://127.0.0.1"


def head(length: int) -> bytes:
    """Of a request whose body has so many bytes."""
    return (
        b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    )


def payload(inputs: object, **params: object) -> str:
    return json.dumps({"inputs": inputs} | ({"params": params} if params else {}))


MALFORMED: list[str | bytes] = [
    "", "{", "null", "3", '"text"', "[]", '["text"]', "{}", "inputs", '{"inputs": ["a"]', "{'inputs': ['a']}",
    b"\xff\xfe", b'{"inputs": ["\xff"]}', '{"inputs": ["\\ud800"]}', '{"inputs": ["ok", "\\udfff x"]}',
    '{"texts": ["a"]}', '{"input": ["a"]}', '{"text": "a"}', '{"instances": ["a"]}', '{"predictions": ["a"]}',
    '{"dataframe_records": [{"text": "a"}]}', '{"dataframe_split": {"columns": ["text"], "data": [["a"]]}}',
    '{"messages": [{"role": "user", "content": "a"}]}', '{"prompt": "a"}', '{"params": {"threshold": 0.5}}',
    payload(None), payload([]), payload({}), payload(3), payload(0.5), payload(True), payload("text"),
    payload({"text": "a"}), payload([None]), payload(["a", None]), payload([1, 2]), payload(["a", 1]), payload([True]),
    payload([["a"]]), payload([{"text": "a"}]), payload(["a" * (LONGEST_TEXT + 1)]), payload(["b " * LONGEST_TEXT]),
    payload(["a"], threshold=2), payload(["a"], threshold=-0.1), payload(["a"], threshold="high"),
    payload(["a"], threshold=[0.5]), payload(["a"], threshold=None), payload(["a"], threshold=float("nan")),
    payload(["a"], words="yes"), payload(["a"], words=2),
]  # fmt: skip

Odd = tuple[str, str | None, int, int]
ODD: list[Odd] = [
    ("[" * 100_000, "application/json", 400, 500),
    ('{"inputs": [' + "9" * 5000 + "]}", "application/json", 400, 500),
    (payload(["a"]), None, 415, 500),
    (payload(["a"]), "text/plain", 415, 415),
    (payload(["a"]), "application/json; charset=latin-1", 415, 415),
    ('a,b\n"', "text/csv", 415, 400),
    ("PAR1", "application/vnd.apache.parquet", 415, 400),
    (payload(["a"], treshold=0.5), "application/json", 400, 200),
    ('{"inputs": ["a"], "param": {"words": true}}', "application/json", 400, 200),
    ('{"inputs": ["a"], "\\ud800": 1}', "application/json", 400, 200),
    ('{"inputs": ["a"], "params": 3}', "application/json", 400, 400),
]
"""Body, content type, status of our answer, status of MLflow's: docs/models.md lists what MLflow's are."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = save_tiny_mlflow_model(tmp_path_factory.mktemp("serving"))
    register_tiny_model(f"sqlite:///{make_store(made.parent)}", "aaa", made)
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> PyFuncModel:
    return mlflow.pyfunc.load_model(str(folder))


def started(folder: Path, by_mlflow: bool) -> Iterator[Server]:
    log = folder.parent / f"serve-{by_mlflow}.log"
    with serve("models:/ner-aaa@champion", f"sqlite:///{folder.parent}/mlflow.db", log, by_mlflow) as server:
        yield server


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    yield from started(folder, by_mlflow=False)


@pytest.fixture(scope="module")
def mlflows_server(folder: Path) -> Iterator[Server]:
    yield from started(folder, by_mlflow=True)


def rounded(rows: list[dict]) -> list[dict]:
    """Batches of other sizes add up in another order."""
    return [row | {"score": round(row["score"], 3)} for row in rows]


def good_requests(number: int) -> list[tuple[list[str], dict[str, object]]]:
    """Batches of texts and parameters, the same at every call."""
    draw = random.Random(0)
    pieces = ["da", "xo", "Kuma", ",", "rono.", "ye\u0301", "\N{GRINNING FACE}", "ọ̀rọ̀", "'an", "\u200b", "  ", "\n"]
    found = []
    for i in range(number):
        texts = [" ".join(draw.choices(pieces, k=draw.choice([0, 1, 5, 40]))) for _ in range(draw.choice([1, 2, 8]))]
        params: list[dict[str, object]] = [{}, {"threshold": 0.6}, {"words": True}, {"words": True, "threshold": 0}]
        found.append((texts, params[i % 4]))
    return found


def answers_rightly(server: Server, model: PyFuncModel, malformed: list[tuple[str | bytes, str | None]]) -> None:
    """150 good requests and the malformed ones, in random order from four clients at once."""
    good = good_requests(150)
    requests: list[tuple[str | bytes, str | None, int | None]] = [
        (payload(texts, **params), "application/json", i) for i, (texts, params) in enumerate(good)
    ]
    requests += [(body, kind, None) for body, kind in malformed]
    random.Random(1).shuffle(requests)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda request: server.post(request[0], request[1]), requests))
    entities = 0
    for (body, _, number), (status, text) in zip(requests, answers, strict=True):
        if number is None:
            assert 400 <= status < 500, (body[:80], status, text[:200])
            assert json.loads(text)["message"] and "stack_trace" not in text and "Traceback" not in text, body[:80]
            assert 'File "' not in text, body[:80]
        else:
            expected = model.predict(good[number][0], params=good[number][1]).to_dict(orient="records")
            assert status == 200 and rounded(json.loads(text)["predictions"]) == rounded(expected)
            entities += len(expected)
    assert entities > 200
    assert server.is_up() and server.process.poll() is None


# --- our server -----------------------------------------------------------------------------------


def test_mixed_requests_are_answered_rightly_or_refused_cleanly(server: Server, model: PyFuncModel) -> None:
    assert len(MALFORMED) == 50 and len(set(MALFORMED)) == 50
    malformed: list[tuple[str | bytes, str | None]] = [(body, "application/json") for body in MALFORMED]
    answers_rightly(server, model, malformed + [(body, kind) for body, kind, _, _ in ODD])


@pytest.mark.parametrize(("body", "content_type", "status", "_mlflows"), ODD)
def test_a_refusal_says_what_is_wrong(
    server: Server, body: str, content_type: str | None, status: int, _mlflows: int
) -> None:
    found, text = server.post(body, content_type)
    answer = json.loads(text)
    assert found == status and set(answer) == {"error_code", "message"}
    assert ("application/json" if status == 415 else "is not allowed") in answer["message"]
    assert len(answer["message"]) <= serving.LONGEST_MESSAGE


def test_other_paths_methods_and_bodies_without_end(server: Server) -> None:
    for method, path, body, status in (
        ("GET", "/invocations", None, 405),
        ("POST", "/elsewhere", b"", 404),
        ("POST", "/invocations", b"x" * (serving.LARGEST_BODY + 1), 413),
    ):
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == status and json.loads(answer.read())["message"], path
    assert server.is_up()


def test_a_client_that_goes_away_harms_nobody(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head(100) + b"{")
    assert server.post(payload(["da xo"]))[0] == 200
    assert "Traceback" not in server.log.read_text()


def test_clients_that_hold_large_bodies_leave_room_for_small_requests(server: Server) -> None:
    with ExitStack() as stack:
        holding = []
        for _ in range(limits.HELD_BYTES // serving.LARGEST_BODY + 1):  # one more than there is room for
            holding.append(stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60)))
            holding[-1].sendall(head(serving.LARGEST_BODY) + b" " * (serving.LARGEST_BODY - 1))
        refused, _, _ = select.select(holding, [], [], 60)
        assert [one.recv(12) for one in refused] == [b"HTTP/1.1 503"]
        assert server.post(payload(["da xo"]))[0] == 200 and server.is_up()


def test_a_port_that_is_taken_and_a_model_that_is_not_there(
    server: Server, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{folder.parent}/mlflow.db"
    with pytest.raises(InputError, match=f"cannot listen on .*:{server.port}: Address already in use"):
        listener("127.0.0.1", server.port)
    with pytest.raises(InputError, match=r"cannot listen on \.\.:0: "):
        listener("..", 0)
    with pytest.raises(InputError, match="language='zzz' has no registered model; registered languages: aaa"):
        serving.serve(build(ServeConfig, {"language": "zzz", "tracking_uri": uri}), listener("127.0.0.1", 0))
    assert capsys.readouterr().out == ""


def test_what_goes_wrong_inside_stays_inside(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(tagger, "read", fail)
    with TestClient(serving.application(tagger), HERE, raise_server_exceptions=False) as client:
        found = client.post("/invocations", json={"inputs": ["a"]})
    assert found.status_code == 500 and "secret" not in found.text and found.json()["message"]


@pytest.fixture(scope="module")
def tagger(folder: Path) -> Tagger:
    return load_tagger(ModelOptions(model=str(folder)), "", "cpu")[0]


@pytest.fixture(scope="module")
def page(tagger: Tagger) -> Iterator[TestClient]:
    with TestClient(serving.application(tagger, "ner-<aaa>"), HERE) as client:
        yield client


def test_the_page_shows_the_entities_of_a_text_that_is_pasted(page: TestClient, model: PyFuncModel) -> None:
    empty = page.get("/")
    assert empty.status_code == 200 and "<h1>ner-&lt;aaa&gt;</h1>" in empty.text and "<mark" not in empty.text
    lines = ["da xo Kuma, kate <b>ba</b> & li", "", "</textarea><script>alert(1)</script>"]
    answer = page.post("/", data={"text": "\r\n".join(lines)})
    assert answer.status_code == 200 and "<script" not in answer.text and "<b>ba" not in answer.text
    assert (
        html.unescape(answer.text.partition('spellcheck="false">\n')[2].partition("</textarea>")[0]).split("\n")
        == lines
    )
    found = re.findall(r'<p dir="auto" data-line="(\d+)">(.*?)</p>', answer.text, re.DOTALL)
    shown = {int(n): html.unescape(re.sub(r"<b>\w+</b></mark>|<mark [^>]*>", "", body)) for n, body in found}
    assert shown == {1: lines[0], 3: lines[2]}
    assert sum(body.count("<mark ") for _, body in found) == len(model.predict([lines[0], lines[2]])) > 3


def test_the_page_allows_its_own_style_and_nothing_else(page: TestClient) -> None:
    for answer in (page.get("/"), page.post("/", data={"text": "da xo"}), page.post("/", content=b"x=1")):
        policy = answer.headers["content-security-policy"]
        (style,) = re.findall(r"<style>(.*)</style>", answer.text, re.DOTALL)
        own = b64encode(sha256(style.encode()).digest()).decode()
        assert policy == (
            f"default-src 'none'; style-src 'sha256-{own}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        assert not re.search(r"<script|<link|<img|src=|url\(|https?:| style=| on\w+=", answer.text)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert 'name="viewport" content="width=device-width, initial-scale=1"' in answer.text


@pytest.mark.parametrize(
    ("content", "headers", "status", "message"),
    [
        (b"", {}, 400, "not what the page&#39;s form sends"),
        (b"text=%ff", {}, 400, "not what the page&#39;s form sends"),
        (b"text=a&text=b", {}, 400, "not what the page&#39;s form sends"),
        (b"text=" + b"a" * (LONGEST_TEXT + 1), {}, 400, "has 100001 characters, more than 100000"),
        (b"text=" + b"a" * serving.LARGEST_BODY, {}, 413, "the body is larger"),
        (b"text=da", {"Sec-Fetch-Site": "cross-site"}, 400, "sent by another site&#39;s page"),
    ],
)
def test_what_the_page_cannot_read_it_says(
    page: TestClient, content: bytes, headers: dict[str, str], status: int, message: str
) -> None:
    answer = page.post("/", content=content, headers=headers)
    assert answer.status_code == status and 'role="alert"' in answer.text and message in answer.text


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example:5001"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
)
def test_another_name_or_another_sites_page_gets_no_answer(page: TestClient, headers: dict[str, str]) -> None:
    """A page elsewhere may let its own name lead here (DNS rebinding), or send requests here without reading."""
    for found in (
        page.get("/", headers=headers),
        page.post("/", data={"text": "da xo"}, headers=headers),
        page.post("/invocations", json={"inputs": ["da xo Kuma"]}, headers=headers),
        page.get("/nowhere", headers=headers),
    ):
        assert found.status_code == 403 and set(found.json()) == {"error_code", "message"}
        assert "is not allowed" in found.json()["message"] and "Kuma" not in found.text
    assert page.get("/ping", headers=headers).status_code == 200  # who only looks whether it lives knows an address


def test_names_that_are_given_are_answered(tagger: Tagger) -> None:
    given = TestClient(serving.application(tagger, names=hosts.allowed("0.0.0.0", ["ner.example.org"])))
    asked = {"Host": "ner.example.org", "Origin": "https://ner.example.org"}
    assert given.post("/invocations", json={"inputs": ["da xo"]}, headers=asked).status_code == 200


def test_requests_under_way_are_answered_when_it_is_asked_to_end(server: Server) -> None:
    """Last of our server: nothing is served afterwards."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request(
            "POST", "/invocations", payload(["da xo Kuma " * 1000] * 40), {"Content-Type": "application/json"}
        )
        assert server.is_up() and server.is_up()  # asked after the long request was sent, so that one has been read
        with socket.create_connection(("127.0.0.1", server.port)) as unfinished:
            unfinished.sendall(head(9))
            log = server.stop()
        answer = connection.getresponse()
        assert answer.status == 200 and json.loads(answer.read())["predictions"]
    assert server.process.returncode == 0 and log.rstrip().endswith("stopped") and "Traceback" not in log


# --- MLflow's own ---------------------------------------------------------------------------------


def test_mlflows_server_gives_the_same_answers(mlflows_server: Server, model: PyFuncModel) -> None:
    answers_rightly(mlflows_server, model, [(body, "application/json") for body in MALFORMED])


@pytest.mark.parametrize(("body", "content_type", "_ours", "status"), ODD)
def test_what_mlflow_answers_before_the_model_sees_it(
    mlflows_server: Server, body: str, content_type: str | None, _ours: int, status: int
) -> None:
    """docs/models.md lists these; a new MLflow may answer better, and the list then changes."""
    assert mlflows_server.post(body, content_type)[0] == status
    assert mlflows_server.is_up()


def test_mlflows_server_takes_a_table_as_csv(mlflows_server: Server, model: PyFuncModel) -> None:
    status, text = mlflows_server.post('text\n"da xo, Kuma"\nli\n', "text/csv")
    assert status == 200
    expected = model.predict(["da xo, Kuma", "li"]).to_dict(orient="records")
    assert expected and rounded(json.loads(text)["predictions"]) == rounded(expected)


def test_a_polite_kill_ends_mlflows_server_cleanly(mlflows_server: Server) -> None:
    log = mlflows_server.stop()
    assert "Waiting for application shutdown" in log and "Application shutdown complete" in log
    assert not mlflows_server.is_up()
