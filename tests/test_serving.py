"""A registered model behind MLflow's own server: right answers, clean refusals, a clean end. One server for all."""

import json
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest
from mlflow.pyfunc import PyFuncModel
from tiny_models import register_tiny_model, save_tiny_mlflow_model

from nertransfer.served import LONGEST_TEXT

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from model_server import Server, serve


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_mlflow_model(tmp_path_factory.mktemp("serving"))


@pytest.fixture(scope="module")
def model(folder: Path) -> PyFuncModel:
    return mlflow.pyfunc.load_model(str(folder))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    uri = f"sqlite:///{folder.parent}/mlflow.db"
    register_tiny_model(uri, "aaa", folder)
    with serve("models:/ner-aaa@champion", uri, folder.parent / "serve.log") as started:
        yield started
        if started.process.poll() is None:
            assert "Application shutdown complete" in started.stop()


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


def test_two_hundred_mixed_requests_are_answered_rightly_or_refused_cleanly(server: Server, model: PyFuncModel) -> None:
    assert len(MALFORMED) == 50 and len(set(MALFORMED)) == 50
    good = good_requests(150)
    requests: list[tuple[str | bytes, int | None]] = [(payload(t, **p), i) for i, (t, p) in enumerate(good)]
    requests += [(body, None) for body in MALFORMED]
    random.Random(1).shuffle(requests)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda request: server.post(request[0]), requests))
    entities = 0
    for (body, number), (status, text) in zip(requests, answers, strict=True):
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


def test_a_table_may_be_sent_as_csv(server: Server, model: PyFuncModel) -> None:
    status, text = server.post('text\n"da xo, Kuma"\nli\n', "text/csv")
    assert status == 200
    expected = model.predict(["da xo, Kuma", "li"]).to_dict(orient="records")
    assert expected and rounded(json.loads(text)["predictions"]) == rounded(expected)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("[" * 100_000, "application/json", 500),
        ('{"inputs": [' + "9" * 5000 + "]}", "application/json", 500),
        (payload(["a"]), None, 500),
        (payload(["a"]), "text/plain", 415),
        (payload(["a"]), "application/json; charset=latin-1", 415),
    ],
)
def test_what_mlflow_answers_before_the_model_sees_it_says_nothing_of_the_inside(
    server: Server, body: str, content_type: str | None, status: int
) -> None:
    """docs/models.md lists these; a new MLflow may answer better, and the list then changes."""
    found, text = server.post(body, content_type)
    assert found == status and "Traceback" not in text and 'File "' not in text
    assert server.is_up()


def test_a_polite_kill_ends_it_cleanly(server: Server) -> None:
    """Last in this file: nothing is served afterwards."""
    log = server.stop()
    assert "Waiting for application shutdown" in log and "Application shutdown complete" in log
    assert not server.is_up()
