"""What a study says with and without the configurations and fine-tunings that are not used. Pure."""

from collections.abc import Mapping

import pandas as pd

from analysis.reading.results import StudyResults
from analysis.statistics.tables import number
from analysis.transfer import answers, inference, matrices, pretraining
from analysis.transfer.views import views
from nertransfer.core.grid import BASE, OWN, is_zero_shot

COLUMNS = ["claim", "used", "with_all", "differs"]


def consequences(every: StudyResults, kept: StudyResults, reference: str, split: str = "test") -> pd.DataFrame:
    """Every claim in words, as it is on what is used and on all results; `COLUMNS`. Those that differ come first."""
    used, whole = (_claims(found, reference, split) for found in (kept, every))
    rows = [(claim, used.get(claim, ""), whole.get(claim, "")) for claim in {**used, **whole}]
    rows = sorted(rows, key=lambda row: row[1] == row[2])  # stable
    return pd.DataFrame([(*row, row[1] != row[2]) for row in rows], columns=COLUMNS)


def _claims(found: StudyResults, reference: str, split: str) -> Mapping[str, str]:
    """What the study says, by what it is said of; from means over seeds alone."""
    frame = matrices.defined(found.frame, split, matrices.undefined(found.frame, split))
    samples = inference.samples(frame, {}, split)
    claims = {}
    means = frame[(frame["split"] == split) & (frame["category"] == "ALL")]
    means = means.groupby(["target", "start", "source"], sort=False)["f1"].mean().mul(100)
    for target, rows in means.groupby(level="target", sort=False):
        rivals = rows[[is_zero_shot(source, str(target)) for _, _, source in rows.index]]
        if len(rivals):
            first = rivals.sort_values(ascending=False, kind="stable").head(2)
            _, start, source = first.index[0]
            lead = f", {number(first.iloc[0] - first.iloc[1])} ahead" if len(first) > 1 else ""
            text = f"start {start}, source {source}: {number(first.iloc[0])}{lead}"
            claims[f"best start and source for {target}"] = text
    adapted = answers.adapted_to_target(frame, inference.differences(samples, reference), reference, split)
    for effect in answers.adaptation_effect(adapted, reference).itertuples():
        text = f"{number(effect.difference, 1, True)} points over {effect.n_targets} targets"
        claims[f"start adapted to the target minus {reference}, source {effect.source}"] = text
    roles = pretraining.roles(found.plan["pairs"])
    if OWN in roles and reference == BASE:
        table = pretraining.effect(frame, roles, split)
        gains = table.loc[table["role"] == OWN, "difference"].dropna()
        if len(gains):
            text = f"{number(gains.mean(), 1, True)} points over {len(gains)} languages"
            claims[f"own start minus {BASE}, in-language"] = text
    for view in views(frame, found.plan, found.languages):
        if view.kind != "own":
            cube = view.cube(split)
            average = matrices.with_margins(cube.statistic("mean"), view.own(cube.targets))
            if matrices.ZERO_SHOT in average.columns and matrices.ZERO_SHOT in average.index:
                text = number(average.loc[matrices.ZERO_SHOT, matrices.ZERO_SHOT])
                claims[f"mean zero-shot F1, {view.title}"] = text
    return claims
