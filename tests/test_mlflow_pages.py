"""What MLflow shows of a study: addresses, the note, the runs table, the compare and the model page in a browser."""

import html
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from urllib.parse import parse_qs

import analysis_store as made
import pandas as pd
import pytest
from browser import browser
from markdown_it import MarkdownIt
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import MAX_EXPERIMENT_TAG_VAL_LENGTH
from playwright.sync_api import Page, sync_playwright

from analysis import experiment_note, report
from nertransfer import pages, schema
from nertransfer.config import AnalyseConfig, DataOptions, TrackingOptions
from nertransfer.store import client

LANGUAGES = ("aaa", "nya")
HOSTILE = "<img src=x onerror=hacked=1>|*b*"


def parts(address: str) -> tuple[str, dict[str, list[str]]]:
    """The path behind # and its parameters."""
    _, _, page = address.partition("#")
    path, _, query = page.partition("?")
    return path, parse_qs(query)


def test_addresses_lead_to_pages_of_the_study() -> None:
    found = dict(pages.listed("http://127.0.0.1:5000/", "7", {"ner-hau": "r1", "ner-a b": "r2"}))
    assert list(found) == ["every cell", "means over seeds", "champions compared", "ner-hau", "ner-a b"]
    assert all(address.startswith("http://127.0.0.1:5000/#/") for address in found.values())
    assert all(parts(address)[1]["workflowType"] == ["machine_learning"] for address in found.values())
    path, query = parts(found["champions compared"])
    assert path == "/compare-runs" and json.loads(query["runs"][0]) == ["r1", "r2"]
    assert json.loads(query["experiments"][0]) == ["7"]
    assert parts(found["ner-a b"])[0] == "/models/ner-a%20b"
    assert "champions compared" not in dict(pages.listed("http://h", "7", {"ner-hau": "r1"}))


def test_views_name_tags_and_metrics_that_cells_have() -> None:
    tags = pages.view_tags(["hau", "swa"], ["base-hau"])
    cells = json.loads(tags[pages.VIEW_TAG + pages.CELLS])
    assert cells["selectedColumns"] == [
        "tags.`start`", "tags.`source`", "tags.`seed`", "metrics.`test_f1/hau`", "metrics.`test_f1/swa`",
    ]  # fmt: skip
    grouped = json.loads(tags[pages.VIEW_TAG + pages.CONFIGURATIONS])
    assert grouped["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": schema.CONFIGURATION}]


def test_tags_fit_into_mlflow_whatever_the_size_of_the_study() -> None:
    few, many = ([f"adapted-start-{i}-language-{j}" for i in range(n) for j in range(30)] for n in (1, 20))
    folded = [
        json.loads(pages.view_tags(["hau"], names)[pages.VIEW_TAG + pages.CONFIGURATIONS]) for names in (few, many)
    ]
    assert len(folded[0]["groupsExpanded"]) == 30 and "groupsExpanded" not in folded[1]
    assert folded[1]["groupBy"] == folded[0]["groupBy"]
    for targets in (["hau"], [f"language-{i}" for i in range(2000)]):
        tags = pages.view_tags(targets, many)
        assert all(len(text) <= MAX_EXPERIMENT_TAG_VAL_LENGTH for text in tags.values())
        assert len(tags) == (2 if len(targets) == 1 else 0)


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
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    opened = client(uri)
    experiment = opened.create_experiment("study", artifact_location=(folder / "artifacts").as_uri())
    runs = [
        made.log_cell(
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
def server(study: tuple[str, str]) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
               "--backend-store-uri", study[0]]  # fmt: skip
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                assert running.poll() is None and time.monotonic() < deadline, "the server did not start"
                time.sleep(0.3)
        yield address
        running.terminate()


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        shown = opened.new_page(viewport={"width": 1600, "height": 1000})
        shown.set_default_timeout(60_000)
        yield shown
        opened.close()


def test_pages_show_the_study(study: tuple[str, str], server: str, page: Page) -> None:
    uri, experiment = study
    run = client(uri).get_model_version_by_alias("ner-aaa", schema.CHAMPION).run_id
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    links = dict(pages.listed(server, experiment, {"ner-aaa": run, "ner-x": run}))

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
    page.get_by_text("Comparing").first.wait_for()

    page.goto("about:blank")
    page.goto(links["ner-aaa"])
    page.get_by_text("Version 1").first.wait_for()
    page.get_by_text(schema.CHAMPION).first.wait_for()
    assert page.evaluate("typeof hacked") == "undefined" and not errors
