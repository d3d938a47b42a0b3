"""Which start and source for a target: all configurations of a study at once, and what adapting a start adds. Pure.

The mixed model ranks them; every target is left out in turn, as target, as source and as a start adapted to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.ranking import expectation, mixed
from analysis.ranking.expectation import Expected, Left, Widening
from analysis.ranking.judging import RECOMMENDED_COLUMNS, strongest
from analysis.ranking.mixed import CLOSENESS, PARTS, Mixed, Rows
from nertransfer.scoring.intervals import interval

LEAST_TARGETS = 4
"""Scores that a configuration needs to be recommended and judged."""
GAIN_COLUMNS = ["target", "source", "adapted_f1", "first_start", "first_source", "first_f1", "gain"]


@dataclass(frozen=True)
class Trial:
    """The configurations of a study judged by leave-one-target-out.

    ``table``: a row per target, with the pair that is ranked first, the best one, and the regret (points) of the model
    and of two plain rules: always the pair that is best on average over the other targets, and one drawn by lot.
    ``left``, ``inner``: as `expectation.widening` takes them.
    """

    table: pd.DataFrame
    left: list[Left]
    inner: list[list[Left]]

    def regret(self, rule: str) -> tuple[float, float, float]:
        """Mean regret of a rule (a column of the table) and its 95 % interval over targets."""
        return interval(self.table[rule].to_numpy(float), 0, 100)


def usual(rows: Rows) -> np.ndarray:
    """Which rows are of configurations that have enough scores to be compared (n,)."""
    names = pd.Series(list(zip(rows.start, rows.source, strict=True)), dtype=object)
    return (names.map(names.value_counts()) >= LEAST_TARGETS).to_numpy(bool)


def of_target(rows: Rows, compared: np.ndarray, target: str, without: str = "") -> np.ndarray:
    """Places of a target's rows among those ``compared`` (n,), but for those of starts adapted to it and those with the
    language ``without``."""
    there = compared & (rows.target == target) & (rows.start != target)
    return np.flatnonzero(there & ~rows.of([without]) if without else there)


def judge(model: Mixed, nested: bool = True) -> Trial:
    """Rank the configurations of every target as if it were new, and compare with its scores.

    ``nested``: with what `expectation.widening` needs.
    """
    rows = model.seen
    compared = usual(rows)
    found, left, inner = [], [], []
    targets = list(dict.fromkeys(rows.target))
    for target in targets:
        here = of_target(rows, compared, target)
        if len(here) < 2:
            continue
        expected, f1 = model.f1(rows.where(here), [target]), rows.f1[here]
        left.append((expected, f1))
        others = []
        for other in targets if nested else ():
            there = of_target(rows, compared, other, target)
            if other != target and len(there) > 1:
                others.append((model.f1(rows.where(there), [target, other]), rows.f1[there]))
        inner.append(others)
        first, best = here[int(np.argmax(expected))], here[int(np.argmax(f1))]
        average = here[int(np.argmax(_on_average(rows, here, target)))]
        found.append(
            {
                "target": target,
                "configurations": len(here),
                "start": rows.start[first],
                "source": rows.source[first],
                "f1": rows.f1[first],
                "best_start": rows.start[best],
                "best_source": rows.source[best],
                "best_f1": f1.max(),
                "regret": f1.max() - rows.f1[first],
                "regret_average": f1.max() - rows.f1[average],
                "regret_random": f1.max() - f1.mean(),
            }
        )
    return Trial(pd.DataFrame(found), left, inner)


def _on_average(rows: Rows, here: np.ndarray, target: str) -> np.ndarray:
    """Of configurations, the mean advantage over the other targets, no score of ``target`` being seen."""
    seen = ~rows.of([target]) & usual(rows)
    frame = pd.DataFrame({"start": rows.start, "source": rows.source, "target": rows.target, "f1": rows.f1})[seen]
    frame["f1"] -= frame.groupby("target")["f1"].transform("mean")
    means = frame.groupby(["start", "source"])["f1"].mean()
    return np.array([means.get((rows.start[i], rows.source[i]), -np.inf) for i in here])


def recommend(model: Mixed, trial: Trial, asked: Rows) -> tuple[pd.DataFrame, Widening]:
    """The configurations ``asked`` for a target, the best first: columns of `judging.recommend`, and the widening."""
    f1, parts = model.f1(asked), model.parts(asked)
    widened = expectation.widening(trial.left, trial.inner)
    return listed(asked, f1, parts, expectation.expect(f1, expectation.errors_of(trial.left), widened)), widened


def listed(asked: Rows, f1: np.ndarray, parts: np.ndarray, known: Expected) -> pd.DataFrame:
    """`judging.RECOMMENDED_COLUMNS` of configurations with expected F1, then their closeness; by expected F1."""
    apart, f1 = parts - parts.mean(axis=0), f1.round(9)
    table = pd.DataFrame(
        [
            (
                1 + int((f1 > f1[i]).sum()), asked.start[i], asked.source[i], known.f1[i],
                known.f1_low[i], known.f1_high[i], known.regret[i], known.regret_low[i], known.regret_high[i],
                strongest(PARTS, apart[i]), *(asked.closeness[i] * list(CLOSENESS.values())),
            )
            for i in sorted(range(len(asked)), key=lambda i: (-f1[i], asked.start[i], asked.source[i]))
        ],
        columns=[*RECOMMENDED_COLUMNS, *CLOSENESS],
    )  # fmt: skip
    return table.dropna(axis=1, how="all").reindex(
        columns=[c for c in table if c in RECOMMENDED_COLUMNS or table[c].notna().any()]
    )


def gains(model: Mixed, trial: Trial) -> pd.DataFrame:
    """What a start adapted to the target adds: a row per target that has one, `GAIN_COLUMNS`, F1 in percent.

    ``gain``: points of F1 of the adapted start with the source that most targets have with it, more than of the pair
    that the model ranks first for the target as if it were new.
    """
    rows = model.seen
    adapted = rows.where((rows.start == rows.target) & (rows.source != rows.target))
    if not len(adapted) or not len(trial.table):
        return pd.DataFrame(columns=GAIN_COLUMNS)
    usual_source = str(pd.Series(adapted.source).mode().iloc[0])
    found = []
    for row in trial.table.itertuples():
        there = (adapted.target == row.target) & (adapted.source == usual_source)
        if there.any():
            f1 = float(adapted.f1[there][0])
            found.append((row.target, usual_source, f1, row.start, row.source, row.f1, f1 - row.f1))
    return pd.DataFrame(found, columns=GAIN_COLUMNS)


def twins(scores: pd.DataFrame) -> list[tuple[str, str, str]]:
    """(start, other start, source) of configurations whose F1 is the same in every seed on every target.

    ``scores``: rows of (start, source, seed, target, f1). One of the two was copied, and it is not known which.
    """
    wide = scores.pivot_table(index=["start", "source"], columns=["seed", "target"], values="f1")
    found = []
    for a, b in combinations(range(len(wide)), 2):
        (start, source), (other, same) = wide.index[a], wide.index[b]
        one, two = wide.iloc[a].to_numpy(float), wide.iloc[b].to_numpy(float)
        if source == same and len(set(one)) > 2 and np.array_equal(one, two, equal_nan=True):
            found.append((str(start), str(other), str(source)))
    return found


def suspects(
    means: Mapping[str, pd.DataFrame], copies: Sequence[tuple[str, str, str]], base: str
) -> tuple[set[tuple[str, str]], list[str]]:
    """The (start, source) that do not count, for they are copies of one another, and why, in words.

    ``means``: transfer matrices by start in percent; ``copies`` of `twins`. Of two starts the one is misnamed that
    helps the other's language more than any other, compared with ``base``, where the other helps its own most; then all
    its configurations go. Else both copies go, for it is not known which is right.
    """
    gone, said = set(), []
    for one, other, source in copies:
        same = f"{one} and {other} with {source} have the same F1 in every seed on every target"
        helped = {start: _most_helped(means, start, base) for start in (one, other)}
        misnamed = [a for a, b in ((one, other), (other, one)) if helped[a][0] == b == helped[b][0]]
        if misnamed:
            (start,), (target, gain) = misnamed, helped[misnamed[0]]
            gone |= {(start, name) for name in means[start].index}
            said.append(
                f"{same}; start {start} helps {target} most ({gain:+.1f} points compared with {base}), so it is taken "
                f"for start {target} under a wrong name, and nothing of it counts."
            )
        else:
            gone |= {(one, source), (other, source)}
            said.append(f"{same}, so one of them was copied: neither counts.")
    return gone, said


def _most_helped(means: Mapping[str, pd.DataFrame], start: str, base: str) -> tuple[str, float]:
    """The target on which a start is best compared with ``base`` and the same sources, zero-shot, and by how much."""
    if base not in means or start == base:
        return "", 0.0
    gain = (means[start] - means[base].reindex(index=means[start].index, columns=means[start].columns)).copy()
    for name in set(gain.index) & set(gain.columns):
        gain.loc[name, name] = np.nan
    mean = gain.mean(axis=0).dropna()
    return (str(mean.idxmax()), float(mean.max())) if len(mean) else ("", 0.0)


def asked_for(rows: Rows, target: str, features: pd.DataFrame, starts: Sequence[str] = ()) -> Rows:
    """The configurations that are recommended for a target, of some ``starts`` or all."""
    there = rows.where(usual(rows))
    pairs = dict.fromkeys(zip(there.start, there.source, strict=True))
    kept = [(a, b) for a, b in pairs if b != target and a != target and (not starts or a in starts)]
    return mixed.rows([a for a, _ in kept], [b for _, b in kept], [target] * len(kept), features)
