"""How well intervals and tests over few seeds do in simulated studies: variances of their own, and moderated.

    python benchmarks/few_seeds.py                  # the table of docs/experiments.md, some minutes
    python benchmarks/few_seeds.py --studies 20

A study has two starts that are equally good, nine sources and nine targets. All scores of a model move together by half
of its variance. Prints Markdown: coverage of 95 % intervals of single means and of averages of a start, how often tests
at 0.05 call equal means different, and the median width of single intervals in points.
"""

import argparse
import itertools
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
from scipy import special

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from analysis.reading.results import FRAME_COLUMNS
from analysis.statistics import moderation
from analysis.transfer import inference
from nertransfer.core.schema import ALL

LANGUAGES = [f"l{i}" for i in range(9)]
USUAL_SD, SLOPE, FREEDOM = 0.02, -1.0, 4.0
"""As in the published study: sd of seeds where F1 is 0.5, trend of log variance in the logit of F1, and how much
variances differ from it."""
COLLAPSE = 0.15
SCENARIOS = ("as published", "variances log-normal", "all vary alike", "15 % collapse")


def simulated(scenario: str, seeds: int, rng: np.random.Generator) -> tuple[pd.DataFrame, dict[tuple[str, str], float]]:
    """Scores of a study, and the true mean by (source, target), which is that of models that do not collapse."""
    source, target = rng.normal(0, 0.05, 9), rng.normal(0, 0.1, 9)
    level = np.clip(0.5 + source[:, None] + target + 0.25 * np.eye(9), 0.15, 0.92)
    usual = USUAL_SD**2 * np.exp(SLOPE * special.logit(level))
    rows = []
    for start, i in itertools.product(("base", "other"), range(9)):
        if scenario == "variances log-normal":
            variance = usual[i] * np.exp(rng.normal(0, 0.8, 9))
        else:
            variance = usual[i] * (1.0 if scenario == "all vary alike" else FREEDOM / rng.chisquare(FREEDOM, 9))
        for seed in range(seeds):
            moved = np.sqrt(variance / 2) * (rng.normal() + rng.normal(size=9))
            f1 = np.clip(level[i] + moved, 0, 1)
            if scenario == SCENARIOS[-1] and rng.random() < COLLAPSE:
                f1 = 0.02 * f1
            rows += [(start, LANGUAGES[i], seed, LANGUAGES[j], "test", ALL, f, f, f, 1) for j, f in enumerate(f1)]
    truth = {(LANGUAGES[i], LANGUAGES[j]): 100 * level[i, j] for i, j in itertools.product(range(9), repeat=2)}
    return pd.DataFrame(rows, columns=FRAME_COLUMNS), truth


def measured(frame: pd.DataFrame, truth: dict[tuple[str, str], float]) -> dict[str, np.ndarray]:
    """Of one study what is right, by measure; of models with a collapsed seed apart."""
    found = inference.samples(frame, {})
    fell = {cell[:2] for cell in inference.far_weaker(frame)}
    table = inference.intervals(found)
    true = np.array([truth[place] for place in zip(table["source"], table["target"], strict=True)])
    inside = ((table["low"] <= true) & (true <= table["high"])).to_numpy()
    whole = np.array([place not in fell for place in zip(table["start"], table["source"], strict=True)], bool)
    apart = inference.differences(found)
    both = np.array([not {("base", source), ("other", source)} & fell for source in apart["source"]], bool)
    pairs = {place for place in truth if place[0] != place[1]}
    averages = inference.start_averages(found, ["base", "other"], pairs)
    mean = np.mean([truth[place] for place in pairs])
    unharmed = [not any(start == name for name, _ in fell) for start in averages["start"]]
    covered = ((averages["low"] <= mean) & (mean <= averages["high"])).to_numpy()
    return {
        "coverage": inside[whole], "collapsed": inside[~whole],
        "width": (table["high"] - table["low"]).to_numpy()[whole],
        "level": (apart["p"] < 0.05).to_numpy()[both], "average": covered[unharmed],
        "average_level": (averages["p"].dropna() < 0.05).to_numpy() if all(unharmed) else np.empty(0, bool),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=200)
    studies = parser.parse_args().studies
    print("| variances | seeds | of | coverage | level | width | average: coverage | level | with a collapsed seed |")
    print("|---|---|---|---|---|---|---|---|---|")
    for scenario, seeds, own in itertools.product(SCENARIOS, (2, 3, 5), (True, False)):
        if seeds >= moderation.FEW_SEEDS and not own:
            continue
        rng = np.random.default_rng(0)
        with mock.patch.object(moderation, "FEW_SEEDS", 0 if own else moderation.FEW_SEEDS):
            parts = [measured(*simulated(scenario, seeds, rng)) for _ in range(studies)]
        one = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        shown = {name: f"{100 * np.mean(values):.1f} %" if len(values) else "" for name, values in one.items()}
        shown["width"] = f"{np.median(one['width']):.1f}"
        columns = ("coverage", "level", "width", "average", "average_level", "collapsed")
        of = "seeds alone" if own else "moderated"
        print("|", " | ".join([scenario, str(seeds), of, *(shown[name] for name in columns)]), "|", flush=True)


if __name__ == "__main__":
    main()
