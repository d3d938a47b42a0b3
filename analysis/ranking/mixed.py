"""A mixed model of transfer scores: what a start, a source, a target and their closeness add to F1. Pure.

Every effect is drawn from a normal distribution around 0 (closeness: around `PRIOR_WEIGHT`), so what few scores show is
shrunk, and languages without a score are expected to be average. Scores of several starts are read together; gaps are
allowed. The variances are fixed: they were set on the published study, and the intervals do not rest on them
(`analysis.ranking.expectation`).
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import pandas as pd

from nertransfer.core.grid import is_language

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


def zero_shot(means: Mapping[str, pd.DataFrame], features: pd.DataFrame, without: str = "", keep: str = "") -> Rows:
    """The zero-shot scores of transfer matrices by start (rows source, columns target, percent), gaps left out.

    ``without``: a language of which nothing is to be seen, as a start either, but for the start ``keep``. Sources of
    several languages are left out.
    """
    found = [
        (start, source, target, value)
        for start, matrix in means.items()
        for source, line in zip(matrix.index, matrix.to_numpy(float), strict=True)
        for target, value in zip(matrix.columns, line, strict=True)
        if source != target and value == value and is_language(source)
    ]
    start, source, target = ([str(one[k]) for one in found] for k in range(3))
    every = rows(start, source, target, features, [one[3] for one in found])
    return every.where(~every.of([without], keep)) if without else every


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
        self._standard_seen = self._standard(seen)
        self._levels = {name: _numbered(keys) for name, keys in _groups(seen).items()}
        self._by_language: dict[tuple[str, str], np.ndarray] = {}
        self._known_weights: dict[bytes, np.ndarray] = {}

    @cached_property
    def _covariance(self) -> tuple[np.ndarray, np.ndarray]:
        """The scores' covariance (n, n), and the scores less what is expected before any is seen (n,)."""
        covariance = _NOISE * np.eye(len(self.seen))
        for name, (_, of) in self._levels.items():
            covariance += _VARIANCE[name] * ((of[:, None] == of[None]) & (of >= 0))
        covariance += _VARIANCE["closeness"] * self._standard_seen @ self._standard_seen.T
        return covariance, self.seen.f1 - LEVEL - self._standard_seen @ PRIOR_WEIGHT

    @cached_property
    def _solved(self) -> tuple[np.ndarray, np.ndarray]:
        """The inverse of the covariance (n, n), and what the residuals weigh where all are seen (n,)."""
        covariance, residual = self._covariance
        inverse = np.linalg.inv(covariance) if len(residual) else covariance
        return inverse, inverse @ residual

    def _standard(self, asked: Rows) -> np.ndarray:
        """Standardised closeness (n, `CLOSENESS`); 0, the average, of what is not known."""
        found = np.zeros(asked.closeness.shape)
        found[:, self._used] = (asked.closeness[:, self._used] - self._mean) / self._sd
        return np.nan_to_num(found)

    def gone(self, without: Iterable[str], keep: str = "") -> np.ndarray:
        """Which rows of ``seen`` are `Rows.of` some languages (n,)."""
        found = np.zeros(len(self.seen), bool)
        for name in without:
            if (name, keep) not in self._by_language:
                self._by_language[name, keep] = self.seen.of([name], keep)
            found |= self._by_language[name, keep]
        return found

    def _weights(self, gone: np.ndarray) -> np.ndarray:
        """What the residual of every row weighs where the rows ``gone`` had never been seen (n,); 0 for those."""
        key = gone.tobytes()
        if key not in self._known_weights:
            covariance, residual = self._covariance
            there, kept = np.flatnonzero(gone), np.flatnonzero(~gone)
            weights = np.zeros(len(gone))
            if len(there) < len(kept):  # the smaller system is solved; the larger one in closed form from the whole
                inverse, whole = self._solved
                block = np.linalg.solve(inverse[np.ix_(there, there)], whole[there])
                weights[kept] = whole[kept] - inverse[np.ix_(kept, there)] @ block
            elif len(kept):
                weights[kept] = np.linalg.solve(covariance[np.ix_(kept, kept)], residual[kept])
            self._known_weights[key] = weights
        return self._known_weights[key]

    def parts(self, asked: Rows, without: Iterable[str] = (), keep: str = "") -> np.ndarray:
        """Points that `PARTS` add to the F1 of each asked configuration (n, `PARTS`).

        ``without``, ``keep``: as in `Rows.of`, the languages of which nothing is to be seen.
        """
        return self._parts(asked, self._weights(self.gone(without, keep)))[0]

    def f1(self, asked: Rows, without: Iterable[str] = (), keep: str = "") -> np.ndarray:
        """Expected F1 in percent (n,), not held to 0 ... 100; see `parts`."""
        return self._parts(asked, self._weights(self.gone(without, keep)))[1]

    def again(self, without: Iterable[str], keep: str = "") -> np.ndarray:
        """`f1` of all rows of ``seen`` (n,), as if nothing had been seen of some languages."""
        return self._parts(self.seen, self._weights(self.gone(without, keep)))[1]

    def weights(self) -> np.ndarray:
        """Points of F1 that a standard deviation of each closeness adds (`CLOSENESS`,); NaN where it is not known."""
        return np.where(self._used, self._slopes(self._weights(np.zeros(len(self.seen), bool))), np.nan)

    def _slopes(self, weights: np.ndarray) -> np.ndarray:
        """Points of F1 by standard deviation of closeness (`CLOSENESS`,)."""
        return PRIOR_WEIGHT + _VARIANCE["closeness"] * self._standard_seen.T @ weights

    def _parts(self, asked: Rows, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """An effect is its variance times the weights of the rows that share its level."""
        points = {}
        groups = {} if asked is self.seen else _groups(asked)
        for name, (numbers, of) in self._levels.items():
            there = [numbers.get(key, -1) for key in groups[name]] if groups else of
            sums = np.append(np.bincount(of + 1, weights, len(numbers) + 1)[1:], 0.0)  # the last: no level that is seen
            points[name] = _VARIANCE[name] * sums[there]
        closeness = self._standard(asked) * self._slopes(weights)
        points |= {name: closeness[:, k] for k, name in enumerate(CLOSENESS)}
        total = np.full(len(asked), LEVEL) + sum(points.values())
        points["source"] = points["source"] + points["source under a start"]
        return np.column_stack([points[name] for name in PARTS]), total


def _groups(asked: Rows) -> dict[str, list[Hashable]]:
    """The level of every row for each effect; None: the row does not have the effect."""
    start, source, target = asked.start.tolist(), asked.source.tolist(), asked.target.tolist()
    return {
        "level": [""] * len(asked),
        "start": start,
        "source": source,
        "source under a start": list(zip(start, source, strict=True)),
        "target": target,
        "target under a start": list(zip(start, target, strict=True)),
        "pair": list(zip(source, target, strict=True)),
        "adapted to the target": ["" if a == b else None for a, b in zip(start, target, strict=True)],
        "adapted to the source": ["" if a == b else None for a, b in zip(start, source, strict=True)],
    }


def _numbered(keys: list[Hashable]) -> tuple[dict[Hashable, int], np.ndarray]:
    """A number for each level, and that of every row (n,), -1 for None."""
    numbers = {key: i for i, key in enumerate(dict.fromkeys(key for key in keys if key is not None))}
    return numbers, np.array([numbers.get(key, -1) for key in keys], int)
