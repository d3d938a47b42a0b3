"""How often the interval of the best of many configurations holds its true mean, in simulated studies.

    python benchmarks/best_of_many.py                  # the table of docs/experiments.md, a few minutes
    python benchmarks/best_of_many.py --studies 5

A study has nine targets and 22 configurations, whose true means lie so many points (sd) around 60. Variances over seeds
differ as in the published study (inverse chi-square with 4 degrees of freedom). Prints Markdown: coverage of the 95 %
interval of `answers.best_pairs` and of the usual one of the configuration that came out best, and their median widths.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from analysis.reading.results import FRAME_COLUMNS
from analysis.transfer import answers, inference
from nertransfer.core.schema import ALL

CONFIGURATIONS, TARGETS, SD, FREEDOM = 22, 9, 0.015, 4.0


def simulated(apart: float, seeds: int, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """Scores, and true means (targets, configurations) in percent; ``apart``: their sd in points."""
    truth = 60 + apart * rng.normal(size=(TARGETS, CONFIGURATIONS))
    sd = SD * np.sqrt(FREEDOM / rng.chisquare(FREEDOM, truth.shape))
    f1 = np.clip(truth[..., None] / 100 + sd[..., None] * rng.normal(size=(*truth.shape, seeds)), 0, 1)
    rows = [
        (f"s{i:02d}", "source", seed, f"t{t}", "test", ALL, f1[t, i, seed], f1[t, i, seed], f1[t, i, seed], 1)
        for t, i, seed in np.ndindex(*f1.shape)
    ]
    return pd.DataFrame(rows, columns=FRAME_COLUMNS), truth


def measured(apart: float, seeds: int, studies: int) -> dict[str, float]:
    """Coverage and median width in points of both intervals."""
    rng = np.random.default_rng(seeds)
    held, usual, widths = [], [], []
    for _ in range(studies):
        frame, truth = simulated(apart, seeds, rng)
        samples = inference.samples(frame, {})
        best = answers.best_pairs(samples, []).set_index("target")
        plain = inference.intervals(samples).set_index(["target", "start"])
        for t, (target, row) in enumerate(best.iterrows()):
            mean, one = truth[t, int(row["start"][1:])], plain.loc[(target, row["start"])]
            held.append(row["low"] <= mean <= row["high"])
            usual.append(one["low"] <= mean <= one["high"])
            widths.append((row["high"] - row["low"], one["high"] - one["low"]))
    width, plain_width = np.median(widths, axis=0)
    return {"coverage": np.mean(held), "width": width, "usual": np.mean(usual), "usual width": plain_width}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=40, help="studies for each row; nine targets each")
    given = parser.parse_args()
    print("| seeds | means apart | coverage | width | usual interval | its width |\n|---|---|---|---|---|---|")
    for seeds in (2, 3, 5):
        for apart in (0, 1, 3, 10):
            row = measured(apart, seeds, given.studies)
            texts = [
                f"{row['coverage']:.3f}",
                f"{row['width']:.1f}",
                f"{row['usual']:.3f}",
                f"{row['usual width']:.1f}",
            ]
            print(f"| {seeds} | {apart} | {' | '.join(texts)} |", flush=True)


if __name__ == "__main__":
    main()
