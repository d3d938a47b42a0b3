"""The report of a study: files, page, artifacts; and that a failed one changes nothing."""

import csv
import io
import re
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import analysis_store as made
import pytest
from folder_store import make_store
from latex_check import check_latex
from mlflow import MlflowClient
from project_scripts import ROOT
from report_page import Page

from analysis.reading import read, scored_corpora
from analysis.report import figures as report_figures
from analysis.report import report
from analysis.statistics import tables
from nertransfer.core.config import AnalyseConfig
from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions, TrackingOptions
from nertransfer.tracking.store import all_runs, client

HOSTILE = "<script>alert('x')<& .."


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    address = f"sqlite:///{make_store(folder)}"
    opened = client(address)
    made.log_flawed_study(opened, "flawed", folder / "artifacts")
    hostile = opened.create_experiment(HOSTILE, artifact_location=(folder / "artifacts").as_uri())
    for cell in (("<b>bold", "nya", 0), ("../../up", "nya", 0)):
        made.log_cell(opened, hostile, cell, ["nya"], tags={"cell_key": "<i>key", "family/nya": "<u>family"})
    opened.create_experiment("empty", artifact_location=(folder / "artifacts").as_uri())
    return address


def write(uri: str, study: str, output: Path) -> Path:
    return report.write(AnalyseConfig(tracking=TrackingOptions(study=study, tracking_uri=uri), output=str(output)))


def analysis_runs(opened: MlflowClient, study: str) -> list:
    experiment = opened.get_experiment_by_name(study).experiment_id
    return all_runs(opened, experiment, "tags.kind = 'analysis'")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def index(uri: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(uri, "flawed", tmp_path_factory.mktemp("out"))


def test_files(index: Path) -> None:
    names = set(contents(index.parent))
    tabular = {
        "results", "overall", "best_source", "by_relation", "by_category", "by_mode", "missing", "duplicates", "cells",
        "pretraining", "categories", "model_cards", "audit", "answers", "adapted_to_target", "excluded", "collapsed",
        "consequences",
    }  # fmt: skip
    statistics = {
        "intervals",
        "differences",
        "ranks",
        "starts",
        "rank_agreement",
        "seeds_needed",
        "mixed_model",
        "claims",
        "adaptation",
        "in_language_starts",
        "start_pairs",
    }
    matrices = [*made.STARTS, "own"]
    kinds = ("", ".sd", ".n", ".zero-shot")
    less = [f"{name}-minus-base" for name in matrices if name != "base"]
    folders = ("transfer", *(f"transfer/{category}" for category in made.CATEGORIES))
    figures = [*made.STARTS, "pretraining", "aaa-minus-base", "bbb-minus-base"]
    figures += [f"base-{category}" for category in made.CATEGORIES]
    papers = {"pretraining", "categories", "model_cards", "answers", "starts"}
    papers |= {f"transfer-{name}" for name in (*matrices, *less)}
    assert names == (
        {"index.html"} | {f"{name}.csv" for name in tabular} | {f"statistics/{name}.csv" for name in statistics}
        | {f"{folder}/{name}{kind}.csv" for folder in folders for name in matrices for kind in kinds}
        | {f"{folder}/{name}.csv" for folder in folders for name in less}
        | {"ranking/judged.csv", "ranking/leave_one_out.csv"}
        | {f"audit/{name}.csv" for name in ("missing", "unequal_seeds", "duplicates", "invalid_tags", "selection")}
        | {f"tables/{name}.{kind}" for name in papers for kind in ("tex", "md")}
        | {f"figures/{name}.{kind}" for name in figures for kind in ("png", "pdf")}
        | {f"figures/{name}-column.pdf" for name in figures if name != "pretraining"}
    )  # fmt: skip
    for name in figures:
        assert (index.parent / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (index.parent / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")


def test_transfer_table_has_the_numbers(index: Path) -> None:
    rows = {r["source"]: r for r in csv.DictReader((index.parent / "transfer/base.csv").open())}
    assert list(rows) == ["zed", "nya", "aaa", "bbb", "zero-shot"]  # by family: isolate, north, south
    values = {
        (a, b): sum(100 * made.f1("base", a, seed, b) for seed in made.SEEDS) / 3
        for a in made.LANGUAGES
        for b in made.LANGUAGES
    }
    for (source, target), value in values.items():
        assert float(rows[source][target]) == pytest.approx(value, abs=1e-6)
    others = sum(values["nya", b] for b in made.LANGUAGES if b != "nya") / 3
    assert float(rows["nya"]["zero-shot"]) == pytest.approx(others, abs=1e-6)
    assert float(rows["nya"]["in-language"]) == pytest.approx(values["nya", "nya"], abs=1e-6)
    own = sum(values[a, a] for a in made.LANGUAGES) / 4
    assert float(rows["zero-shot"]["in-language"]) == pytest.approx(own, abs=1e-6)


def test_a_target_that_lacks_a_category_is_not_in_its_matrices(tmp_path: Path) -> None:
    """zed has no PER: where a model predicted one its F1 is 0, where none did there is no score."""
    opened = client(f"sqlite:///{make_store(tmp_path)}")
    experiment = opened.create_experiment("lacking", artifact_location=(tmp_path / "artifacts").as_uri())
    languages, seeds = ["nya", "aaa", "zed"], [0, 1]
    cells = [(start, source, seed) for start in ("base", "aaa") for source in languages for seed in seeds]
    made.log_plan(opened, experiment, starts=["base", "aaa"], sources=languages, targets=languages, seeds=seeds)
    for cell in cells:
        metrics = {k: v for k, v in made.values(cell, languages).items() if "zed/PER" not in k}
        if cell[1:] != ("aaa", 1):
            metrics |= {f"test_{m}/zed/PER": 0.0 for m in ("f1", "precision", "recall", "support")}
        made.log_cell(opened, experiment, cell, languages, metrics=metrics)
    folder = write(f"sqlite:///{tmp_path / 'mlflow.db'}", "lacking", tmp_path / "out").parent
    for name in ("base", "base.sd", "base.n", "base.zero-shot", "aaa-minus-base"):
        with (folder / f"transfer/PER/{name}.csv").open() as file:
            rows = {row["source"]: row for row in csv.DictReader(file)}
        margin = [] if name == "base.n" else ["zero-shot"]
        own = [] if name in ("base.n", "base.zero-shot") else ["in-language"]
        assert list(rows["zed"]) == ["source", "nya", "aaa", *margin, *own], name
        assert list(rows) == ["zed", "nya", "aaa", *margin], name  # by family
        assert all(row["zero-shot"] for row in rows.values() if margin), name
    with (folder / "by_category.csv").open() as file:
        mean = {(r["category"], r["start"], r["setting"]): float(r["f1"]) for r in csv.DictReader(file)}
    with (folder / "transfer/PER/base.zero-shot.csv").open() as file:
        last = list(csv.DictReader(file))[-1]["zero-shot"]
    assert float(last) == pytest.approx(mean["PER", "base", "zero-shot"], abs=1e-6)
    with (folder / "transfer/base.csv").open() as file:
        assert "zed" in next(csv.reader(file))


def test_other_modes_say_over_how_many_pairs_and_seeds(index: Path) -> None:
    with (index.parent / "by_mode.csv").open() as file:
        rows = {(r["start"], r["setting"]): (r["n_pairs"], r["n_seeds"]) for r in csv.DictReader(file)}
    assert rows["base", "zero-shot"] == ("12", "3") and rows["bbb", "zero-shot"] == ("12", "2")  # one never ran


def test_latex_tables_have_no_problem(index: Path) -> None:
    for path in sorted((index.parent / "tables").glob("*.tex")):
        assert check_latex(path.read_text(encoding="utf-8")) == [], path.name


@pytest.fixture(scope="module")
def published(uri: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report in the published style, languages by family."""
    config = AnalyseConfig(
        tracking=TrackingOptions(study="flawed", tracking_uri=uri), output=str(tmp_path_factory.mktemp("published")),
        order="family", style="published",
    )  # fmt: skip
    return report.write(config)


def test_tables_say_what_their_sd_is(index: Path, published: Path) -> None:
    for path, denominator in ((index, "n - 1"), (published, "n")):
        for name in ("pretraining", "categories"):
            told = (path.parent / f"tables/{name}.md").read_text(encoding="utf-8").replace("\\", "")
            assert f"(with {denominator} in the denominator)" in told
        page = path.read_text(encoding="utf-8")
        assert "(n - 1; in the published style n for matrices, pre-training and categories)" in page


def test_the_test_is_named_in_tables_for_papers_and_on_the_page(index: Path) -> None:
    for kind in ("tex", "md"):
        text = (index.parent / f"tables/pretraining.{kind}").read_text(encoding="utf-8").replace("\\", "")
        assert (
            "moderated t over seeds alone, Holm's correction over all 32 comparisons of starts with base"
            in " ".join(text.split())
        ), kind
    text = index.read_text(encoding="utf-8").replace("&#39;", "'")
    assert "with 95 % intervals (moderated t over seeds alone)" in text
    assert (
        "two-sided, moderated t over seeds alone" in text and "share of resamples, moderated t over seeds alone" in text
    )


def test_every_matrix_on_the_page_is_in_a_csv(index: Path) -> None:
    zero_shot = {r["source"]: r for r in csv.DictReader((index.parent / "transfer/base.zero-shot.csv").open())}
    whole = {r["source"]: r for r in csv.DictReader((index.parent / "transfer/base.csv").open())}
    assert [zero_shot[x][x] for x in made.LANGUAGES] == [""] * 4
    others = [float(whole["nya"][x]) for x in made.LANGUAGES if x != "nya"]
    assert float(zero_shot["nya"]["zero-shot"]) == pytest.approx(sum(others) / 3, abs=1e-5)
    less = {r["source"]: r for r in csv.DictReader((index.parent / "transfer/bbb-minus-base.csv").open())}
    bbb = {r["source"]: r for r in csv.DictReader((index.parent / "transfer/bbb.csv").open())}
    for source, target in (("nya", "zed"), ("nya", "zero-shot"), ("zero-shot", "zed"), ("zero-shot", "in-language")):
        expected = float(bbb[source][target]) - float(whole[source][target])
        assert float(less[source][target]) == pytest.approx(expected, abs=1e-5)


def test_page_tells_what_is_missing_and_fetches_nothing(index: Path) -> None:
    page = Page(index.read_text(encoding="utf-8"))
    text = " ".join(" ".join(page.texts).split())
    assert "2 cells missing" in text and "1 failed, 1 never run" in text and "1 duplicate" in text
    assert "aaa-bbb (2) and bbb-zed (2) instead of 3" in text
    assert all(source.startswith("data:image/png;base64,") or source == "script" for source in page.fetched)
    for link in page.links:  # every link leads to a part of the page or to a file beside it
        assert link.startswith("#") or (index.parent / unquote(link)).is_file(), link


def test_languages_are_ordered_as_asked(uri: str, published: Path) -> None:
    with (published.parent / "transfer/base.csv").open() as file:
        assert [row["source"] for row in csv.DictReader(file)] == ["zed", "nya", "aaa", "bbb", "avg"]
    clustered = report._languages(read.read(uri, "flawed"), "clustering")
    assert sorted(clustered) == ["aaa", "bbb", "nya", "zed"] and clustered != ["nya", "aaa", "bbb", "zed"]


def test_corpora_that_are_not_at_hand_cost_the_overlap_only(index: Path) -> None:
    assert not (index.parent / "overlap").exists()
    assert "errors, shared entities and checks of the corpora are left out" in (index.parent / "audit.csv").read_text()


def test_corpora_of_which_no_run_has_a_digest_are_not_taken_for_those_scored(uri: str, shared_data: Path) -> None:
    baselines = replace(read.read(uri, "flawed"), languages=["hau", "swa"], corpora={})
    config = AnalyseConfig(
        tracking=TrackingOptions(study="flawed", tracking_uri=uri), data=DataOptions(str(shared_data / "masakhaner"))
    )
    known, reason = scored_corpora.corpora_of(config, baselines)
    assert known == {} and "no run says which corpora" in reason


def test_p_in_a_sentence() -> None:
    found = [tables.p_text(p) for p in (0.0002, 0.001, 0.0234, 0.17, 1.0, float("nan"))]
    assert found == ["p < 0.001", "p = 0.001", "p = 0.023", "p = 0.17", "p = 1.00", "p n/a"]


def test_the_best_sources_of_all_targets_are_counted(index: Path) -> None:
    told = re.search(r"the best zero-shot source is ([^;]*?) of (\d+) targets", index.read_text())
    assert told is not None and sum(map(int, re.findall(r"for (\d+)", told[1]))) == int(told[2])


def test_rerun_gives_the_same_bytes_and_keeps_other_files(
    uri: str, index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "flawed" / "transfer").mkdir(parents=True)
    (tmp_path / "flawed" / "data.csv").write_text("mine")
    (tmp_path / "flawed" / "transfer" / "stale.csv").write_text("of a start that is gone")
    again = write(uri, "flawed", tmp_path)
    assert contents(tmp_path / "flawed") == contents(index.parent) | {"data.csv": b"mine"}
    assert [p.name for p in tmp_path.iterdir()] == ["flawed"]  # nothing temporary stays
    said = capsys.readouterr()
    assert said.out == f"report: {again} (2 cells missing: 1 failed, 1 never run)\n"
    assert said.err.startswith("left out: errors, shared entities and checks of the corpora (")


def test_report_is_an_artifact_of_an_analysis_run(uri: str, index: Path) -> None:
    opened = client(uri)
    run = analysis_runs(opened, "flawed")[-1]
    assert run.info.status == "FINISHED"
    stored = Path(opened.download_artifacts(run.info.run_id, "report"))
    assert contents(stored) == contents(index.parent)


def test_a_run_opened_by_mlflow_is_used(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = client(uri)
    before = len(analysis_runs(opened, HOSTILE))
    experiment = opened.get_experiment_by_name(HOSTILE).experiment_id
    run_id = opened.create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    write(uri, HOSTILE, tmp_path)
    assert opened.get_run(run_id).data.tags["kind"] == "analysis"
    assert len(analysis_runs(opened, HOSTILE)) == before + 1


def test_hostile_names_stay_names(uri: str, tmp_path: Path) -> None:
    index = write(uri, HOSTILE, tmp_path / "out")
    assert index.parent.parent == tmp_path / "out" and re.fullmatch(r"[A-Za-z0-9_.-]+", index.parent.name)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    text = index.read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("script") == 3 and "u" not in page.tags  # the page's own
    assert not any(raw in text for raw in ("<b>bold", "<i>key", "<u>family", "<script>alert"))
    assert HOSTILE in page.texts and any("<b>bold" in text for text in page.texts)
    for name in contents(index.parent):
        assert re.fullmatch(r"[A-Za-z0-9_./-]+", name) and ".." not in name.split("/")


def test_command_line(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = str(ROOT / "entrypoints" / "analyse.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script, "--study", HOSTILE, "--tracking_uri", uri])
    runpy.run_path(script, run_name="__main__")
    assert len(list((tmp_path / "reports").rglob("index.html"))) == 1
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", [script, "--study", "unknown", "--tracking_uri", uri, "--output", "other"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(script, run_name="__main__")
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.startswith("error: study 'unknown'") and error.count("\n") == 1
    assert not (tmp_path / "other").exists()


def test_a_failed_analysis_changes_nothing(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(uri, HOSTILE, tmp_path)
    before = contents(tmp_path)
    for study in ("empty", "unknown"):
        with pytest.raises(InputError):
            write(uri, study, tmp_path)
    with pytest.raises(InputError, match=r"output: the folder .* cannot be made"):
        write(uri, HOSTILE, next(tmp_path.rglob("index.html")))

    def fail(drawings: object) -> dict:
        raise RuntimeError("no ink")

    monkeypatch.setattr(report.background, "encoded", fail)
    with pytest.raises(RuntimeError, match="no ink"):
        write(uri, HOSTILE, tmp_path)
    assert contents(tmp_path) == before


def test_an_artifact_store_out_of_reach_keeps_the_report_and_marks_the_run(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: MlflowClient, *arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(MlflowClient, "log_artifacts", fail)
    with pytest.raises(OSError, match="disk full"):
        write(uri, HOSTILE, tmp_path)
    assert len(list(tmp_path.rglob("index.html"))) == 1
    assert "FAILED" in {run.info.status for run in analysis_runs(client(uri), HOSTILE)}


def test_a_start_that_a_language_lacks_is_not_in_its_number_of_seeds() -> None:
    table = report.pd.DataFrame([("hau", 3), ("hau", 0), ("swa", 3), ("swa", 2), ("wol", 0)], columns=["language", "n"])
    assert report_figures._notes(table) == {"hau": "n=3", "swa": "n=2-3"}


def test_runs_are_linked_on_servers_only() -> None:
    assert report._run_url("sqlite:///mlflow.db", "3") == ""
    assert report._run_url("http://me:pw@host:5000/", "3") == "http://host:5000/#/experiments/3/runs/"


@pytest.mark.parametrize("name", ["base", "swa-2.1", "a" * 100])
def test_harmless_names_name_files(name: str) -> None:
    assert report_figures.safe_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "ü", "a" * 101, "x\n"])
def test_other_names_are_made_harmless(name: str) -> None:
    safe = report_figures.safe_name(name)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", safe) and safe != name


def test_numbers_for_people() -> None:
    assert [tables.number(v) for v in (-0.04, 12.345, float("nan"))] == ["0.0", "12.3", "n/a"]
    assert [tables.number(v, signed=True) for v in (1.25, -1.26, 0.0)] == ["+1.2", "\u22121.3", "0.0"]
    assert tables.listing(["a", "b", "c"]) == "a, b and c"
    frame = next(csv.reader(io.StringIO(tables.csv_text(report.pd.DataFrame({"x": [0.1 + 0.2]})).split("\n")[1])))
    assert frame == ["0.30000000000000004"]
