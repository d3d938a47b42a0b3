"""What MLflow shows of a study: addresses, the note, the runs table, the compare and the model page in a browser."""

import html
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import analysis_store
import pandas as pd
import pytest
from browser import browser
from folder_store import make_store, opened
from markdown_it import MarkdownIt
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import MAX_EXPERIMENT_TAG_VAL_LENGTH
from playwright.sync_api import Page, sync_playwright
from project_scripts import ROOT, load_script

from analysis.report import experiment_note, report
from nertransfer.commands import mlflow_pages
from nertransfer.core import schema
from nertransfer.core.config import AnalyseConfig, UiConfig
from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions, StoreOptions, TrackingOptions
from nertransfer.tracking import store, ui_links
from nertransfer.tracking.store import client

LANGUAGES = ("aaa", "nya")
HOSTILE = "<img src=x onerror=hacked=1>|*b*"


def parts(address: str) -> tuple[str, dict[str, list[str]]]:
    """The path behind # and its parameters."""
    _, _, page = address.partition("#")
    path, _, query = page.partition("?")
    return path, parse_qs(query)


def test_addresses_lead_to_pages_of_the_study() -> None:
    found = dict(ui_links.listed("http://127.0.0.1:5000/", "7", ["cells", "configurations"], ["ner-hau", "ner-a b"]))
    assert list(found) == ["means over seeds", "every cell", "ner-hau", "ner-a b"]
    assert all(address.startswith("http://127.0.0.1:5000/#/") for address in found.values())
    assert all(parts(address)[1]["workflowType"] == ["machine_learning"] for address in found.values())
    assert parts(found["every cell"])[1]["viewStateShareKey"] == ["cells"]
    assert parts(found["ner-a b"])[0] == "/models/ner-a%20b"


def test_a_study_without_views_has_its_plain_table() -> None:
    ((title, address),) = ui_links.listed("http://h", "7", [], [])
    assert title == "runs" and parts(address) == ("/experiments/7/runs", {"workflowType": ["machine_learning"]})


def test_views_name_tags_and_metrics_that_cells_have() -> None:
    tags = ui_links.view_tags(["hau", "swa"], ["base-hau"], ["r1", "r2"])
    cells = json.loads(tags[ui_links.VIEW_TAG + ui_links.CELLS])
    assert cells["selectedColumns"] == [
        "tags.`start`", "tags.`source`", "tags.`seed`", "metrics.`test_f1/hau`", "metrics.`test_f1/swa`",
    ]  # fmt: skip
    champions = json.loads(tags[ui_links.VIEW_TAG + ui_links.CHAMPIONS])
    assert champions["searchFilter"] == "attributes.run_id IN ('r1', 'r2')"
    assert champions["selectedColumns"] == cells["selectedColumns"]
    assert ui_links.VIEW_TAG + ui_links.CHAMPIONS not in ui_links.view_tags(["hau"], ["base-hau"], [])
    grouped = json.loads(tags[ui_links.VIEW_TAG + ui_links.CONFIGURATIONS])
    assert grouped["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": schema.CONFIGURATION}]


def test_tags_fit_into_mlflow_whatever_the_size_of_the_study() -> None:
    few, many = ([f"adapted-start-{i}-language-{j}" for i in range(n) for j in range(30)] for n in (1, 20))
    folded = [
        json.loads(ui_links.view_tags(["hau"], names, [])[ui_links.VIEW_TAG + ui_links.CONFIGURATIONS])
        for names in (few, many)
    ]
    assert len(folded[0]["groupsExpanded"]) == 30 and "groupsExpanded" not in folded[1]
    assert folded[1]["groupBy"] == folded[0]["groupBy"]
    for targets in (["hau"], [f"language-{i}" for i in range(2000)]):
        tags = ui_links.view_tags(targets, many, [f"{i:032x}" for i in range(100)])
        assert all(len(text) <= MAX_EXPERIMENT_TAG_VAL_LENGTH for text in tags.values())
        assert len(tags) == (4 if len(targets) == 1 else 0)


def test_a_tag_that_the_server_refuses_costs_no_report(capsys: pytest.CaptureFixture[str]) -> None:
    there = {}

    class Server:
        def set_experiment_tag(self, experiment: str, key: str, value: str) -> None:
            if len(value) > 5:
                raise MlflowException("too long")
            there[key] = value

    report._describe(Server(), "7", {"long": "123456", "short": "12"})  # type: ignore[arg-type]
    assert there == {"short": "12"} and "without long: too long" in capsys.readouterr().err


def test_a_note_has_no_markup_of_others() -> None:
    text = experiment_note.table(pd.DataFrame({HOSTILE: [12.34, float("nan")]}, index=["a|b", "c"]))
    assert text.count("\n") == 3 and not re.search(r"[<>]", text)
    rendered = MarkdownIt("commonmark").enable("table").render(text)
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", rendered)
    read = [html.unescape(cell).strip() for cell in cells]
    assert read == ["", HOSTILE, "a|b", "12.3", "c", "n/a"] and "<em>" not in rendered


# --- in a browser ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A store with a study of four configurations, analysed, and a registered model: its address and experiment."""
    folder = tmp_path_factory.mktemp("study")
    uri = f"sqlite:///{make_store(folder)}"
    opened = client(uri)
    experiment = opened.create_experiment("study", artifact_location=(folder / "artifacts").as_uri())
    runs = [
        analysis_store.log_cell(
            opened, experiment, (start, source, seed), LANGUAGES, tags={schema.CONFIGURATION: f"{start}-{source}"}
        )
        for start in ("base", HOSTILE)
        for source in LANGUAGES
        for seed in (0, 1)
    ]
    tracking = TrackingOptions(study="study", tracking_uri=uri)
    report.write(AnalyseConfig(DataOptions(str(folder / "none")), tracking, output=str(folder / "out")))
    opened.create_registered_model("ner-aaa", description=f"A model. {HOSTILE}")
    opened.create_model_version("ner-aaa", source=(folder / "artifacts").as_uri(), run_id=runs[0], tags={"seed": "0"})
    opened.set_registered_model_alias("ner-aaa", schema.CHAMPION, "1")
    return uri, experiment


@pytest.fixture(scope="module")
def links(study: tuple[str, str]) -> Iterator[dict[str, str]]:
    """What the entry point ``ui`` prints, once its server answers."""
    command = [sys.executable, str(ROOT / "entrypoints" / "ui.py"), "--port", "0", "--tracking_uri", study[0]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout is not None
        head = [running.stdout.readline() for _ in range(2)]
        assert head == ["in MLflow (Ctrl-C stops):\n", "study study\n"]
        found: dict[str, str] = {}
        for line in iter(running.stdout.readline, ""):
            title, address = re.fullmatch(r"  (.+?) +(http://\S+)\n", line).groups()  # type: ignore[union-attr]
            found[title] = address
            if title == "ner-aaa":
                break
        address = found["every cell"].partition("#")[0]
        with urllib.request.urlopen(f"{address}health", timeout=120) as answer:  # waits until it is loaded
            assert answer.read() == b"OK"
        yield found
        port = int(address.rpartition(":")[2].strip("/"))
        with socket.create_connection(("127.0.0.1", port)) as unfinished:
            unfinished.sendall(b"POST /ajax-api/2.0/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
            running.send_signal(signal.SIGTERM)
            assert running.wait(15) == 0  # without the rest of the request
        said = [line for line in running.stdout if "invalid Host header: evil.example" not in line]
        assert said == ["stopped\n"]  # nothing else of libraries


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        shown = opened.new_page(viewport={"width": 1600, "height": 1000})
        shown.set_default_timeout(60_000)
        yield shown
        opened.close()


def test_pages_show_the_study(links: dict[str, str], page: Page) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    assert list(links) == ["means over seeds", "champions compared", "every cell", "charts", "ner-aaa"]

    page.goto(links["means over seeds"])
    page.get_by_text("Group: base-aaa").wait_for()
    heads = page.get_by_role("columnheader")
    assert [heads.filter(has_text=f"test_f1/{target}").count() > 0 for target in LANGUAGES] == [True, True]
    note = page.get_by_text("Which start").first
    note.wait_for(state="attached")
    assert page.evaluate("typeof hacked") == "undefined" and page.locator("img[src=x]").count() == 0

    page.goto("about:blank")  # the pages keep their state while only what is behind # changes
    page.goto(links["every cell"])
    page.get_by_role("link", name="base-aaa-s1").wait_for()
    assert page.get_by_text("8 matching runs").count() == 1

    page.goto("about:blank")
    page.goto(links["champions compared"])
    page.get_by_text("2 matching runs").wait_for()  # one a source
    assert [heads.filter(has_text=f"test_f1/{target}").count() > 0 for target in LANGUAGES] == [True, True]
    assert page.get_by_text("train_loss").count() == 0

    page.goto("about:blank")
    page.goto(links["charts"])
    page.get_by_text("Start, source, seed and test F1").wait_for()
    page.get_by_text("Test F1 by target").wait_for()
    page.locator(".js-plotly-plot").first.wait_for()

    page.goto("about:blank")
    page.goto(links["ner-aaa"])
    page.get_by_text("Version 1").first.wait_for()
    page.get_by_text(schema.CHAMPION).first.wait_for()
    assert page.evaluate("typeof hacked") == "undefined" and not errors


def test_a_site_that_lets_its_own_name_lead_here_gets_no_answer(links: dict[str, str]) -> None:
    """DNS rebinding: MLflow's own check, which its command has, is on."""
    address = f"{links['every cell'].partition('#')[0]}ajax-api/2.0/mlflow/experiments/search?max_results=9"
    assert b"study" in urllib.request.urlopen(address, timeout=60).read()
    elsewhere = urllib.request.Request(address, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(elsewhere, timeout=60)


# --- the entry point ----------------------------------------------------------------------------------------


def log_study(client: MlflowClient, name: str, ended: int) -> str:
    experiment = client.create_experiment(name)
    analysis_store.log_cell(client, experiment, ("base", "aaa", 0), ("aaa",), ended=ended)
    return experiment


def test_the_newest_study_is_listed_first_and_those_without_a_cell_are_not(tmp_path: Path) -> None:
    study = opened(tmp_path, "unused")
    opened_store = study.client
    first, second = log_study(opened_store, "first", 1), log_study(opened_store, "second", 3)
    log_study(opened_store, "third", 2)
    opened_store.create_experiment("empty")
    lines = mlflow_pages.overview(opened_store, "http://h:1").splitlines()
    assert lines[:2] == ["in MLflow:", "study second"] and lines[3] == "other studies"
    assert lines[2].split() == ["runs", f"http://h:1/#/experiments/{second}/runs?workflowType=machine_learning"]
    assert lines[5].split() == ["first", f"http://h:1/#/experiments/{first}/runs?workflowType=machine_learning"]
    assert lines[4].split()[0] == "third" and len(lines) == 6


def test_a_store_without_a_study_says_so(tmp_path: Path) -> None:
    empty = opened(tmp_path, "unused").client
    empty.create_experiment("empty")
    shown = mlflow_pages.overview(empty, "http://h:1")
    assert shown.startswith("no study is in sqlite:///") and "yet; MLflow is at http://h:1/#/experiments?" in shown


def test_a_study_says_how_to_start_the_server_of_its_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    made = opened(tmp_path, "unused").client
    experiment = log_study(made, "mine", 1)
    head, page = mlflow_pages.of_study(made, experiment).splitlines()
    assert head == f"in MLflow (start it with: python {ROOT}/entrypoints/ui.py --tracking_uri {made.tracking_uri}):"
    assert f" http://127.0.0.1:{UiConfig.port}/#/experiments/{experiment}/runs?" in page
    monkeypatch.setenv("PATH", str(tmp_path))  # this Python is not the one that is called so
    assert f"(start it with: {sys.executable} /" in mlflow_pages.of_study(made, experiment)


@pytest.mark.parametrize("script", ["ui.py", "serve.py"])
def test_a_port_that_is_taken_is_one_line_before_anything_is_loaded(script: str) -> None:
    loads = (
        "import runpy, sys; del sys.argv[0]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: print(sorted({'mlflow', 'torch', 'uvicorn'} & set(sys.modules)))"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-c", loads, str(ROOT / "entrypoints" / script), "--port", str(port)]
        environment = os.environ | {"MLFLOW_TRACKING_URI": ""}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert (done.returncode, done.stdout) == (2, "[]\n")
    assert done.stderr == (
        f"error: cannot listen on 127.0.0.1:{port}: Address already in use; choose another port with port=<number>\n"
    )


def test_a_database_that_is_not_there_is_an_error_and_none_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(InputError, match=r"there is no MLflow database /.*/mlflow\.db; run a study first"):
        load_script(ROOT / "entrypoints" / "ui.py").main(UiConfig(port=0))
    assert not list(tmp_path.iterdir())


def test_a_store_that_has_a_server_needs_neither_another_one_nor_a_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = opened(tmp_path, "unused").client
    log_study(made, "mine", 1)
    monkeypatch.setattr(store, "client", lambda *_: made)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        served = UiConfig(port=port, tracking=StoreOptions("http://me:secret@host:5000"))
        load_script(ROOT / "entrypoints" / "ui.py").main(served)
    shown = capsys.readouterr().out
    assert "study mine\n  runs                 http://host:5000/#/" in shown and "Ctrl-C" not in shown
