"""Claims on adaptation, tested: what continued pre-training on a language does to F1, averaged over pairs. Pure.

In percent and points. An adapted start has the name of the language it was adapted to.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.reading.sentence_counts import SentenceCounts
from analysis.statistics import comparison
from analysis.transfer import inference, matrices
from analysis.transfer.inference import Sample, Scored
from nertransfer.core.grid import Place, is_language, is_zero_shot
from nertransfer.core.schema import F1
from nertransfer.scoring.intervals import POINTS, interval

COLUMNS = [
    "claim", "category", "first", "second", "difference", "low", "high", "p", "p_holm", "n_pairs", "pairs_higher",
    "n_seeds", "untested", "n_languages", "languages_low", "languages_high",
]  # fmt: skip
NO_SEED = "no seed has all pairs"
SIDES = ("first", "second")
RESAMPLES = 300
"""Only the variance over them is used: the error of a standard error is 4 % then."""


@dataclass(frozen=True)
class Claim:
    """Two scores are compared in every pair of ``pairs``, and their differences averaged. ``name`` says when,
    ``first`` and ``second`` what; the language of a pair is that of its first start."""

    name: str
    first: str
    second: str
    pairs: list[tuple[Scored, Scored]]


def claims(
    configurations: Iterable[tuple[str, str]], targets: Sequence[str], pivots: Sequence[str], reference: str
) -> list[Claim]:
    """What the (start, source) of a study allow to test; claims without a pair are left out.

    The two sides of a claim are of different models: no seed of one is a seed of the other.
    """
    there = {pair for pair in configurations if is_language(pair[1])}
    own = [name for name in sorted({start for start, _ in there}) if name != reference and (name, name) in there]
    based = [name for name in own if (reference, name) in there]
    less = f"{reference}, same source"
    found = [
        Claim(
            "adapted to the source, zero-shot", "start adapted to the source", less,
            [((x, x, t), (reference, x, t)) for x in based for t in targets if is_zero_shot(x, t)],
        ),
        Claim(
            "adapted to the language, in-language", "start adapted to it", less,
            [((x, x, x), (reference, x, x)) for x in based if x in targets],
        ),
    ]  # fmt: skip
    for pivot in pivots:
        adapted = [start for start, source in sorted(there) if source == pivot and start not in (reference, pivot)]
        adapted = [x for x in adapted if x in targets or x in own]
        beside = adapted if (reference, pivot) in there else []
        source = f"{pivot} as source"
        less = f"{reference}, {source}"
        found += [
            Claim(
                "adapted to the target, zero-shot", f"start adapted to the target, {source}", less,
                [((x, pivot, x), (reference, pivot, x)) for x in beside if x in targets and is_zero_shot(pivot, x)],
            ),
            Claim(
                "adapted to a third language, zero-shot", f"start adapted to neither, {source}", less,
                [
                    ((x, pivot, t), (reference, pivot, t))
                    for x in beside for t in targets if is_zero_shot(pivot, t) and t != x
                ],
            ),
            Claim(
                f"own source instead of {pivot}, zero-shot",
                "adapted start, its own language as source", f"adapted start, {source}",
                [
                    ((x, x, t), (x, pivot, t))
                    for x in adapted if x in own for t in targets if is_zero_shot(pivot, t) and t != x
                ],
            ),
        ]  # fmt: skip
    return [claim for claim in found if claim.pairs]


def table(
    frame: pd.DataFrame,
    counts: Mapping[str, SentenceCounts],
    categories: Sequence[str],
    pivots: Sequence[str],
    reference: str,
    split: str = "test",
    resamples: int = RESAMPLES,
    dropped: Collection[Place] = (),
) -> pd.DataFrame:
    """Every claim in every category: mean difference in points with its 95 % interval, p, and p corrected over claims.

    ``low``, ``high`` and p: other seeds and sentences, for these languages. ``languages_low`` and ``languages_high``:
    Student's t over the means of the languages that starts were adapted to; other languages. A pair counts where both
    of its scores are there, ``pairs_higher`` where the first has the higher mean. ``untested`` as in
    `inference.differences`, or `NO_SEED`.
    """
    rows = []
    for category in categories:
        having = matrices.having(frame, category, split)
        scored = frame[(frame["split"] == split) & (frame["category"] == category) & frame["target"].isin(having)]
        means = scored.groupby(["start", "source", "target"], sort=False)[F1].mean().mul(100).to_dict()
        places = set(means)
        targets = list(dict.fromkeys(scored["target"]))
        wanted = claims({place[:2] for place in places}, targets, pivots, reference)
        used = {place for claim in wanted for pair in claim.pairs for place in pair}
        named = scored[["start", "source", "target"]].itertuples(index=False, name=None)
        chosen = scored[[place in used for place in named]]
        found = inference.samples(chosen, counts, split, resamples, category, dropped)
        for claim in wanted:
            pairs = [(a, b) for a, b in claim.pairs if a in places and b in places]
            if pairs:
                rows.append((claim.name, category, claim.first, claim.second, *_tested(found, means, pairs)))
    done = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "p_holm"])
    return done.astype({"p": float}).assign(p_holm=lambda t: comparison.holm_by(t, "category"))[COLUMNS]


def _tested(
    found: Mapping[str, Sample], means: Mapping[Scored, float], pairs: Sequence[tuple[Scored, Scored]]
) -> tuple:
    """The columns of a claim from ``difference`` on, but ``p_holm``; ``means`` in percent."""
    apart = np.array([means[a] - means[b] for a, b in pairs])
    by_language = pd.Series(apart).groupby([a[0] for a, _ in pairs]).mean()
    languages = (len(by_language), *interval(by_language.to_numpy(), -POINTS, POINTS)[1:])
    sides = dict(zip(SIDES, (Counter(side) for side in zip(*pairs, strict=True)), strict=True))
    both = inference.weighted_averages(found, sides)
    tested = inference.differences(both, SIDES[1])
    if len(tested):
        row = tested.iloc[0]
        seeds = int(min(both[""].means.seeds))
        values = (row["difference"], row["low"], row["high"], row["p"])
        return *values, len(pairs), int((apart > 0).sum()), seeds, row["untested"], *languages
    return apart.mean(), np.nan, np.nan, np.nan, len(pairs), int((apart > 0).sum()), 0, NO_SEED, *languages
