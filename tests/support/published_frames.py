"""Frames with the scores of the published study, and its table of pre-training."""

import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

COLUMNS = ["start", "source", "seed", "target", "split", "category", "precision", "recall", "f1", "support"]

# Beukman, NERTransfer, analysis/v10/results.tex: the columns of the three languages of the sample
PUBLISHED_LATEX = r"""\begin{tabular}{llll}
\toprule
{} &                      wol &                      hau &                      swa \\
\midrule
Pre-trained (same-language) &               66.9 (1.7) &  $\textbf{91.6 (0.4)}^*$ &  $\textbf{89.6 (0.6)}^*$ \\
Pre-trained (swa)           &  $\textbf{67.3 (1.3)}^*$ &    $\text{88.8 (0.2)}^*$ &  $\textbf{89.6 (0.6)}^*$ \\
Pre-trained (base)          &               64.2 (1.3) &               89.5 (0.4) &               87.8 (0.5) \\
\bottomrule
\end{tabular}
"""


def every_published_score(shared_data: Path) -> pd.DataFrame:
    """All scores of the study, a tidy frame."""
    return pd.read_csv(shared_data / "published_scores.csv", usecols=COLUMNS)[COLUMNS]


def models(shared_data: Path) -> list[tuple[Path, str, str, int]]:
    """(folder, start, source, seed) of every cell of the published sample."""
    folder = shared_data / "published_sample" / "src" / "runs" / "v10" / "models"
    found = (re.fullmatch(r"(\w+)_v10_start_(\w+)__\w+__(\d)_50", path.name) for path in sorted(folder.iterdir()))
    return [(folder / name[0], name[2], name[1], int(name[3])) for name in found if name]


def published_frame(shared_data: Path) -> pd.DataFrame:
    """The in-language scores of the sample as printed, a tidy frame; deliberately not the project's own reader."""
    rows = []
    for folder, start, source, seed in models(shared_data):
        for split, name in (("dev", "eval"), ("test", "test")):
            text = (folder / f"{name}_results.txt").read_text()
            number = {key: float(value) for key, value in re.findall(r"(\w+) = ([\d.]+)$", text, re.MULTILINE)}
            lines = re.findall(r"^ +([A-Z]+) +([\d.]+) +([\d.]+) +([\d.]+) +(\d+)$", text, re.MULTILINE)
            total = sum(int(line[-1]) for line in lines)
            cell = (start, source, seed, source, split)
            rows.append((*cell, "ALL", number["precision"], number["recall"], number["f1"], total))
            rows += [(*cell, line[0], *map(float, line[1:4]), int(line[4])) for line in lines]
    return pd.DataFrame(rows, columns=COLUMNS)


@functools.cache
def published_scores(shared_data: Path) -> pd.DataFrame:
    """All scores of the published study; not to be changed."""
    return pd.read_csv(shared_data / "published_scores.csv", keep_default_na=False, na_values=[""])[COLUMNS]


def frame_of(
    scores: dict[tuple[str, str], Sequence[float]], split: str = "test", category: str = "ALL"
) -> pd.DataFrame:
    """In-language percent by (start, source), one a seed, as a tidy frame of fractions."""
    rows = [
        (start, source, seed, source, split, category, value / 100, value / 100, value / 100, 10)
        for (start, source), values in scores.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


STUDY = {
    ("base", "hau"): (80.0, 81.0, 82.0, 83.0, 84.0),
    ("base", "wol"): (60.0, 61.5, 62.0, 63.0, 64.0),
    ("base", "swa"): (70.0, 71.0, 72.0, 73.0, 74.5),
    ("swa", "hau"): (79.0, 80.5, 81.5, 82.5, 83.5),
    ("swa", "wol"): (65.0, 66.0, 67.0, 68.0, 69.0),
    ("swa", "swa"): (80.0, 81.0, 82.0, 83.0, 84.0),
    ("hau", "hau"): (81.9, 82.1, 82.2, 82.3, 82.4),
    ("wol", "wol"): (50.0, 51.0, 52.0, 53.0, 54.0),
    ("hau", "swa"): (10.0, 11.0, 12.0, 13.0, 14.0),  # swa is a pivot
    ("wol", "swa"): (90.0, 91.0, 92.0, 93.0, 94.0),
}
ROLES = ["base", "swa", "own"]


def shuffled(frame: pd.DataFrame, order: Iterable[int]) -> pd.DataFrame:
    return frame.iloc[list(order)].reset_index(drop=True)
