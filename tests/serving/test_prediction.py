"""The predict entry point: text or columns in, columns, JSON lines or a page out, with any registered model."""

import html
import importlib.util
import io
import json
import re
import shlex
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import mlflow
import mlflow.models.cli
import pytest
from folder_store import make_store
from mlflow import MlflowClient
from project_scripts import ROOT
from tiny_models import register_tiny_model, save_tiny_mlflow_model

from nertransfer.commands.run import run
from nertransfer.core.commandline import build
from nertransfer.core.config import PredictConfig
from nertransfer.core.errors import InputError
from nertransfer.corpora.labels import stray_positions
from nertransfer.registry import tagger
from nertransfer.serving import prediction, rendering

LINES = ["da xo Kuma, kate <b>ba</b> & li", "", "  rono \N{GRINNING FACE} o\u0323ru\u0300ko da", "\"ye\" 'an' ba"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store in which ner-aaa is registered, and ner-bbb, which has no champion yet."""
    folder = tmp_path_factory.mktemp("prediction")
    uri = f"sqlite:///{make_store(folder)}"
    register_tiny_model(uri, "aaa", save_tiny_mlflow_model(folder))
    MlflowClient(tracking_uri=uri, registry_uri=uri).create_registered_model("ner-bbb")
    MlflowClient(tracking_uri=uri, registry_uri=uri).create_registered_model("something-else")
    return folder


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_bytes("\r\n".join(LINES).encode())
    return path


def configuration(store: Path, path: Path, **given: str) -> PredictConfig:
    chosen = {} if "model" in given else {"language": "aaa"}
    return build(PredictConfig, {"input": str(path), "tracking_uri": f"sqlite:///{store}/mlflow.db"} | chosen | given)


def test_json_lines_say_where_each_entity_stands_in_which_line(store: Path, text: Path) -> None:
    outcome = prediction.predict(configuration(store, text))
    assert outcome.output == text.with_name("text.entities.jsonl")
    rows = [json.loads(line) for line in outcome.output.read_text(encoding="utf-8").splitlines()]
    assert [(row["line"], row["text"]) for row in rows] == [(i + 1, line) for i, line in enumerate(LINES) if line]
    entities = [(row["text"], entity) for row in rows for entity in row["entities"]]
    assert len(entities) == outcome.entities > 3
    assert all(text[e["start"] : e["end"]] == e["text"] and 0 < e["score"] <= 1 for text, e in entities)


def test_columns_keep_every_word_and_get_valid_tags(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "test.txt"
    path.write_text("-DOCSTART- O\n\nda O\nx,o B-ORG\n\u00a0y O\n\n\nba I-PER\nli O", encoding="utf-8")
    outcome = prediction.predict(configuration(store, path, input_format="conll", format="conll"))
    blocks = [
        [row.split(" ") for row in block.split("\n")] for block in outcome.output.read_text().strip().split("\n\n")
    ]
    assert [[word for word, _ in block] for block in blocks] == [["da", "x,o", "\u00a0y"], ["ba", "li"]]
    assert not any(stray_positions([tag for _, tag in block]) for block in blocks)
    assert {tag for block in blocks for _, tag in block} <= {"O", "B-PER", "I-PER", "B-LOC", "I-LOC"}
    again = prediction.predict(configuration(store, outcome.output, input_format="conll", format="jsonl"))
    assert again.entities == outcome.entities
    lines = [json.loads(line) for line in again.output.read_text(encoding="utf-8").splitlines()]
    assert [(row["line"], row["text"]) for row in lines] == [(1, "da x,o \u00a0y"), (5, "ba li")]


def test_the_page_shows_the_text_unchanged_and_loads_nothing(store: Path, text: Path) -> None:
    outcome = prediction.predict(configuration(store, text, format="html"))
    page = outcome.output.read_text(encoding="utf-8")
    assert "<b>ba</b>" not in page  # the text's own markup is text
    assert not re.search(r"<script|<link|<img|src=|url\(|https?:", page)
    paragraphs = re.findall(r'<p dir="auto" data-line="(\d+)">(.*?)</p>', page, re.DOTALL)
    shown = {int(n): html.unescape(re.sub(r"<b>\w+</b></mark>|<mark [^>]*>", "", body)) for n, body in paragraphs}
    assert shown == {i + 1: line for i, line in enumerate(LINES) if line}
    assert page.count("<mark ") - len(set(re.findall(r"<b>(\w+)</b>", page))) == outcome.entities


def test_marks_are_told_apart_by_colour_and_by_label() -> None:
    entities = tuple(tagger.Entity(f"C{i}", i, i + 1, 2 * i, 2 * i + 1, 0.5) for i in range(9))
    page = rendering.page("t", [1], [tagger.Tagged("a b c d e f g h i", (), entities)])
    assert " in 1 text</div>" in page
    body = page.partition("<p ")[2]
    assert re.findall(r"<b>(C\d)</b>", body) == [f"C{i}" for i in range(9)]
    assert len(set(re.findall(r'class="c(\d)"', body))) == len(rendering.COLOURS)
    assert all(f"mark.c{i} {{ background: {colour}; }}" in page for i, colour in enumerate(rendering.COLOURS))
    style, policy = re.search(r"<style>(.*)</style>", page, re.DOTALL), re.search(r'Policy" content="(.*?)"', page)
    assert style is not None and policy is not None and "unsafe" not in policy[1]
    assert f"'sha256-{b64encode(sha256(style[1].encode()).digest()).decode()}'" in policy[1]


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """What is called with what comes in on standard input."""

    def given(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return given


def test_a_sentence_is_tagged_and_printed(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = prediction.predict(configuration(store, Path(LINES[0])))
    (tmp_path / "text.txt").write_text(LINES[0])
    entities = json.loads(prediction.predict(configuration(store, Path("text.txt"))).output.read_text())["entities"]
    assert outcome.output is None and outcome.texts == 1 and outcome.entities == len(entities) > 1
    marked, *rows = outcome.printed.splitlines()
    assert re.sub(r"\[(?:LOC|PER) (.*?)\]", r"\1", marked) == LINES[0]
    assert [row.split() for row in rows] == [
        [e["category"], *e["text"].split(), f"{e['start']}-{e['end']}", f"{e['score']:.2f}"] for e in entities
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"text.txt", "text.entities.jsonl"}
    long = "da xo kate " * 2000  # no name of a file could be as long
    assert prediction.predict(configuration(store, Path(long))).entities > 1000
    assert prediction.predict(configuration(store, Path("Kano"))).texts == 1


def test_standard_input_is_read_where_it_is_asked_for_or_piped_in(
    store: Path, tmp_path: Path, piped: Callable[[bytes], None]
) -> None:
    for given, data in (("-", "\n".join(LINES)), (" ", LINES[0]), ("-", "\ufeff" + LINES[0])):
        piped(data.encode())
        outcome = prediction.predict(configuration(store, Path(given), format="jsonl"))
        assert [json.loads(line)["text"] for line in outcome.printed.splitlines()] == [
            line for line in data.removeprefix("\ufeff").split("\n") if line
        ]
    piped(b"da O\nxo B-PER\n\nli O\n")
    given = {"input_format": "conll", "format": "conll", "output": str(tmp_path / "found")}
    outcome = prediction.predict(configuration(store, Path("-"), **given))
    assert (outcome.texts, outcome.printed) == (2, "") and (tmp_path / "found").read_text().startswith("da ")
    for data, message in ((b"", "standard input:1: there is no text"), (b"da\n\xff", "standard input:2: not UTF-8")):
        piped(data)
        with pytest.raises(InputError, match=message):
            prediction.predict(configuration(store, Path("-")))
    sys.stdin.isatty = lambda: True  # type: ignore[method-assign]
    with pytest.raises(InputError, match="input is missing: a sentence in quotes, a UTF-8 file, or - for standard"):
        prediction.predict(configuration(store, Path(" ")))


@pytest.mark.parametrize("text", ["news.txt", "my news.txt", "./news", "texts/news", "/data/my news", "~/x", "a\\b.c"])
def test_the_name_of_a_file_that_is_not_there_is_no_text(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file; if it is text, pipe it in"):
        prediction.given(text)


@pytest.mark.parametrize("text", ["Kano", "Kano.", "Sani ya tafi Kano.", "U.S.", "24/7 in Kano", "see a/b.txt here"])
def test_what_is_no_name_of_a_file_is_text(text: str) -> None:
    assert prediction.given(text) == prediction.Source(text, "the text")


def test_a_terminal_gets_colours_and_obeys_nothing_that_stands_in_a_text() -> None:
    entities = (tagger.Entity("PER", 0, 1, 0, 4, 0.5), tagger.Entity("LOC", 2, 3, 10, 14, 0.25))
    texts = [tagger.Tagged("Sani \x1b[2J Kano\x07", (), entities), tagger.Tagged("li\u009b", (), ())]
    plain, coloured = rendering.marked(texts), rendering.marked(texts, colours=True)
    assert plain == (
        "[PER Sani] \ufffd[2J [LOC Kano]\ufffd\n  PER  Sani  0-4    0.50\n  LOC  Kano  10-14  0.25\n\n"
        "li\ufffd\n  no entities\n"
    )
    assert "\x1b[30;48;5;172m Sani \x1b[1mPER \x1b[0m" in coloured and "\x1b[30;48;5;74m Kano " in coloured
    sent = re.sub(r"\x1b\[(?:30;48;5;\d+|1|0)m", "", coloured)
    assert not set(sent) & set("\x1b\x07\u009b") and rendering.visible("a\tb\u0301 é") == "a\tb\u0301 é"


def test_a_start_a_uri_and_folders_name_the_same_model(store: Path, text: Path) -> None:
    chosen = [
        {"start": "tiny"},
        {"model": "models:/ner-aaa@champion"},
        {"model": "models:/ner-aaa/1"},
        {"model": str(store / "mlflow_model")},
        {"model": str(store / "tagger")},
    ]
    outcomes = [prediction.predict(configuration(store, text, output=str(text) + ".out", **one)) for one in chosen]
    champion = prediction.predict(configuration(store, text)).output.read_text()
    assert all(outcome.output.read_text() == champion for outcome in outcomes)


def test_a_model_of_other_words_than_those_of_running_text_says_so(
    store: Path, text: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One of words that a dictionary segmented finds few of them in running text: F1 there is not what it was."""
    shutil.copytree(store / "tagger", tmp_path / "tagger")
    config = tmp_path / "tagger" / "config.json"
    for found, told in ((0.99, 0), (0.4, 1)):
        cut = {"nertransfer_words": {"rule": "characters", "found": found}}
        config.write_text(json.dumps(json.loads(config.read_text()) | cut), encoding="utf-8")
        caplog.clear()
        prediction.predict(configuration(store, text, model=str(tmp_path / "tagger")))
        assert sum("only 40 % of them" in record.message for record in caplog.records) == told
    caplog.clear()
    columns = tmp_path / "words.txt"
    columns.write_text("da O\nxo O\n", encoding="utf-8")
    prediction.predict(configuration(store, columns, model=str(tmp_path / "tagger"), input_format="conll"))
    assert not caplog.records


def test_the_threshold_counts(store: Path, text: Path) -> None:
    every = prediction.predict(configuration(store, text)).entities
    assert 0 < prediction.predict(configuration(store, text, threshold="0.6")).entities < every


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"language": ""}, "registered languages: aaa, bbb$"),
        ({"language": "zzz"}, "language='zzz' has no registered model; registered languages: aaa, bbb$"),
        ({"language": "bbb"}, "a champion is not registered for bbb; registered starts: none yet"),
        ({"start": "swa"}, "start='swa' is not registered for aaa; registered starts: tiny$"),
        ({"model": "models:/ner-zzz@champion"}, "registered models: models:/ner-aaa@champion"),
        ({"model": "nowhere"}, "'nowhere' is unknown"),
        ({"model": "models:/ner-aaa@champion", "start": "tiny"}, "not beside model"),
        ({"threshold": "1.5"}, "threshold=1.5 is not allowed"),
        ({"input": "nowhere.txt"}, "input='nowhere.txt': there is no such file"),
        ({"input": "."}, r"input='\.' is not allowed: a file that exists, and this is a folder"),
        ({"output": "x" * 252}, "output: the name x+ is too long for a file; give a shorter output"),
        ({"output": "text.txt"}, "a file other than the input"),
        ({"output": "text.txt/found"}, "output: the folder /.*/text.txt cannot be made: File exists"),
        ({"input_format": "conll"}, "text.txt:3: no word in the first column of .*running text is input_format=text"),
        ({"tracking_uri": "sqlite:///nowhere.db"}, "nowhere.db"),
    ],
)
def test_bad_input_names_what_there_is_and_writes_nothing(
    store: Path, text: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], message: str
) -> None:
    monkeypatch.chdir(text.parent)
    with pytest.raises(InputError, match=message):
        prediction.predict(configuration(store, text, **given))
    assert sorted(path.name for path in text.parent.iterdir()) == ["text.txt"]


@pytest.mark.parametrize(
    ("content", "input_format", "message"),
    [
        (b"da O\nxo B-PER\n\nba O\n", "text", "bad.txt:1: every line ends in an IOB2 tag; give input_format=conll"),
        (b"da\n\xff\n", "text", "bad.txt:2: not UTF-8"),
        (b" \n\n", "text", "there is no text"),
        (b"\n\n", "conll", "there is no sentence"),
        (b"da O\n O\n", "conll", "bad.txt:2: no word in the first column"),
        (b"da O\nxo ye O\n", "conll", "bad.txt:2: 3 columns in .*, but 2 before"),
        (b"1 da O\n2 xo O\n\n1 ba O\n2 ye O\n", "conll", "bad.txt:1: the first column holds numbers"),
        (b"sw:da O\nsw:xo O\n", "conll", "bad.txt:1: every word of the file begins with 'sw:'"),
        (b"# sent_id = 1\nda O\n", "conll", "bad.txt:1: .* is a comment; leave out such lines"),
        (b'{"text": "da xo"}\n{"text": "ba"}\n', "text", "bad.txt:1: this is JSON, not text"),
        (b'{"text": "da xo"}\n', "text", "bad.txt:1: this is JSON, not text"),
        (b'[{"text": "da xo"},\n {"text": "ba"}]\n', "text", "bad.txt:1: this is JSON, not text"),
        (b"id\ttext\n1\tda xo\n2\tba\n", "text", "bad.txt:1: this is a table, not text"),
        (b"<html><body>da xo</body></html>\n<p>\n", "text", "bad.txt:1: this is XML or HTML, not text"),
    ],
)
def test_a_file_that_is_not_what_it_is_said_to_be_is_not_read(
    store: Path, tmp_path: Path, content: bytes, input_format: str, message: str
) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        prediction.predict(configuration(store, path, input_format=input_format))


def test_an_interrupt_leaves_the_earlier_output_as_it_was(
    store: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = prediction.predict(configuration(store, text)).output.read_bytes()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tagger.Tagger, "read", stop)
    with pytest.raises(KeyboardInterrupt):
        prediction.predict(configuration(store, text, threshold="0.9"))
    assert text.with_name("text.entities.jsonl").read_bytes() == before
    assert len(list(text.parent.iterdir())) == 2


def test_the_script_says_what_it_wrote(
    store: Path, text: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("predict_script", ROOT / "entrypoints" / "predict.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    arguments = ["--input", str(text), "--language", "aaa", "--tracking_uri", f"sqlite:///{store}/mlflow.db"]
    run(PredictConfig, script.main, "", arguments)
    assert re.search(r"\d+ entities in 3 texts: .*text.entities.jsonl$", capsys.readouterr().out.strip())
    monkeypatch.setattr(prediction, "predict", lambda *_, **__: prediction.Outcome(Path("out"), 1, 1))
    run(PredictConfig, script.main, "", arguments)
    assert capsys.readouterr().out == "1 entity in 1 text: out\n"
    monkeypatch.setattr(prediction, "predict", lambda *_, **__: prediction.Outcome(None, 1, 1, "[PER Sani]\n"))
    run(PredictConfig, script.main, "", arguments)
    assert capsys.readouterr().out == "[PER Sani]\n"


# --- the documentation ----------------------------------------------------------------------------


DOCS = [ROOT / "README.md", ROOT / "docs" / "models.md"]


@pytest.fixture(scope="module")
def documented(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose store has the model that the documentation speaks of."""
    folder = tmp_path_factory.mktemp("documented")
    register_tiny_model(f"sqlite:///{folder}/mlflow.db", "hau", store / "mlflow_model")
    return folder


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.stem)
def test_documented_python_runs(documented: Path, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(import mlflow\n.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(documented)
    names: dict = {}
    exec(code, names)
    if page.stem == "models":
        assert set(names["table"].columns) == set(tagger.COLUMNS) and names["spans"][0]["entity_group"]


def test_documented_requests_are_answered(store: Path) -> None:
    bodies = re.findall(r"-d '(\{.*\})'", (ROOT / "docs" / "models.md").read_text(encoding="utf-8"))
    assert len(bodies) == 2
    model = mlflow.pyfunc.load_model(str(store / "mlflow_model"))
    for body in map(json.loads, bodies):
        assert len(model.predict(body["inputs"], params=body.get("params")))


def test_documented_mlflow_commands_have_options_that_exist() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCS)
    found = re.findall(r"^mlflow models ([\w-]+) (.*)$", text, re.MULTILINE)
    assert {name for name, _ in found} == {"serve", "generate-dockerfile"}
    for name, rest in found:
        command = mlflow.models.cli.commands.commands[name]
        command.make_context(name, shlex.split(rest))  # raises where an option is unknown
