"""Scores by category of every start on the language that it was fine-tuned on. Pure.

Percent throughout; frames hold fractions. Roles are those of `analysis.transfer.pretraining`.
"""

from collections.abc import Sequence

import pandas as pd

from analysis.transfer.pretraining import BASE, in_language, start_of, summary
from nertransfer.core.schema import ALL, F1, PRECISION, RECALL

COLUMNS = ["language", "role", "start", "category", "mean", "sd", "n", "difference"]
OVERALL = "overall"
"""What `ALL` is called in a table."""


def names_of(frame: pd.DataFrame) -> list[str]:
    """The categories of a frame, sorted, `ALL` last."""
    return [*sorted(set(frame["category"]) - {ALL}), ALL]


def by_start(
    frame: pd.DataFrame,
    roles: Sequence[str],
    split: str = "test",
    ddof: int = 1,
    languages: Sequence[str] | None = None,
    reference: str = BASE,
) -> pd.DataFrame:
    """F1 in percent by language, role and category (`ALL` last), and its difference to the start ``reference`` in
    points: `COLUMNS`.

    ``languages`` names and orders the languages; None: the sources of the frame, sorted. Without scores, or where the
    gold tags do not have the category, a row has ``n`` 0 and NaN.
    """
    samples = in_language(frame, split)
    languages = sorted(set(frame["source"])) if languages is None else languages
    categories = names_of(frame[frame["split"] == split])
    rows = []
    for language in languages:
        for role in roles:
            start = start_of(role, language)
            for category in categories:
                mean, sd, n = summary(samples.get((start, language, category)), ddof)
                base = summary(samples.get((reference, language, category)), ddof)[0]
                rows.append((language, role, start, category, mean, sd, n, mean - base))
    return pd.DataFrame(rows, columns=COLUMNS)


def published_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the scores of categories as seqeval's report prints them: two decimals; `ALL` stays as it is.

    The published study read the categories from that report.
    """
    found = frame.copy()
    categories = found["category"] != ALL
    for measure in (PRECISION, RECALL, F1):
        found.loc[categories, measure] = [float(f"{value:.2f}") for value in found.loc[categories, measure]]
    return found
