"""The models of a study as a table: of every start and source the best seed, with its scores on the source. Pure.

Percent throughout; frames hold fractions.
"""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.transfer.categories import names_of, published_frame
from analysis.transfer.pretraining import BASE, pairs_of
from nertransfer.core.schema import ALL, F1, PRECISION, RECALL, SUPPORT, model_name, start_alias

OVERALL = {F1: "F1", PRECISION: "Precision", RECALL: "Recall"}
CATEGORY = f"{F1}/"
"""Prefix of the column of a category's F1."""
COLUMNS = ["model", "start", "source", *OVERALL]
CHOICE_COLUMNS = ["seed", "seeds", "selection_split", "selection_f1", "inflation"]
"""They follow `COLUMNS` and the columns of the categories."""

PUBLISHED_NAMES = {
    "amh": "amharic", "hau": "hausa", "ibo": "igbo", "kin": "kinyarwanda", "lug": "luganda", "luo": "luo",
    "pcm": "naija", "swa": "swahili", "wol": "wolof", "yor": "yoruba",
}  # fmt: skip
"""What languages are called in the names of the published models (Beukman, NERTransfer, ``ModelCards.md``)."""
PUBLISHER = "mbeukman"
HUB = "https://huggingface.co/"


def published_name(start: str, source: str, names: Mapping[str, str] = PUBLISHED_NAMES) -> str:
    """The name of a published model; a language without a name in ``names`` goes by its code."""
    adapted = "" if start == BASE else f"-finetuned-{names.get(start, start)}"
    return f"xlm-roberta-base{adapted}-finetuned-ner-{names.get(source, source)}"


def registered_name(start: str, source: str) -> str:
    """Name and alias of the registered model: ``ner-hau@from-swa``."""
    return f"{model_name(source)}@{start_alias(start)}"


def rows(
    frame: pd.DataFrame, order: Sequence[str], selection_split: str = "dev", published: bool = False
) -> pd.DataFrame:
    """One row a (start, source): `COLUMNS`, F1 of every category, `CHOICE_COLUMNS`; percent on the source's test split.

    The seed is the one with the highest overall F1 on the source's ``selection_split`` (equal ones: the smallest), of
    ``seeds`` that have one; ``selection_f1`` is that F1. ``inflation`` is how many points of test F1 a choice on the
    test split shows more than one on the dev split. Rows are sorted by source in ``order``, which also says which
    sources are shown, then by start, `BASE` last, as in the published table.

    NaN, and no seed, where no seed has a score on the selection split; NaN also for a test score that is not there, for
    a category that the gold tags do not have, and for an inflation where a split has no scores, or one seed: no choice.
    ``published``: the categories from a report rounded to two decimals, and the published names of the models.
    Raises ValueError when a seed has two scores.
    """
    own = frame[frame["source"] == frame["target"]]
    own = published_frame(own) if published else own
    if own.duplicated(["start", "source", "split", "category", "seed"]).any():
        raise ValueError("a start has two scores for one source, split, category and seed")
    scores = {
        (row.start, row.source, row.split, row.category, row.seed): row
        for row in own.itertuples()
        if row.category == ALL or getattr(row, SUPPORT) > 0
    }
    seeds: dict[tuple[str, str, str], list[int]] = {}
    for start, source, split, category, seed in sorted(scores):
        if category == ALL and not math.isnan(getattr(scores[start, source, split, category, seed], F1)):
            seeds.setdefault((start, source, split), []).append(seed)

    def score(start: str, source: str, split: str, seed: int | None, category: str = ALL, measure: str = F1) -> float:
        row = scores.get((start, source, split, category, seed))
        return math.nan if row is None else 100 * getattr(row, measure)

    def best(start: str, source: str, split: str) -> int | None:
        rivals = seeds.get((start, source, split), [])
        return min(rivals, key=lambda seed: (-score(start, source, split, seed), seed), default=None)

    categories = [name for name in names_of(own) if name != ALL]
    found = []
    for start, source in _ordered(pairs_of(frame), order):
        pair, seed = (start, source), best(start, source, selection_split)
        on_test, on_dev = (
            score(*pair, "test", best(*pair, split)) if len(seeds.get((*pair, split), [])) > 1 else math.nan
            for split in ("test", "dev")
        )
        found.append(
            (published_name(*pair) if published else registered_name(*pair), *pair,
             *(score(*pair, "test", seed, ALL, measure) for measure in OVERALL),
             *(score(*pair, "test", seed, category) for category in categories),
             seed, len(seeds.get((*pair, selection_split), [])), selection_split,
             score(*pair, selection_split, seed), on_test - on_dev)
        )  # fmt: skip
    columns = [*COLUMNS, *(CATEGORY + name for name in categories), *CHOICE_COLUMNS]
    return pd.DataFrame(found, columns=columns).astype({"seed": "Int64"})


def champions(rows: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    """The run of each source's best model by F1 on the selection split, of the study itself: what is registered may be
    another study's. ``rows``: as of the function of that name; ``cells``: those of `results.StudyResults`."""
    runs = cells[cells["used"]].set_index(["start", "source", "seed"])["run_id"]
    chosen = rows.dropna(subset=["seed", "selection_f1"]).sort_values("selection_f1", ascending=False, kind="stable")
    places = chosen.drop_duplicates("source").sort_index()[["start", "source", "seed"]].itertuples(index=False)
    return [runs[tuple(place)] for place in places if tuple(place) in runs.index]


def _ordered(pairs: Sequence[tuple[str, str]], order: Sequence[str]) -> list[tuple[str, str]]:
    shown = [pair for pair in pairs if pair[1] in order]
    return sorted(shown, key=lambda pair: (order.index(pair[1]), pair[0] == BASE, pair[0]))
