"""Reading a study back from a store."""

import random
import statistics
from pathlib import Path

import analysis_store as made
import pytest
from folder_store import make_store
from mlflow import MlflowClient

from analysis.reading import order, read, results
from analysis.statistics import tables
from analysis.transfer import matrices
from nertransfer.core.errors import InputError
from nertransfer.tracking.store import client


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[MlflowClient, str, Path]:
    """One database for this module: client, address, folder."""
    folder = tmp_path_factory.mktemp("results")
    uri = f"sqlite:///{make_store(folder)}"
    opened = client(uri)
    made.log_flawed_study(opened, "flawed", folder / "artifacts")
    return opened, uri, folder


Store = tuple[MlflowClient, str, Path]


def experiment(store: Store, name: str) -> str:
    return store[0].create_experiment(name, artifact_location=(store[2] / "artifacts").as_uri())


def test_every_score_comes_back(store: Store) -> None:
    found = read.read(store[1], "flawed")
    frame = found.frame
    assert list(frame.columns) == results.FRAME_COLUMNS
    cells = len(made.every_cell()) - 2
    assert len(frame) == cells * 4 * 2 * 3 and len(found.overall) == cells * 4 * 2
    for row in frame.sample(40, random_state=0).itertuples():
        assert row.f1 == made.f1(row.start, row.source, row.seed, row.target, row.split, row.category)
        assert row.support == 50
    assert list(frame["category"].unique()) == ["ALL", "LOC", "PER"]
    assert found.planned and found.families == made.FAMILIES
    assert found.languages == list(made.LANGUAGES)  # as the study names them
    assert found.warnings == []
    mean = matrices.cube(frame, "base", found.languages, found.languages).statistic("mean")
    golden = 100 * statistics.mean(made.f1("base", "aaa", seed, "zed") for seed in made.SEEDS)
    assert mean.loc["aaa", "zed"] == pytest.approx(golden)


def test_failed_absent_and_repeated_cells_are_told(store: Store) -> None:
    found = read.read(store[1], "flawed")
    absent = matrices.missing_cells(matrices.missing(found.frame, found.cells, found.plan))
    told = {(r.start, r.source, r.seed): r.reason for r in absent.itertuples()}
    assert told == {made.FAILED: "failed", made.NEVER_RUN: "never run"}
    assert list(found.duplicates[["start", "source", "seed"]].itertuples(index=False, name=None)) == [made.REPEATED]
    assert "another cell key" in found.duplicates["reason"].item()
    used = found.cells[found.cells["used"]]
    assert len(used) == len(made.every_cell()) - 2 and len(found.cells) == len(made.every_cell())
    assert found.duplicates["run_id"].item() not in set(used["run_id"])
    repeated = found.frame.query("start == 'base' and source == 'nya' and seed == 0")
    assert repeated["f1"].min() > 0.1  # the later run's


def test_a_failed_cell_that_runs_again_is_running(store: Store) -> None:
    opened = experiment(store, "again")
    made.log_plan(store[0], opened, starts=["base"], sources=["nya"], targets=["nya"], seeds=[0, 1])
    made.log_cell(store[0], opened, ("base", "nya", 0), ["nya"])
    made.log_cell(store[0], opened, ("base", "nya", 1), ["nya"], status="FAILED")
    made.log_cell(store[0], opened, ("base", "nya", 1), ["nya"], status="RUNNING")
    found = read.read(store[1], "again")
    assert found.cells["status"].tolist() == ["FINISHED", "FAILED", "RUNNING"]
    assert set(matrices.missing(found.frame, found.cells, found.plan)["reason"]) == {"running"}


def test_the_order_of_runs_changes_no_byte(store: Store) -> None:
    texts = []
    for number, seed in enumerate((None, 3, 4)):
        opened = experiment(store, f"order-{number}")
        cells = [(s, x, k) for s in ("bbb", "base") for x in ("nya", "zed") for k in (0, 10, 2)]
        if seed is not None:
            random.Random(seed).shuffle(cells)
        made.log_grid(store[0], opened, cells, ("zed", "nya"))
        texts.append(tables.csv_text(read.read(store[1], f"order-{number}").frame))
    assert texts[0] == texts[1] == texts[2]
    rows = [line.split(",") for line in texts[0].splitlines()]
    assert rows[1][:6] == ["base", "nya", "0", "nya", "dev", "ALL"]
    assert list(dict.fromkeys(row[2] for row in rows[1:])) == ["0", "2", "10"]
    assert rows[1][8] == repr(made.f1("base", "nya", 0, "nya", "dev"))  # full precision


def test_languages_are_ordered_by_family_or_region_everywhere(store: Store) -> None:
    found = read.read(store[1], "flawed")
    assert order.language_order(found, "given") == ["nya", "aaa", "bbb", "zed"]
    by_family = order.language_order(found, "family")
    assert by_family == ["zed", "nya", "aaa", "bbb"]  # isolate, north, south
    assert order.language_order(found, "region") == ["nya", "aaa", "bbb", "zed"]  # the others are nowhere known
    ordered = order.in_order(found, by_family)
    assert ordered.languages == ordered.plan["sources"] == ordered.plan["targets"] == by_family
    assert list(ordered.frame["source"].unique()) == list(ordered.overall["target"].unique()) == by_family
    assert ordered.plan["pairs"][0] == ("base", "zed") and len(ordered.frame) == len(found.frame)
    assert order.in_order(ordered, found.languages).frame.equals(found.frame)
    with pytest.raises(ValueError, match="are not the languages"):
        order.in_order(found, ["zed"])


def test_the_plan_sets_order_and_completeness_without_families(store: Store) -> None:
    opened = experiment(store, "planned")
    made.log_plan(store[0], opened, starts=["old"], sources=["qqq"], targets=["qqq"], seeds=[9])
    made.log_plan(store[0], opened, starts=["zzz", "base"], sources=["qqz", "qqa"], targets=["qqa"], seeds=[1])
    for source in ("qqa", "qqz"):
        made.log_cell(store[0], opened, ("base", source, 1), ["qqa"], families={})
    made.log_cell(store[0], opened, ("extra", "qqb", 5), ["qqa"], families={})
    found = read.read(store[1], "planned")
    assert found.languages == ["qqz", "qqa", "qqb"]
    assert found.plan == {"starts": ["base", "zzz"], "sources": ["qqz", "qqa"], "targets": ["qqa"], "seeds": [1],
                          "pivots": [],
                          "pairs": [("base", "qqz"), ("base", "qqa"), ("zzz", "qqz"), ("zzz", "qqa")]}  # fmt: skip
    absent = matrices.missing(found.frame, found.cells, found.plan)
    assert set(absent["start"]) == {"zzz"} and len(absent) == 4
    axes = matrices.axes(found.frame, found.plan, found.languages)
    assert axes == {"base": (["qqz", "qqa"], ["qqa"]), "zzz": (["qqz", "qqa"], ["qqa"]), "extra": (["qqb"], ["qqa"])}


def test_odd_cells_are_warned_about(store: Store) -> None:
    opened = experiment(store, "odd")
    log = made.log_cell
    log(store[0], opened, ("base", "nya", 0), ["nya"])
    log(store[0], opened, ("base", "nya", 1), ["nya"], tags={"recipe_digest": "other"})
    log(store[0], opened, ("twin", "nya", 0), ["nya"], tags={"start_fingerprint": "weights of base"})
    log(store[0], opened, ("base", "zed", 0), ["nya"], tags={"corpus_digest/nya": "changed"})
    log(store[0], opened, ("base", "zed", 1), ["nya"], tags={"seed": "many"})
    log(store[0], opened, ("base", "zed", 2), ["nya"], tags={"kind": "evaluation"})
    found = read.read(store[1], "odd")
    text = "\n".join(found.warnings)
    for part in ("recipes differ", "corpora differ: nya", "starts base and twin have the same weights", "no readable"):
        assert part in text
    assert len(found.cells) == 4 and not found.planned


def test_a_score_that_is_not_a_number_counts_as_missing(store: Store) -> None:
    opened = experiment(store, "nan")
    values = made.values(("base", "nya", 0), ("nya", "zed")) | {"test_f1/zed": float("nan")}
    made.log_cell(store[0], opened, ("base", "nya", 0), ("nya", "zed"), metrics=values)
    found = read.read(store[1], "nan")
    absent = matrices.missing(found.frame, found.cells, found.plan)
    assert list(absent[["target", "split", "reason"]].itertuples(index=False, name=None)) == [
        ("zed", "test", "not scored")
    ]


def test_folders_are_no_hub_ids(store: Store) -> None:
    opened = experiment(store, "places")
    places = {
        "base": {"start_location": "xlm-roberta-base"},
        "here": {"start_location": "starts/hau"},
        "there": {"start_location": "owner/model", "start_revision": "0123abc"},
        "none": {},
    }
    for name, tags in places.items():
        made.log_cell(store[0], opened, (name, "nya", 0), ["nya"], tags=tags)
    found = read.read(store[1], "places")
    assert found.locations == {"base": "xlm-roberta-base", "there": "owner/model"}


def test_an_empty_or_unknown_study_is_refused(store: Store) -> None:
    opened = experiment(store, "empty")
    with pytest.raises(InputError, match=r"no finished cell to analyse \(found: no cell at all\)"):
        read.read(store[1], "empty")
    made.log_cell(store[0], opened, ("base", "nya", 0), ["nya"], status="RUNNING")
    with pytest.raises(InputError, match="found: 1 RUNNING"):
        read.read(store[1], "empty")
    with pytest.raises(InputError, match=r"'nowhere' does not exist .*existing ones: .*flawed"):
        read.read(store[1], "nowhere")


def test_a_part_of_a_study_is_as_if_nothing_else_had_been_run(store: Store) -> None:
    found = read.read(store[1], "flawed")
    part = order.part_of(found, starts=["base", "own"], sources=["aaa", "nya"], targets=["zed", "aaa"])
    rows = found.frame.query("source in ('aaa', 'nya') and (start == 'base' or start == source)")
    rows = rows[rows["target"].isin(["zed", "aaa"])]
    assert part.frame.equals(rows.reset_index(drop=True)) and len(rows)
    assert part.languages == ["nya", "aaa", "zed"] and part.plan["targets"] == ["aaa", "zed"]
    assert set(part.plan["pairs"]) == {("base", "nya"), ("base", "aaa"), ("aaa", "aaa")}
    assert {place[:2] for place in part.artifacts} == set(part.plan["pairs"])
    assert part.warnings[-1].startswith("a part of the study is analysed: starts base, own; sources aaa, nya; targets")
    assert order.part_of(found) is found
    with pytest.raises(InputError, match=r"targets=zad is not in study 'flawed'; it has .*zed"):
        order.part_of(found, targets=["zad"])
