"""Systems whose predictions were imported, beside what was fine-tuned in the study. Pure.

Percent and points.
"""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from analysis.statistics import comparison
from analysis.statistics import means as seed_means
from analysis.transfer.inference import Sample, tested
from nertransfer.core.grid import is_zero_shot

COLUMNS = [
    "target", "start", "source", "f1", "low", "high", "n_seeds", "strings",
    "rival", "rival_f1", "difference", "difference_low", "difference_high", "p", "p_holm", "untested",
]  # fmt: skip


def compared(
    found: Mapping[str, Sample], systems: Collection[tuple[str, str]], unaligned: pd.DataFrame, split: str = "test"
) -> pd.DataFrame:
    """One row a target and system: `COLUMNS`; with the interval of its mean F1, and less its ``rival``.

    The rival is the configuration with the highest mean F1 that is no system, and is zero-shot if the system is;
    without such a one the best other system. Sentences are paired (`comparison.differences`); ``p_holm`` corrects over
    the table, ``untested`` says why there is no p. ``strings``: how many predicted ones stand nowhere in their
    sentence, over all seeds.
    """
    rows = []
    nowhere = unaligned[unaligned["split"] == split].groupby(["start", "source", "target"])["strings"].sum()
    for target, sample in found.items():
        means = sample.means
        low, high = seed_means.mean_intervals(means)
        ours = [i for i in sample.shown if sample.configurations[i] in systems]
        for i in ours:
            start, source = sample.configurations[i]
            alike = [
                j for j in sample.shown
                if j != i and is_zero_shot(sample.configurations[j][1], target) == is_zero_shot(source, target)
            ]  # fmt: skip
            rivals = [j for j in alike if j not in ours] or alike
            known = sample.sentences_vary or means.seeds[i] > 1
            limits = (100 * low[i], 100 * high[i]) if known else (np.nan, np.nan)
            strings = int(nowhere.get((start, source, target), 0))
            row = (target, start, source, 100 * means.mean[i], *limits, int(means.seeds[i]), strings)
            if not rivals:
                rows.append((*row, "", *[np.nan] * 5, "nothing to compare with"))
                continue
            j = max(rivals, key=lambda j: means.mean[j])
            apart = comparison.differences(means, [i], [j])
            about = tested(apart, 0, bool(means.known[i] and means.known[j]))
            rows.append((*row, "-".join(sample.configurations[j]), 100 * means.mean[j], *about))
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "p_holm"])
    return table.assign(p_holm=comparison.holm(table["p"].astype(float)))[COLUMNS]
