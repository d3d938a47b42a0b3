"""What a study says with and without the configurations and fine-tunings that are not used. Pure."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.reading.results import StudyResults
from analysis.statistics.tables import number
from analysis.transfer import answers, inference, matrices, pretraining
from analysis.transfer.views import views
from nertransfer.core.grid import BASE, OWN, is_zero_shot
from nertransfer.core.schema import ALL, F1

COLUMNS = ["claim", "used", "with_all", "differs"]
APART = 1.0
"""Points from which two numbers differ."""


def consequences(every: StudyResults, kept: StudyResults, reference: str, split: str = "test") -> pd.DataFrame:
    """Every claim in words, as it is on what is used and on all results; `COLUMNS`. Those that differ come first.

    ``differs``: another pair is the best, a difference has another sign, a number is `APART` points or more apart, or
    only one of both has the claim.
    """
    used, whole = (_claims(found, reference, split) for found in (kept, every))
    rows = []
    for claim in {**used, **whole}:
        one, other = used.get(claim), whole.get(claim)
        differs = one is None or other is None or one.apart(other)
        rows.append((claim, one.text if one else "", other.text if other else "", differs))
    rows = sorted(rows, key=lambda row: not row[3])  # stable
    return pd.DataFrame(rows, columns=COLUMNS)


@dataclass(frozen=True)
class _Said:
    """A claim in words, its ``value`` in percent or points, and ``what`` it is said of: the best pair, or a sign."""

    text: str
    value: float
    what: Hashable

    def apart(self, other: "_Said") -> bool:
        return self.what != other.what or abs(self.value - other.value) >= APART


def _difference(value: float, text: str) -> _Said:
    """A difference in points; one that is printed as 0 has no sign."""
    return _Said(f"{number(value, 1, True)} points{text}", value, np.sign(round(value, 1)))


def _claims(found: StudyResults, reference: str, split: str) -> Mapping[str, _Said]:
    """What the study says, by what it is said of; from means over seeds alone."""
    frame = matrices.defined(found.frame, split, matrices.undefined(found.frame, split))
    samples = inference.samples(frame, {}, split)
    claims = {}
    means = frame[(frame["split"] == split) & (frame["category"] == ALL)]
    means = means.groupby(["target", "start", "source"], sort=False)[F1].mean().mul(100)
    for target, rows in means.groupby(level="target", sort=False):
        rivals = rows[[is_zero_shot(source, str(target)) for _, _, source in rows.index]]
        if len(rivals):
            first = rivals.sort_values(ascending=False, kind="stable").head(2)
            _, start, source = first.index[0]
            lead = f", {number(first.iloc[0] - first.iloc[1])} ahead" if len(first) > 1 else ""
            text = f"start {start}, source {source}: {number(first.iloc[0])}{lead}"
            claims[f"best start and source for {target}"] = _Said(text, first.iloc[0], (start, source))
    adapted = answers.adapted_to_target(frame, inference.differences(samples, reference), reference, split)
    for effect in answers.adaptation_effect(adapted, reference).itertuples():
        claim = f"start adapted to the target minus {reference}, {answers.from_source(effect.source)}"
        claims[claim] = _difference(effect.difference, f" over {effect.n_targets} targets")
    roles = pretraining.roles(found.plan["pairs"])
    if OWN in roles and reference == BASE:
        table = pretraining.effect(frame, roles, split)
        gains = table.loc[table["role"] == OWN, "difference"].dropna()
        if len(gains):
            claims[f"own start minus {BASE}, in-language"] = _difference(gains.mean(), f" over {len(gains)} languages")
    for view in views(frame, found.plan, found.languages):
        if view.kind != "own":
            cube = view.cube(split)
            average = matrices.with_margins(cube.statistic("mean"), view.own(cube.targets))
            if matrices.ZERO_SHOT in average.columns and matrices.ZERO_SHOT in average.index:
                mean = float(average.loc[matrices.ZERO_SHOT, matrices.ZERO_SHOT])
                claims[f"mean zero-shot F1, {view.title}"] = _Said(number(mean), mean, None)
    return claims
