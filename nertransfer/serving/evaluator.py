"""Entity-level scores in MLflow's own call: ``mlflow.models.evaluate(model, data, evaluators="ner", ...)``.

MLflow finds it as a plugin (``mlflow.model_evaluator`` in pyproject.toml) and imports it with itself. So nothing else
is imported here before it is used: MLflow's own class of evaluators would import this module once more.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MODEL_TYPE = "token-classification"
"""What MLflow is told as ``model_type``: that of transformers' pipelines."""


class EntityEvaluator:
    """Precision, recall and F1, micro-averaged and by category; for tagged words also the scores of strict mode.

    ``data`` is a frame with one sentence a row, in one of two forms: ``words`` (a list of strings) with a column of
    IOB2 tags as ``targets``, or ``text`` with a column of entities as ``targets``, each a dictionary with ``start``,
    ``end`` (characters, exclusive) and ``category``. Without a model the predictions stand in the column
    ``predictions``, in the form of the targets.
    """

    @classmethod
    def can_evaluate(cls, *, model_type: str | None, evaluator_config: Mapping[str, Any], **_: Any) -> bool:
        """Whether the model tags words."""
        return model_type == MODEL_TYPE

    def evaluate(
        self,
        *,
        dataset: Any,
        run_id: str,
        evaluator_config: Mapping[str, Any] | None = None,
        model: Any = None,
        model_id: str | None = None,
        **_: Any,
    ) -> Any:
        """Log the scores to the run, tied to the dataset, and return them as MLflow's ``EvaluationResult``.

        Names: ``f1``, ``f1/PER``; ``metric_prefix`` of ``evaluator_config`` stands before them. Values are fractions.
        Raises MlflowException, which names the row, where the data has neither form, and where the model is none that
        nertransfer has registered.
        """
        from mlflow import MlflowClient
        from mlflow.entities import Metric
        from mlflow.exceptions import MlflowException
        from mlflow.models.evaluation import EvaluationResult

        from nertransfer.core.errors import InputError

        try:
            found = _scores(dataset, model)
        except InputError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        model_id = model_id or getattr(model, "model_id", None)
        prefix = (evaluator_config or {}).get("metric_prefix", "")
        metrics = {f"{prefix}{name}": value for name, value in found.items()}
        now = int(time.time() * 1000)
        logged = [
            Metric(name, value, now, 0, model_id=model_id, dataset_name=dataset.name, dataset_digest=dataset.digest,
                   run_id=run_id)
            for name, value in metrics.items()
        ]  # fmt: skip
        MlflowClient().log_batch(run_id, metrics=logged)
        return EvaluationResult(metrics=metrics, artifacts={})


def _scores(dataset: Any, model: Any) -> dict[str, float]:
    """Every score by its name. Raises InputError."""
    from nertransfer.core.errors import InputError

    if not dataset.has_targets:
        raise InputError("name the column with the gold tags or entities: targets=", "targets")
    frame, gold = dataset.features_data, list(dataset.labels_data)
    column = next((name for name in ("words", "text") if name in frame.columns), "")
    if not column and model is not None:
        raise InputError(
            f"the data has the columns {', '.join(map(str, frame.columns))}: it needs words or text", "data"
        )
    if not gold:
        raise InputError("the data has no row", "data")
    tags = column == "words" or (not column and any(isinstance(one, str) for row in gold for one in row))
    if model is None:
        if not dataset.has_predictions:
            raise InputError("give a model, or name the column with its predictions: predictions=", "model")
        predicted = list(dataset.predictions_data)
        return _of_tags(gold, predicted) if tags else _of_spans(gold, predicted)
    inputs = list(frame[column])
    if tags:
        sentences = [[str(word) for word in words] for words in inputs]
        _same_lengths(gold, sentences, "words")
        return _of_tags(gold, [labels for labels, _ in _tagger(model).tag(sentences)])
    rows = model.predict([str(text) for text in inputs])
    found: list[list[dict[str, Any]]] = [[] for _ in inputs]
    for number, start, end, category in zip(rows["input"], rows["start"], rows["end"], rows["category"], strict=True):
        found[number].append({"start": start, "end": end, "category": category})
    return _of_spans(gold, found)


def _tagger(model: Any) -> Any:
    from nertransfer.core.errors import InputError

    tagger = getattr(model.unwrap_python_model(), "_tagger", None)
    if tagger is None:
        raise InputError("words are tagged by models that nertransfer has registered, and this is none", "model")
    return tagger


def _of_tags(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    from nertransfer.core.schema import ALL
    from nertransfer.scoring import scores

    _same_lengths(gold, predicted, "predicted tags")
    found = scores.scores(scores.count(scores.entities(gold), scores.entities(predicted)))
    strict = dict(_named({ALL: found.strict[ALL]}, "strict_"))
    del strict["strict_support"]
    further = {"span_f1": found.span_f1, "invalid_tag_rate": found.invalid_tag_rate}
    return dict(_named(found.default)) | strict | further


def _of_spans(gold: Sequence[Any], predicted: Sequence[Any]) -> dict[str, float]:
    from nertransfer.scoring import scores

    return dict(
        _named(scores.of_spans(*([_spans(row, number) for number, row in enumerate(s)] for s in (gold, predicted))))
    )


def _spans(row: Any, number: int) -> set[tuple[int, int, str]]:
    from nertransfer.core.errors import InputError

    try:
        return {(int(one["start"]), int(one["end"]), str(one["category"])) for one in row}
    except (KeyError, TypeError, ValueError, IndexError):
        raise InputError(f"row {number}: an entity is a dictionary with start, end and category", "data") from None


def _same_lengths(gold: Sequence[Sequence[str]], other: Sequence[Sequence[str]], what: str) -> None:
    from nertransfer.core.errors import InputError

    for number, (tags, values) in enumerate(zip(gold, other, strict=True)):
        if len(tags) != len(values):
            raise InputError(f"row {number}: {len(values)} {what} and {len(tags)} gold tags", "data")


def _named(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    from nertransfer.core.schema import ALL, CATEGORY_MEASURES

    for category, score in table.items():
        for measure in CATEGORY_MEASURES:
            name = f"{before}{measure}" if category == ALL else f"{before}{measure}/{category}"
            yield name, float(getattr(score, measure))
