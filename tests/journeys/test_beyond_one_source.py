"""A tiny study with a source of two languages and a few sentences of a third, from grid to report."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from folder_store import opened
from tiny import save_tiny_corpora, save_tiny_start

from analysis.audit import audit
from analysis.reading import order, read
from analysis.report import report
from nertransfer.core import schema
from nertransfer.core.commandline import build
from nertransfer.core.config import AnalyseConfig, StudyConfig, TrainConfig
from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions
from nertransfer.corpora import corpus, download
from nertransfer.encoders import starts
from nertransfer.registry import card_facts, model_card
from nertransfer.registry.model_card import Card
from nertransfer.studies import costs, runner, speed
from nertransfer.studies import study as studies
from nertransfer.studies.executors import workers
from nertransfer.studies.planning import make_plan, pick_sources
from nertransfer.tracking import model_uris
from nertransfer.tracking.runs import cell_runs
from nertransfer.tracking.store import Run, Study
from nertransfer.training import cell as cells
from nertransfer.training import run_cell
from nertransfer.training.accelerator import make_accelerator
from nertransfer.training.checkpoint import Checkpoint
from nertransfer.training.finetune import Callbacks, History, Machine, Training

SETTINGS = {"epochs": "3", "learning_rate": "5e-3", "batch_size": "8", "max_length": "32", "device": "cpu",
            "data": "data", "study": "few", "checkpoint_minutes": "0"}  # fmt: skip
GRID = {"starts": "tiny=tiny", "sources": "aaa,bbb+aaa", "seeds": "0,1", "few_shot_languages": "ccc",
        "few_shot_sentences": "0,6"}  # fmt: skip
AFTER = {"few_shot_language": "ccc", "few_shot_sentences": "6", "few_shot_mode": "after"}


def configuration(**changes: str) -> StudyConfig:
    return build(StudyConfig, SETTINGS | GRID | changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study, both ways to use the sentences, and its report."""
    folder = tmp_path_factory.mktemp("few")
    save_tiny_start(folder / "tiny")
    save_tiny_corpora(folder / "data", ("aaa", "bbb", "ccc"), 24)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        study = opened(folder, SETTINGS["study"])
        first = studies.run_study(configuration(few_shot_mode="added", sources="aaa"), study)
        assert [name.rpartition("-")[0] for name in first.ran[::2]] == ["tiny-aaa", "tiny-aaa+6ccc", "tiny-none+6ccc"]
        outcome = studies.run_study(configuration(few_shot_mode="after"), study)
        assert not first.failed and not outcome.failed
        # no source has nothing to come after, and what was done is not done again
        assert len(outcome.ran) == 6 and len(outcome.found) == 4
        report.write(build(AnalyseConfig, {"data": "data", "study": "few", "tracking_uri": study.uri}))
    return folder


def train(study: Study, **changes: str) -> runner.Outcome:
    config = build(TrainConfig, SETTINGS | {"start": "tiny=tiny"} | changes)
    return runner.train(config, study, make_accelerator(config.recipe, config.run))


def named(study: Study, name: str) -> Run:
    return next(run for run in cell_runs(study, "FINISHED") if run.info.run_name == name)


def numbers(study: Study, run: Run) -> dict[str, object]:
    """What must be equal bit for bit: losses, scores, and predicted tags."""
    losses = [m.value for m in study.client.get_metric_history(run.info.run_id, "train_loss")]
    scores = {k: v for k, v in run.data.metrics.items() if schema.parse_score_key(k)}
    digests = schema.unpacked(run.data.tags, schema.PREDICTIONS_DIGESTS)
    assert digests
    return {"losses": losses} | scores | digests


def test_tags_say_what_a_cell_is_made_of(here: Study) -> None:
    pair = named(here, "tiny-aaa+bbb-s1").data
    assert (pair.tags["source"], pair.tags["source_languages"]) == ("aaa+bbb", "aaa,bbb")
    # MLflow takes no "+" in the name of a metric
    assert pair.metrics["source_dev_f1"] == pair.metrics["dev_f1/aaa.bbb"]
    assert schema.FEW_SHOT_LANGUAGE not in pair.tags and pair.params["cfg/source"] == "aaa+bbb"
    few = named(here, "tiny-aaa-then-6ccc-s0").data
    told = {name: few.tags[name] for name in ("few_shot_language", "few_shot_sentences", "few_shot_mode")}
    assert told == {"few_shot_language": "ccc", "few_shot_sentences": "6", "few_shot_mode": "after"}
    assert {name: few.params[f"cfg/{name}"] for name in told} == told
    scored = {name.target for key in few.metrics if (name := schema.parse_score_key(key))}
    assert scored == {"ccc", "aaa"}  # the target, and what seeds are chosen on
    alone = named(here, "tiny-none+6ccc-s0").data
    assert (alone.tags["source_languages"], alone.tags["few_shot_mode"]) == ("", "alone")
    assert {n.target for key in alone.metrics if (n := schema.parse_score_key(key))} == {"ccc"}
    assert alone.params["cfg/epoch_choice"] == "last"  # by which a report knows how the epoch was chosen


def test_a_source_of_several_is_registered_and_no_cell_with_sentences_is(here: Study, finished: Path) -> None:
    models = {model.name for model in here.client.search_registered_models()}
    assert models == {"ner-aaa", "ner-aaa+bbb"}
    with model_uris.local_copy("models:/ner-aaa+bbb@champion", here.client, finished / "work") as start:
        assert starts.load_tagger(start)[2] == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    version = here.client.get_model_version_by_alias("ner-aaa+bbb", "champion")
    scores = {s: named(here, f"tiny-aaa+bbb-s{s}").data.metrics["dev_f1/aaa.bbb"] for s in (0, 1)}
    assert float(version.tags["dev_f1"]) == max(scores.values())
    assert not list((finished / "work").rglob("model.safetensors"))  # nothing is left of first stages, either


def champion_run(study: Study) -> Run:
    version = study.client.get_model_version_by_alias("ner-aaa+bbb", "champion")
    return study.client.get_run(version.run_id)


def test_the_card_of_several_languages_has_sizes_and_what_is_new_to_the_model(here: Study, tmp_path: Path) -> None:
    run_id = champion_run(here).info.run_id
    card = Path(here.client.download_artifacts(run_id, "model_card/README.md", str(tmp_path))).read_text()
    assert "| aaa+bbb.test | 24 |" in card and "| aaa+bbb.dev | 24 |" in card
    assert "Entities whose words are no entity of the train split: none in the test split." in card


def test_the_card_of_a_cell_with_a_few_sentences_says_so_and_compares_it_with_its_like(here: Study) -> None:
    runs = [run for run in cell_runs(here, "FINISHED") if "few_shot_language" in run.data.tags]
    told = set()
    for run in runs:
        card = card_facts.collect(here, run, card_facts.rivals_of(here, run), "")
        text = model_card.body(card, "")
        few = run.data.tags["few_shot_language"]
        told.add(f"{run.data.tags['source']}, {run.data.tags['few_shot_mode']}")
        assert f"{run.data.tags['few_shot_sentences']} sentences of {few}" in text
        assert few not in [score.name for score in card.targets] and few in [card.source, *(s.name for s in card.parts)]
        assert {seed.seed for seed in card.seeds} == {
            int(one.data.tags["seed"])
            for one in runs
            if all(
                one.data.tags.get(name) == run.data.tags.get(name)
                for name in ("start", "source", "few_shot_language", "few_shot_sentences", "few_shot_mode")
            )
        }
    assert len(told) > 1


def test_the_licence_of_several_languages_is_that_of_their_train_files(
    here: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def card_where_published(*languages: str) -> Card:
        files = {f"{name}/train.txt": Path("data", name, "train.txt") for name in languages}
        known = {name: f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for name, path in files.items()}
        monkeypatch.setattr(download, "registry", lambda corpus: known if corpus == "masakhaner" else {})
        run = champion_run(here)
        return card_facts.collect(here, run, [run], "dev")

    data = card_where_published("aaa", "bbb").data
    assert (data.licence_id, data.hub) == ("cc-by-nc-4.0", "masakhaner") and "Adelani et al. (2021)" in data.citation
    data = card_where_published("bbb").data
    assert (data.licence_id, data.hub) == ("unknown", "") and "Adelani et al. (2021)" in data.citation
    assert data.licence == "aaa: not known: ask whoever made the corpora; bbb: CC BY-NC 4.0"


def test_the_order_of_languages_makes_no_other_cell(here: Study) -> None:
    assert train(here, source="bbb+aaa", seed="1").state == runner.FOUND
    assert train(here, source="bbb+aaa", seed="1", languages="bbb,aaa,ccc").state == runner.FOUND


def test_the_matrices_see_no_sentences_and_the_results_have_them_with_their_columns(
    here: Study, finished: Path
) -> None:
    found = read.read(here.uri, "few")
    assert set(found.frame["source"]) == {"aaa", "aaa+bbb"} and set(found.frame["target"]) == {"aaa", "bbb", "ccc"}
    assert len(found.cells) == 4 and not len(found.duplicates) and not found.warnings
    folder = finished / "reports" / "few"
    table = pd.read_csv(folder / "results.csv", keep_default_na=False)
    assert list(table.columns[-4:]) == ["source_languages", "few_shot_language", "few_shot_sentences", "few_shot_mode"]
    ordinary = table[table["few_shot_language"] == ""]
    assert len(ordinary) == len(found.frame) + len(found.unions)
    assert set(ordinary["few_shot_sentences"]) == set(ordinary["few_shot_mode"]) == {""}
    assert set(ordinary.loc[ordinary["source"] == "aaa+bbb", "target"]) == {"aaa", "bbb", "ccc", "aaa+bbb"}
    few = table[table["few_shot_language"] == "ccc"]
    assert set(zip(few["source"], few["few_shot_mode"], strict=True)) == {
        ("aaa", "added"), ("aaa", "after"), ("aaa+bbb", "after"), ("none", "alone"),
    }  # fmt: skip
    assert set(few["few_shot_sentences"]) == {"6"}
    matrix = pd.read_csv(folder / "transfer" / "tiny.csv", index_col=0)
    assert list(matrix.index) == ["aaa", "aaa+bbb", "zero-shot"]
    assert list(matrix.columns) == ["aaa", "bbb", "ccc", "zero-shot", "in-language"]
    zero_shot = pd.read_csv(folder / "transfer" / "tiny.zero-shot.csv", index_col=0)
    assert zero_shot.loc["aaa+bbb"].isna().tolist() == [True, True, False, False]
    cards = pd.read_csv(folder / "model_cards.csv")
    assert cards["model"].tolist() == ["ner-aaa@from-tiny", "ner-aaa+bbb@from-tiny"] and cards["f1"].notna().all()


def test_the_report_has_the_curves_the_comparison_and_nothing_missing(finished: Path) -> None:
    folder = finished / "reports" / "few"
    curves = pd.read_csv(folder / "few_shot.csv")
    assert curves[["source", "mode", "sentences"]].to_numpy().tolist() == [
        ["aaa", "added", 0], ["aaa", "added", 6], ["aaa", "after", 0], ["aaa", "after", 6],
        ["aaa+bbb", "after", 0], ["aaa+bbb", "after", 6], ["none", "alone", 6],
    ]  # fmt: skip
    assert (curves.loc[curves["sentences"] > 0, "n_seeds"] == 2).all()  # of those without one may have collapsed
    assert not len(pd.read_csv(folder / "missing.csv"))
    assert len(pd.read_csv(folder / "few_shot_saved.csv")) == 6
    assert pd.read_csv(folder / "multi_source.csv")["best_part"].tolist() == ["aaa"] * 3
    assert (folder / "figures" / "few-shot-tiny-ccc.png").is_file()
    page = (folder / "index.html").read_text()
    assert "A few labelled sentences" in page and "Several sources together" in page


def test_a_cell_that_is_gone_is_missing_by_name(here: Study, finished: Path) -> None:
    run = named(here, "tiny-aaa-then-6ccc-s1")
    here.client.delete_run(run.info.run_id)
    try:
        found = read.read(here.uri, "few")
    finally:
        here.client.restore_run(run.info.run_id)
    absent = audit.missing_scores(found)
    columns = ["source", "seed", "target", "few_shot_language", "few_shot_sentences", "few_shot_mode", "reason"]
    told = absent[columns].drop_duplicates().to_numpy().tolist()
    assert told == [["aaa", 1, "ccc", "ccc", 6, "after", "never run"]] and len(absent) == 2


def test_a_plan_counts_every_cell(here: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "measured", lambda *_: speed.Speed(step=1.0, trained=0.0, scored=0.0))
    shown = costs.foresee(configuration(few_shot_mode="after", seeds="0,1,2"), here)
    assert (shown.cells, shown.finished, shown.scores) == (15, 10, 6 * 3 + 9)
    text = costs.text(shown, "few", here.uri)
    assert "besides  6 sentences of ccc, after the source's, and alone" in text
    assert "tiny   aaa+bbb-then-6ccc     2        1" in text
    assert costs.foresee(configuration(few_shot_mode="added", seeds="0"), here).finished == 4


def test_tasks_elsewhere_are_given_the_very_same_cells(here: Study) -> None:
    for mode in ("added", "after"):
        config = configuration(few_shot_mode=mode, sampling_temperature="2")
        grid = studies.lay_out(config)
        corpora = corpus.load(replace(config.data, languages=grid.languages))
        plan = make_plan(grid, corpora, [starts.resolve("tiny=tiny")], config.recipe)
        assert len(plan.cells) == len({cell.key for cell in plan.cells}) == 10
        for cell in plan.cells:
            _, script, *arguments = workers.cell_command(config, plan, cell, here)
            given = {
                name.removeprefix("--"): value for name, value in zip(arguments[::2], arguments[1::2], strict=True)
            }
            assert script.endswith("train.py")
            asked = build(TrainConfig, given)
            assert runner.train_plan(asked, make_accelerator(asked.recipe, asked.run)).cells == [cell]


@pytest.mark.parametrize("stage", [1, 2])
def test_cut_short_in_either_stage_it_ends_as_if_nothing_had_happened(
    here: Study, fresh: Study, monkeypatch: pytest.MonkeyPatch, stage: int
) -> None:
    """The study's own went on from the weights of the ordinary cell: trained for it alone, they are the same."""
    fit: Callable = run_cell.fit
    calls = []

    def interrupted(
        model: object, training: Training, machine: Machine, checkpoint: Checkpoint, callbacks: Callbacks, title: str
    ) -> object:
        calls.append(checkpoint.key)
        if len(calls) == stage:

            def on_epoch(history: History) -> None:
                if history.epochs == 2:  # the checkpoint of the first is there
                    raise KeyboardInterrupt

            callbacks = replace(callbacks, on_epoch=on_epoch)
        return fit(model, training, machine, checkpoint, callbacks, title)

    with monkeypatch.context() as patch:
        patch.setattr(run_cell, "fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(fresh, source="aaa", **AFTER)
    ordinary = named(here, "tiny-aaa-s0").data.tags[schema.CELL_KEY]
    assert calls[0] == ordinary and len(list(Path("work").rglob("checkpoint/state.json"))) == 1
    assert train(fresh, source="aaa", **AFTER).state == runner.RAN
    runs = cell_runs(fresh, "FINISHED")
    assert [run.info.run_name for run in runs] == ["tiny-aaa-then-6ccc-s0"]
    assert numbers(fresh, runs[0]) == numbers(here, named(here, "tiny-aaa-then-6ccc-s0"))
    assert not list(Path("work").rglob("checkpoint"))
    first = (cells.weights_folder(Path("work"), ordinary) / "model.safetensors").read_bytes()
    if stage == 1:
        train(fresh, source="aaa", keep_weights="true")
        assert (cells.weights_folder(Path("work"), ordinary) / "model.safetensors").read_bytes() == first


def test_a_category_that_the_source_lacks_is_learnt_after_it(fresh: Study) -> None:
    path = Path("data/ccc/train.txt")
    path.write_text(path.read_text().replace("-LOC", "-DATE"))
    for split in ("dev", "test"):
        other = path.with_name(f"{split}.txt")
        other.write_text(other.read_text().replace("-LOC", "-DATE"))
    outcome = train(fresh, source="aaa", **AFTER | {"few_shot_sentences": "24"}, keep_weights="true", epochs="6")
    assert outcome.state == runner.RAN
    key = cell_runs(fresh, "FINISHED")[0].data
    weights = cells.weights_folder(Path("work"), key.tags["cell_key"])
    labels = starts.load_tagger(starts.Start("x", str(weights)))[2]
    assert labels == ("O", "B-DATE", "I-DATE", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert key.metrics["test_f1/ccc/DATE"] > 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": "aaa+zzz"}, r"sources=aaa\+zzz is not in the data: one of aaa, bbb, ccc, or several joined"),
        ({"sources": "aaa+aaa"}, "aaa is named twice"),
        ({"sources": "aaa+bbb,bbb+aaa"}, r"aaa\+bbb and bbb\+aaa are the same source"),
        ({"few_shot_sentences": "10,25"}, "few_shot_sentences=25 is not allowed: the train split of ccc has 24"),
        ({"few_shot_languages": "zzz"}, "few_shot_languages=zzz is not in the data"),
        ({"starts": "own", "sources": "aaa+bbb"}, "starts=own: every source is of several languages"),
    ],
)
def test_bad_input_stops_before_any_run(here: Study, changes: dict[str, str], message: str) -> None:
    before = len(here.client.search_runs([here.experiment_id]))
    with pytest.raises(InputError, match=message):
        studies.run_study(configuration(**changes), here)
    assert len(here.client.search_runs([here.experiment_id])) == before


def test_a_source_of_more_languages_than_a_name_has_room_for_is_refused(tmp_path: Path) -> None:
    names = tuple(letter * 32 for letter in "abcd")
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.txt").touch()
    data = DataOptions(str(tmp_path))
    assert pick_sources("sources", ("+".join(names[:3]),), data)
    with pytest.raises(InputError, match="the joined name has 131 characters, more than 130"):
        pick_sources("sources", ("+".join(names),), data)


@pytest.mark.parametrize(
    ("config", "given", "message"),
    [
        (TrainConfig, {"source": "none"}, "few_shot_sentences says how many"),
        (TrainConfig, {"source": "aaa", "few_shot_sentences": "5"}, "few_shot_language says of which language"),
        (TrainConfig, {"source": "aaa", "few_shot_language": "ccc"}, "few_shot_sentences says how many of it"),
        (TrainConfig, {"source": "none", **AFTER}, "few_shot_mode='after' is not allowed: there is nothing before"),
        (
            TrainConfig,
            {"source": "aaa+bbb", **AFTER, "few_shot_language": "bbb"},
            "another one than those of the source",
        ),
        (TrainConfig, {"source": "aaa", **AFTER, "targets": "aaa"}, "one of targets=aaa"),
        (StudyConfig, {"few_shot_languages": "ccc"}, "at least one number above 0"),
        (StudyConfig, {"few_shot_languages": "ccc", "few_shot_sentences": "0"}, "at least one number above 0"),
        (StudyConfig, {"few_shot_sentences": "5"}, "few_shot_languages says of which targets"),
        (StudyConfig, {"few_shot_languages": "c", "few_shot_sentences": "5", "targets": "a"}, "some of targets=a"),
        (StudyConfig, {"sampling_temperature": "0.5"}, "a number of at least 1"),
        (StudyConfig, {"sampling_temperature": "inf"}, "a number of at least 1"),
    ],
)
def test_contradictions_are_named(config: type, given: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(config, {"data": "data"} | given)


def test_another_order_of_languages_is_that_of_the_sentences_too(here: Study) -> None:
    found = read.read(here.uri, "few")
    assert found.few_shot.frame["target"].iloc[0] == "aaa"
    turned = order.in_order(found, ["ccc", "aaa", "bbb", "aaa+bbb"])
    assert turned.few_shot.frame["target"].iloc[0] == "ccc" and len(turned.few_shot.cells) == 8
