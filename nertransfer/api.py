"""What a notebook needs: corpora, scores, one fine-tuning, a study as a frame, its matrices, registered models.

``import nertransfer as nt`` has these functions; nothing heavy is imported before one of them is called. They do what
the entry points of the same purpose do, so their numbers are the same.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from nertransfer.core.commandline import build
from nertransfer.core.config import TrainConfig
from nertransfer.core.errors import InputError
from nertransfer.core.files import PROJECT
from nertransfer.core.options import DataOptions, ModelOptions, StoreOptions, TrackingOptions
from nertransfer.core.text import did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from nertransfer.corpora.corpus import Corpus
    from nertransfer.registry.tagger import Tagger

__all__ = [
    "fine_tune", "load_corpora", "load_model", "load_study", "plot_transfer_matrix", "predict", "score",
    "transfer_matrix",
]  # fmt: skip


def load_corpora(data: str | os.PathLike[str], languages: Sequence[str] = ()) -> "dict[str, Corpus]":
    """Read the corpora of a folder, or of a name such as ``masakhaner``, which is downloaded once.

    Parameters
    ----------
    data : a folder with one folder per language (``train.txt``, ``dev.txt``, ``test.txt``), or a name.
    languages : the languages to read; by default all.

    Returns
    -------
    Corpora by language. ``corpus.train.sentences`` are sentences with ``words`` and IOB2 ``tags``, tuples of equal
    length.

    Raises
    ------
    InputError : a file is missing or is not CoNLL; the message names file and line.

    Examples
    --------
    >>> corpora = nt.load_corpora("mydata", ["hau"])
    >>> corpora["hau"].test.sentences[0].words[:2]
    ('Kano', 'da')
    """
    from nertransfer.corpora import corpus

    return corpus.load(DataOptions(data=os.fspath(data), languages=tuple(languages)))


def score(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> "pd.DataFrame":
    """Entity-level scores of IOB2 tags, as seqeval and conlleval count them (`nertransfer.scoring.reference.score`).

    Parameters
    ----------
    gold, predicted : one sequence of tags per sentence; both have the same lengths.

    Returns
    -------
    A frame with a row per category and one for ``ALL`` together (micro-averaged), and the columns ``precision``,
    ``recall``, ``f1`` (fractions) and ``support`` (gold entities).

    Raises
    ------
    ValueError : the lengths differ, or a tag is not IOB2.

    Examples
    --------
    >>> nt.score([["B-PER", "I-PER", "O"]], [["B-PER", "O", "O"]]).loc["ALL", "f1"]
    0.0
    """
    import pandas as pd

    from nertransfer.scoring.reference import score as scored

    found = scored(gold, predicted).default
    columns = ["precision", "recall", "f1", "support"]
    return pd.DataFrame({name: [getattr(one, name) for one in found.values()] for name in columns}, index=list(found))


def fine_tune(
    start: str,
    source: str,
    data: str | os.PathLike[str],
    seed: int = 0,
    study: str = "",
    tracking_uri: str = "",
    **parameters: object,
) -> "pd.DataFrame":
    """Fine-tune a start on a source language and score every target: the entry point ``train``, tracked in MLflow.

    A cell that is finished already is not fine-tuned again: its scores are read.

    Parameters
    ----------
    start : a multilingual encoder: a name of docs/starts.md such as ``base``, a folder, or an id of the hub.
    source : language whose train split is used, several as ``hau+swa``.
    data : as in `load_corpora`.
    seed : of the new head, the batch order and dropout.
    study : the MLflow experiment; by default the name of the data.
    tracking_uri : MLflow store; by default the environment's, else ``sqlite:///mlflow.db``.
    parameters : any other parameter of ``train`` (docs/reference.md), such as ``epochs=3`` or ``device="cpu"``.

    Returns
    -------
    The scores of the cell: its rows of `load_study`.

    Raises
    ------
    InputError : a parameter, a file or the start cannot be used. RuntimeError : another process works on this cell.

    Examples
    --------
    >>> scores = nt.fine_tune("base", "hau", "mydata", seed=0, epochs=3)
    """
    from nertransfer.studies.runner import train
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.store import client, open_study, study_name
    from nertransfer.training.accelerator import make_training_accelerator

    given = parameters | {
        "start": start, "source": source, "data": os.fspath(data), "seed": seed, "study": study,
        "tracking_uri": tracking_uri,
    }  # fmt: skip
    config = build(TrainConfig, {name: _text(value) for name, value in given.items() if value is not None})
    if config.num_processes > 1:
        raise InputError("num_processes is not allowed here: one process; the entry point train starts several")
    uri, name = resolve_uri(config.tracking), study_name(config.data, config.tracking)
    accelerator = make_training_accelerator(config.recipe, config.run)
    outcome = train(config, open_study(client(uri), name), accelerator)
    if outcome.state == "taken":
        raise RuntimeError(f"{outcome.cell}: another process works on it now")
    found = load_study(name, uri)
    of_cell = (found["source"] == config.source) & (found["seed"] == config.seed)
    rows = found[of_cell & (found["start"] == _start_name(config.start))]
    return rows.reset_index(drop=True)


def _start_name(text: str) -> str:
    from nertransfer.encoders import starts

    return starts.resolve(text).name


def _text(value: object) -> str:
    """A value as on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def load_study(study: str, tracking_uri: str = "") -> "pd.DataFrame":
    """All scores of a study, one row per start, source, seed, target, split and category.

    Parameters
    ----------
    study : the MLflow experiment.
    tracking_uri : MLflow store; by default the environment's, else ``sqlite:///mlflow.db``.

    Returns
    -------
    A frame with the columns ``start``, ``source``, ``seed``, ``target``, ``split`` (dev or test), ``category``
    (``ALL``: micro-averaged), ``precision``, ``recall``, ``f1`` (fractions) and ``support`` (gold entities).

    Raises
    ------
    InputError : there is no such store or study, or no cell of it is finished.

    Examples
    --------
    >>> scores = nt.load_study("planted")
    """
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.store import study_name

    tracking = TrackingOptions(study=study, tracking_uri=tracking_uri)
    return _analysis("reading.read").read(resolve_uri(tracking), study_name(DataOptions(data=""), tracking)).frame


def transfer_matrix(
    scores: "pd.DataFrame",
    start: str = "base",
    split: Literal["test", "dev"] = "test",
    category: str = "ALL",
    measure: Literal["f1", "precision", "recall"] = "f1",
) -> "pd.DataFrame":
    """Mean score over seeds, in percent: rows are sources, columns targets, both in the order of ``scores``.

    Parameters
    ----------
    scores : a frame as of `load_study`, or with its columns.

    Returns
    -------
    A frame (sources, targets); NaN where there is no score.

    Raises
    ------
    InputError : ``scores`` has no such start or category, or lacks a column.

    Examples
    --------
    >>> nt.transfer_matrix(nt.load_study("planted"), start="base").round(1)
    """
    for column in ("start", "source", "seed", "target", "split", "category", measure):
        if column not in scores:
            raise InputError(f"scores has no column {column!r}; it has {', '.join(map(str, scores.columns))}")
    chosen = scores
    for column, value in (("start", start), ("split", split), ("category", category)):
        known = list(dict.fromkeys(scores[column].astype(str)))
        if value not in known:
            raise InputError(
                f"{column}={value!r} is not in the scores; there are {', '.join(known)}{did_you_mean(value, known)}",
                column, value,
            )  # fmt: skip
        chosen = chosen[chosen[column] == value]
    means = chosen.groupby(["source", "target"], sort=False)[measure].mean().mul(100).unstack("target")
    order = [name for name in dict.fromkeys([*scores["source"], *scores["target"]])]
    return means.reindex(
        index=[name for name in order if name in means.index], columns=[name for name in order if name in means]
    ).rename_axis(index="source", columns="target")


def plot_transfer_matrix(matrix: "pd.DataFrame", title: str = "") -> "Figure":
    """Draw a `transfer_matrix` as the report does: a heat map of 6.3 inches, the width of a page.

    Parameters
    ----------
    matrix : percent, sources as rows and targets as columns.

    Returns
    -------
    A matplotlib figure: ``figure.savefig("matrix.pdf")``; a notebook shows it.

    Examples
    --------
    >>> figure = nt.plot_transfer_matrix(nt.transfer_matrix(scores))
    """
    matrices, plots = _analysis("transfer.matrices"), _analysis("report.plots")
    low, high = matrices.limits([matrix])
    return plots.heatmap(matrix, None, title, "F1 (%)", (low, high))


def load_model(model: str, tracking_uri: str = "") -> "Tagger":
    """Load a registered model, for `predict`.

    Parameters
    ----------
    model : ``ner-hau`` (its champion), ``models:/<name>@<alias>``, ``models:/<name>/<version>``, ``runs:/<run id>``, or
        a folder.
    tracking_uri : MLflow store; by default the environment's, else ``sqlite:///mlflow.db``.

    Raises
    ------
    InputError : there is no such model; the message says which there are.

    Examples
    --------
    >>> model = nt.load_model("ner-hau")
    """
    from nertransfer.serving.prediction import load_tagger

    named = model.startswith("ner-") and not os.path.isdir(model)
    which = ModelOptions(model=f"models:/{model}@champion" if named else model)
    return load_tagger(which, StoreOptions(tracking_uri=tracking_uri), "auto")[0]


def predict(model: "Tagger", texts: Sequence[str], threshold: float = 0.0) -> "pd.DataFrame":
    """The entities of texts.

    Parameters
    ----------
    model : of `load_model`.
    texts : running text; it is split into words as the model's own corpus is.
    threshold : entities with a lower score are left out.

    Returns
    -------
    A frame with one row per entity: ``input`` (which text, from 0), ``category``, ``text``, ``start`` and ``end``
    (characters), ``score`` (mean probability of the labels of its words).

    Raises
    ------
    ValueError : what is given is not a list of texts.

    Examples
    --------
    >>> nt.predict(model, ["Sani ya tafi Kano."])[["category", "text"]]
    """
    from nertransfer.registry.tagger import entity_table

    return entity_table(model, list(texts) if not isinstance(texts, str) else texts, {"threshold": threshold})


def _analysis(module: str) -> ModuleType:
    """A module of the project's analyses, which a wheel has below `nertransfer`, for ``analysis`` is a common name."""
    folder = PROJECT / "analysis"
    known = sys.modules.get("analysis")
    if known is None:
        spec = importlib.util.spec_from_file_location(
            "analysis", folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None and spec.loader is not None
        known = importlib.util.module_from_spec(spec)
        sys.modules["analysis"] = known
        spec.loader.exec_module(known)
    elif str(folder) not in map(str, getattr(known, "__path__", ())):
        raise ImportError(
            f"another module called analysis is imported, from {getattr(known, '__file__', None)}: nertransfer's own, "
            f"in {folder}, cannot be; use nertransfer's functions in a process without it"
        )
    return importlib.import_module(f"analysis.{module}")
