"""A mixed model of transfer scores: what a start, a source, a target and their closeness add to F1. Pure.

Every effect is drawn from a normal distribution around 0 (closeness: around `PRIOR_WEIGHT`), so what few scores show is
shrunk, and languages without a score are expected to be average. Scores of several starts are read together; gaps are
allowed. The variances are fixed: they were set on the published study, and the intervals do not rest on them
(`analysis.ranking.expectation`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import pandas as pd

from nertransfer.core.grid import is_several

CLOSENESS = {"name_overlap": 1, "genetic_distance": -1}
"""The features of the model, and whether more of one means closer (1) or less (-1)."""
PRIOR_WEIGHT = np.array([2.0, 3.0])
"""Points of F1 that a standard deviation of closeness (`CLOSENESS`,) is expected to add before any score is seen."""
LEVEL = 50.0
"""F1 in percent around which the mean of all scores is looked for, very widely."""
MODEL = "model"

_VARIANCE = {
    "level": 30.0**2,
    "start": 5.0**2,
    "source": 4.0**2,
    "source under a start": 2.0**2,
    "target": 10.0**2,
    "target under a start": 2.0**2,
    "pair": 3.0**2,
    "closeness": 2.0**2,
    "adapted to the target": 10.0**2,
    "adapted to the source": 5.0**2,
}
"""In squared points of F1; closeness: of every standardised feature."""
_NOISE = 3.0**2
PARTS = ("start", "source", "adapted to the target", "adapted to the source", *CLOSENESS)
"""What `Mixed.parts` tells apart."""


@dataclass(frozen=True)
class Rows:
    """Scores of configurations: names of ``start``, ``source`` and ``target`` (n,), ``closeness`` (n, `CLOSENESS`),
    NaN in a column of what is not known, and ``f1`` (n,) in percent, NaN for those that are asked for."""

    start: np.ndarray
    source: np.ndarray
    target: np.ndarray
    closeness: np.ndarray
    f1: np.ndarray

    def __len__(self) -> int:
        return len(self.f1)

    def where(self, chosen: np.ndarray) -> "Rows":
        return Rows(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    def without(self, unused: np.ndarray) -> "Rows":
        """The rows with nothing known in the closeness columns that are ``unused`` (`CLOSENESS`,)."""
        return replace(self, closeness=np.where(unused, np.nan, self.closeness))

    def of(self, languages: Iterable[str], keep: str = "") -> np.ndarray:
        """Which rows have one of the languages as source or target, or as a start other than ``keep`` (n,)."""
        names = list(languages)
        start = np.isin(self.start, names) & (self.start != keep)
        return np.isin(self.source, names) | np.isin(self.target, names) | start


def rows(
    start: list[str], source: list[str], target: list[str], features: pd.DataFrame, f1: list[float] | None = None
) -> Rows:
    """Rows of configurations with what ``features`` (`analysis.ranking.pairs.feature_table`) has of their languages."""
    index = pd.MultiIndex.from_arrays([source, target]) if source else []
    signs = np.array(list(CLOSENESS.values()), float)
    there = features.reindex(columns=list(CLOSENESS)).reindex(index).to_numpy(float) * signs
    names = [np.array(one, object) for one in (start, source, target)]
    scores = np.array([np.nan] * len(start) if f1 is None else f1, float)
    return Rows(names[0], names[1], names[2], there.reshape(len(start), len(signs)), scores)


def zero_shot(means: Mapping[str, pd.DataFrame], features: pd.DataFrame, without: str = "") -> Rows:
    """The zero-shot scores of transfer matrices by start (rows source, columns target, percent), gaps left out.

    ``without``: a language of which nothing is to be seen, as a start either. Sources of several languages are left
    out.
    """
    found = [
        (start, source, target, value)
        for start, matrix in means.items()
        for source, line in zip(matrix.index, matrix.to_numpy(float), strict=True)
        for target, value in zip(matrix.columns, line, strict=True)
        if source != target and value == value and not is_several(source)
    ]
    found = [one for one in found if not without or without not in one[:3]]
    start, source, target = ([str(one[k]) for one in found] for k in range(3))
    return rows(start, source, target, features, [one[3] for one in found])


class Mixed:
    """The model given the scores of ``seen``."""

    def __init__(self, seen: Rows) -> None:
        self.seen = seen
        # a column that some row lacks tells nothing
        self._used = ~np.isnan(seen.closeness).any(axis=0) if len(seen) else np.zeros(len(CLOSENESS), bool)
        known = seen.closeness[:, self._used]
        self._mean = known.mean(axis=0) if len(seen) else np.zeros(0)
        sd = known.std(axis=0) if len(seen) else np.zeros(0)
        self._sd = np.where(sd > 1e-12, sd, np.inf)

    @cached_property
    def _solved(self) -> tuple[np.ndarray, np.ndarray]:
        """The inverse of the scores' covariance, and its product with the scores less what is expected (n,)."""
        inverse = np.linalg.inv(sum(self._kernels(self.seen).values()) + _NOISE * np.eye(len(self.seen)))
        return inverse, inverse @ (self.seen.f1 - LEVEL - (PRIOR_WEIGHT * self._standard(self.seen)).sum(axis=1))

    def _standard(self, asked: Rows) -> np.ndarray:
        """Standardised closeness (n, `CLOSENESS`); 0, the average, of what is not known."""
        found = np.zeros(asked.closeness.shape)
        found[:, self._used] = (asked.closeness[:, self._used] - self._mean) / self._sd
        return np.nan_to_num(found)

    def _kernels(self, asked: Rows) -> dict[str, np.ndarray]:
        """Covariances of ``asked`` with what is seen, by effect (asked, seen)."""
        seen = self.seen
        same = {
            name: getattr(asked, name)[:, None] == getattr(seen, name)[None] for name in ("start", "source", "target")
        }
        to_target = (asked.start == asked.target)[:, None] & (seen.start == seen.target)[None]
        to_source = (asked.start == asked.source)[:, None] & (seen.start == seen.source)[None]
        of = {
            "level": np.ones((len(asked), len(seen))),
            "start": same["start"],
            "source": same["source"],
            "source under a start": same["source"] & same["start"],
            "target": same["target"],
            "target under a start": same["target"] & same["start"],
            "pair": same["source"] & same["target"],
            "adapted to the target": to_target,
            "adapted to the source": to_source,
        }
        found = {name: _VARIANCE[name] * matrix.astype(float) for name, matrix in of.items()}
        ours, theirs = self._standard(asked), self._standard(seen)
        for k, name in enumerate(CLOSENESS):
            found[name] = _VARIANCE["closeness"] * np.outer(ours[:, k], theirs[:, k])
        return found

    def _weights(self, gone: np.ndarray) -> np.ndarray:
        """What the residual of every row weighs where the rows ``gone`` had never been seen (n,); 0 for those."""
        if gone.all():
            return np.zeros(len(self.seen))
        inverse, product = self._solved
        if not gone.any():
            return product
        block = np.linalg.solve(inverse[np.ix_(gone, gone)], product[gone])
        return np.where(gone, 0.0, product - inverse[:, gone] @ block)

    def parts(self, asked: Rows, without: Iterable[str] = (), keep: str = "") -> np.ndarray:
        """Points that `PARTS` add to the F1 of each asked configuration (n, `PARTS`).

        ``without``, ``keep``: as in `Rows.of`, the languages of which nothing is to be seen.
        """
        return self._parts(asked, self._weights(self.seen.of(without, keep)))[0]

    def f1(self, asked: Rows, without: Iterable[str] = (), keep: str = "") -> np.ndarray:
        """Expected F1 in percent (n,), not held to 0 ... 100; see `parts`."""
        return self._parts(asked, self._weights(self.seen.of(without, keep)))[1]

    def weights(self) -> np.ndarray:
        """Points of F1 that a standard deviation of each closeness adds (`CLOSENESS`,); NaN where it is not known."""
        found = PRIOR_WEIGHT + _VARIANCE["closeness"] * self._standard(self.seen).T @ self._solved[1]
        return np.where(self._used, found, np.nan)

    def _parts(self, asked: Rows, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = {name: kernel @ weights for name, kernel in self._kernels(asked).items()}
        expected = PRIOR_WEIGHT * self._standard(asked)
        for k, name in enumerate(CLOSENESS):
            points[name] = points[name] + expected[:, k]
        total = LEVEL + sum(points.values())
        points["source"] = points["source"] + points["source under a start"]
        return np.column_stack([points[name] for name in PARTS]), total
