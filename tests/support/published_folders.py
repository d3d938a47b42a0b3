"""Result folders as the published study wrote them."""

import json
import random
import subprocess
from collections.abc import Mapping
from pathlib import Path

from seqeval.metrics import classification_report, f1_score, precision_score, recall_score

from nertransfer.corpora.corpus import Corpus, Split
from nertransfer.corpora.words import OUTSIDE
from nertransfer.studies.published.files import CONFIG_FILE, MODELS, ZERO_SHOT, CellName


def target_folder(cell: CellName, target: str) -> str:
    """The name of the folder with a model's results on a target."""
    return f"{target}_zero_shot_{cell.folder}_{target}_{cell.epochs}"


def save_published_results(repository: Path, corpora: Mapping[str, Corpus]) -> None:
    """A git repository of results on these corpora: starts base and swa, two seeds; a part of the entities is found."""
    for start, source, seed in (
        (start, source, seed) for start in ("base", "swa") for source in corpora for seed in (0, 1)
    ):
        cell = CellName(source, start, seed, 50)
        folder = repository / MODELS / cell.folder
        _save_results(folder, corpora[source].test, f"{cell} {source}")
        (folder / "eval_results.txt").write_text(_report(corpora[source].dev, _tags(corpora[source].dev)))
        (folder / CONFIG_FILE).write_text(json.dumps({"_name_or_path": "xlm-roberta-base"}))
        for target, corpus in corpora.items():
            _save_results(
                repository / MODELS / ZERO_SHOT / target_folder(cell, target), corpus.test, f"{cell} {target}"
            )
    identity = ("-c", "user.name=author", "-c", "user.email=author@example.org")
    for command in (("init", "--quiet"), ("add", "."), (*identity, "commit", "--quiet", "--message", "Results")):
        subprocess.run(["git", "-C", str(repository), *command], check=True)


def _tags(split: Split) -> list[list[str]]:
    return [list(sentence.tags) for sentence in split.sentences]


def _save_results(folder: Path, split: Split, seed: str) -> None:
    draw = random.Random(seed)
    predicted = [tags if draw.random() < 0.6 else [OUTSIDE] * len(tags) for tags in _tags(split)]
    folder.mkdir(parents=True)
    (folder / "test_results.txt").write_text(_report(split, predicted))
    pairs = (zip(sentence.words, tags, strict=True) for sentence, tags in zip(split.sentences, predicted, strict=True))
    lines = ("".join(f"{word} {tag}\n" for word, tag in sentence) for sentence in pairs)
    (folder / "test_predictions.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _report(split: Split, predicted: list[list[str]]) -> str:
    gold = _tags(split)
    values = {"f1": f1_score, "loss": lambda *_, **__: 0.1, "precision": precision_score, "recall": recall_score}
    head = "".join(f"{name} = {measure(gold, predicted, zero_division=0)}\n" for name, measure in values.items())
    return f"{head}report = {classification_report(gold, predicted, zero_division=0)}"
