"""``mlflow.models.evaluate`` of registered models: the numbers are those of the cell's run."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import registered_store
from mlflow.exceptions import MlflowException

from nertransfer.core.options import DataOptions
from nertransfer.corpora import corpus
from nertransfer.corpora.words import spans
from nertransfer.tracking.runs import cell_runs
from nertransfer.tracking.store import Study

MODEL = "models:/ner-aaa@champion"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return registered_store.make(tmp_path_factory.mktemp("evaluated"))


@pytest.fixture
def study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    found = registered_store.opened_for_mlflow(folder, monkeypatch)
    mlflow.set_experiment(registered_store.FIRST)
    return found


@pytest.fixture
def sentences(study: Study) -> pd.DataFrame:
    split = corpus.load(DataOptions("data"))["bbb"].splits["test"]
    return pd.DataFrame(
        {"words": [list(s.words) for s in split.sentences], "tags": [list(s.tags) for s in split.sentences]}
    )


def evaluated(data: pd.DataFrame, targets: str, **options: Any) -> Any:
    options = {"model": MODEL} | options
    return mlflow.models.evaluate(
        data=data, targets=targets, model_type="token-classification", evaluators="ner", **options
    )


def test_scores_of_words_are_those_of_the_cell(study: Study, sentences: pd.DataFrame) -> None:
    found = evaluated(sentences, "tags").metrics
    (cell,) = cell_runs(study, "FINISHED")
    known = {}
    for key, value in cell.data.metrics.items():
        measure, target, *category = key.removeprefix("test_").split("/") if key.startswith("test_") else ("", "")
        if target == "bbb":
            known["/".join([measure, *category])] = value
    assert {"f1", "f1/PER", "strict_f1", "span_f1", "invalid_tag_rate"} <= set(known)
    assert found == pytest.approx(known, abs=1e-12)


def test_scores_are_logged_with_model_and_dataset(study: Study, sentences: pd.DataFrame) -> None:
    with mlflow.start_run() as run:
        found = evaluated(sentences, "tags", evaluator_config={"metric_prefix": "bbb_"}).metrics
    logged = study.client.get_run(run.info.run_id)
    assert logged.data.metrics == pytest.approx(found) and "bbb_f1" in found
    (cell,) = cell_runs(study, "FINISHED")
    model = study.client.get_logged_model(cell.data.tags["model_id"])
    assert [m.dataset_name for m in model.metrics if m.key == "bbb_f1"] == ["dataset"]


def test_spans_of_texts_are_scored_like_their_words(study: Study, sentences: pd.DataFrame) -> None:
    """Joined by spaces, words of letters are told apart as they were."""
    rows = []
    for words, tags in zip(sentences["words"], sentences["tags"], strict=True):
        begins = [len(" ".join(words[:i])) + (i > 0) for i in range(len(words))]
        gold = [
            {"start": begins[a], "end": begins[b - 1] + len(words[b - 1]), "category": category}
            for a, b, category in spans(tags)
        ]
        rows.append({"text": " ".join(words), "spans": gold})
    found = evaluated(pd.DataFrame(rows), "spans").metrics
    by_words = evaluated(sentences, "tags").metrics
    assert found["support"] == by_words["support"] > 0
    assert found == pytest.approx({name: by_words[name] for name in found})


def test_predictions_of_any_system_are_scored_without_a_model(study: Study) -> None:
    data = pd.DataFrame({
        "words": [["Sani", "ya", "tafi", "Kano"], ["Legas"]],
        "tags": [["B-PER", "O", "O", "B-LOC"], ["B-LOC"]],
        "said": [["B-PER", "O", "O", "B-ORG"], ["B-LOC"]],
    })  # fmt: skip
    found = evaluated(data, "tags", model=None, predictions="said").metrics
    assert (found["precision"], found["recall"], found["f1"], found["support"]) == (
        2 / 3,
        2 / 3,
        pytest.approx(2 / 3),
        3,
    )
    assert (found["f1/PER"], found["recall/LOC"], found["precision/ORG"]) == (1, 0.5, 0)


@pytest.mark.parametrize(
    ("data", "targets", "said"),
    [
        ({"words": [["a", "b"]], "tags": [["O"]]}, "tags", "row 0: 2 words and 1 gold tags"),
        ({"words": [["a"]], "tags": [["PER"]]}, "tags", "PER"),
        ({"sentence": ["a"], "tags": [["O"]]}, "tags", "it needs words or text"),
        ({"text": ["a b"], "spans": [[{"start": 0}]]}, "spans", "row 0: an entity is a dictionary with start, end"),
    ],
)
def test_data_of_another_form_is_refused(study: Study, data: dict[str, list], targets: str, said: str) -> None:
    with pytest.raises(MlflowException, match=said):
        evaluated(pd.DataFrame(data), targets)
