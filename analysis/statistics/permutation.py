"""Associations of two matrices over dyads: Mantel's permutation test. Pure."""

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.statistics.means import Method

# --- associations of matrices ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Association:
    """Correlation over ``n`` dyads (ordered pairs of different languages) and its two-sided p-value.

    ``error``: standard error of ``p``, 0 where all permutations were looked at.
    """

    r: float
    p: float
    n: int
    error: float = math.nan


ALL_OF_NINE = math.factorial(9)
"""As many permutations as nine languages have."""
_ALWAYS_ALL = math.factorial(6)
_BLOCK = 20_000
"""Permutations held in memory at a time."""
_HITS = 400
"""Enough permutations with as large a correlation: p is then known to 5 %."""
_MOST_DRAWN = 50_000
"""So many are drawn at most: at p = 0.05 the standard error is 0.001 then."""


def mantel(
    x: np.ndarray,
    y: np.ndarray,
    most: int,
    rng: np.random.Generator,
    method: Method = "pearson",
    given: np.ndarray | None = None,
) -> Association:
    """Correlation of two matrices (languages, languages) over their dyads, the diagonal left out.

    p: how often the correlation is as far from 0 when rows and columns of ``x`` are permuted together (Mantel 1967;
    quadratic assignment, Krackhardt 1988), because dyads that share a language are not independent. Looked at are all
    permutations, the identity among them, where there are no more than ``most`` and no dyad is left out, and always up
    to 6 languages. Else they are drawn until 400 have as large a correlation (Besag and Clifford 1991), ``most`` or
    50,000 at most, and p is (1 + hits) / (1 + draws).

    ``given`` is partialled out: ``r`` is the partial correlation (Smouse, Long and Sokal 1986), and what is permuted
    is the residual of ``x`` on ``given``, correlated with ``y`` given ``given`` again each time (double
    semi-partialling; Dekker, Krackhardt and Snijders 2007), which stays valid where ``x`` and ``given`` are related.

    A dyad with a NaN in any matrix is left out of all sums, also where a permutation moves it; a language without a
    dyad is left out. Ranks (``spearman``) are among the dyads that remain. NaN with too few dyads (3, or 4 with
    ``given``) or nothing that varies. Raises ValueError when the matrices are not square and of one shape.
    """
    return mantel_each(x, [y], most, rng, method, given)[0]


def mantel_each(
    x: np.ndarray,
    ys: Sequence[np.ndarray],
    most: int,
    rng: np.random.Generator,
    method: Method = "pearson",
    given: np.ndarray | None = None,
) -> list[Association]:
    """`mantel` of ``x`` with each of ``ys``: looking at all permutations takes as long for many as for one."""
    found: list[Association] = [Association(math.nan, math.nan, 0)] * len(ys)
    together: dict[tuple[bytes, bytes], list[tuple[int, _Dyads]]] = {}
    for number, y in enumerate(ys):
        dyads = _Dyads.of(x, y, given, method)
        found[number] = Association(math.nan, math.nan, dyads.n)
        if not dyads.vary:
            continue
        languages = len(dyads.there)
        if math.factorial(languages) <= max(_ALWAYS_ALL, most if dyads.are_all else 0):
            together.setdefault((dyads.there.tobytes(), dyads.x.tobytes()), []).append((number, dyads))
        else:
            found[number] = _drawn(dyads, most, rng)
    for alike in together.values():
        of_all = _all_permutations([dyads for _, dyads in alike])
        for (number, _), association in zip(alike, of_all, strict=True):
            found[number] = association
    return found


@dataclass(frozen=True)
class _Dyads:
    """What is correlated: (dyads,) arrays in the order of ``there`` (languages, languages); ``z`` is 0 without any."""

    there: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    vary: bool

    @staticmethod
    def of(x: np.ndarray, y: np.ndarray, given: np.ndarray | None, method: Method) -> "_Dyads":
        matrices = [np.asarray(m, float) for m in (x, y, given) if m is not None]
        if any(m.ndim != 2 or m.shape != (len(matrices[0]),) * 2 for m in matrices):
            raise ValueError("the matrices must be square and of one shape")
        there = _dyads(*matrices)
        kept = there.any(axis=0) | there.any(axis=1)
        there, matrices = there[np.ix_(kept, kept)], [m[np.ix_(kept, kept)] for m in matrices]
        values = _centred([m[there] for m in matrices], method)
        n = int(there.sum())
        z = values[2] if given is not None else np.zeros(n)
        if n < len(matrices) + 1:
            return _Dyads(there, values[0], values[1], z, vary=False)
        residuals = values[:2]
        if z.any():
            residuals = [v - z * (v @ z) / (z @ z) for v in residuals]
        vary = all(r @ r > 1e-12 * (v @ v) for r, v in zip(residuals, values, strict=False))
        return _Dyads(there, residuals[0], values[1], z, vary)

    @property
    def n(self) -> int:
        return len(self.x)

    @property
    def are_all(self) -> bool:
        return self.n == len(self.there) * (len(self.there) - 1)


def _all_permutations(alike: Sequence[_Dyads]) -> list[Association]:
    """Of dyads with one ``x`` and ``there``, by all permutations of the languages."""
    if alike[0].are_all:
        moves = _all_moves(len(alike[0].there))
    else:
        moves = _moves(np.array(list(itertools.permutations(range(len(alike[0].there))))), alike[0].there)
    hits, first = np.zeros(len(alike)), np.zeros(0)
    for begin in range(0, len(moves), _BLOCK):
        found = np.stack(_permuted_correlations(moves[begin : begin + _BLOCK], alike))
        first = found[:, 0].copy() if not begin else first  # the identity
        hits += _hits(found, first)
    return [
        Association(float(r), float(count / len(moves)), one.n, 0.0)
        for r, count, one in zip(first, hits, alike, strict=True)
    ]


@functools.lru_cache(maxsize=1)
def _all_moves(languages: int) -> np.ndarray:
    """`_moves` of all permutations, the identity first, and of all dyads: 26 MB for nine languages."""
    flat = itertools.chain.from_iterable(itertools.permutations(range(languages)))
    orders = np.fromiter(flat, dtype=np.uint8, count=languages * math.factorial(languages)).reshape(-1, languages)
    return _moves(orders, ~np.eye(languages, dtype=bool))


def _moves(orders: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Where each dyad comes from in the flat matrix, (permutations, dyads), for each row of ``orders``."""
    rows, columns = np.nonzero(there)
    return orders[:, rows] * orders.dtype.type(len(there)) + orders[:, columns]


def _drawn(dyads: _Dyads, most: int, rng: np.random.Generator) -> Association:
    languages = np.arange(len(dyads.there))
    first = _permuted_correlations(_moves(languages[None], dyads.there), [dyads])[0]
    hits, total, most = 0.0, 0, min(most, _MOST_DRAWN)
    while total < most and hits < _HITS:
        size = min(max(1000, total), most - total, _BLOCK)
        orders = rng.permuted(np.tile(languages, (size, 1)), axis=1)
        found = _permuted_correlations(_moves(orders, dyads.there), [dyads])[0]
        hits += float(_hits(found[None], first)[0])
        total += size
    p = (1 + hits) / (1 + total)
    return Association(float(first[0]), p, dyads.n, math.sqrt(p * (1 - p) / (1 + total)))


def _hits(found: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Of (associations, permutations) how many are as far from 0 as the association's first; what is not defined counts
    against, not for."""
    return np.sum(~(np.abs(found) < np.abs(first)[:, None] - 1e-9), axis=1)


def without_effects(matrix: np.ndarray) -> np.ndarray:
    """What rows and columns as a whole do not explain of each dyad: residuals of least squares, NaN on the diagonal.

    Permuting the languages of a matrix permutes them alike, so that `mantel` of two such matrices is a test of what
    goes together within sources and within targets. All NaN where a dyad is missing.
    """
    size = len(matrix)
    apart = ~np.eye(size, dtype=bool)
    found = np.full(matrix.shape, math.nan)
    values = matrix[apart].astype(float)
    if np.isnan(values).any():
        return found
    rows, columns = np.nonzero(apart)
    names = np.arange(size)
    design = np.concatenate([rows[:, None] == names, columns[:, None] == names], axis=1, dtype=float)
    found[apart] = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return found


def naive_association(x: np.ndarray, y: np.ndarray, method: Method = "pearson") -> Association:
    """Correlation over dyads as in `mantel`, with the p-value of scipy, as if dyads were independent.

    They are not: it is far too small as a rule, and here for comparison with published analyses that used it.
    """
    there = _dyads(x, y)
    a, b = x[there], y[there]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return Association(math.nan, math.nan, len(a))
    r, p = stats.pearsonr(a, b) if method == "pearson" else stats.spearmanr(a, b)
    return Association(float(r), float(p), len(a))


def _dyads(*matrices: np.ndarray) -> np.ndarray:
    """Where all matrices have a number, off the diagonal."""
    return ~np.isnan(matrices).any(axis=0) & ~np.eye(len(matrices[0]), dtype=bool)


def _centred(values: Sequence[np.ndarray], method: Method) -> list[np.ndarray]:
    """Values, or their ranks, less their mean; exactly 0 where they do not vary."""
    if method == "spearman":
        values = [stats.rankdata(v) for v in values]
    return [v - v.mean() if len(v) and np.ptp(v) else np.zeros(len(v)) for v in values]


def _permuted_correlations(moves: np.ndarray, alike: Sequence[_Dyads]) -> list[np.ndarray]:
    """Correlation of x, moved, with each y given its z, for each row of ``moves``; over dyads in both places. The dyads
    have one ``x``, ``z`` and ``there``."""
    there, x, z = alike[0].there, alike[0].x, alike[0].z
    places = np.zeros(there.shape)
    places[there] = x
    a = places.ravel().take(moves, mode="clip")  # without looking whether the places exist
    sums = a @ np.stack([*(one.y for one in alike), *([z] if z.any() else [])]).T
    if alike[0].are_all:  # the same values at other places: their sums stay
        n, sum_a, sum_aa = len(x), x.sum(), x @ x
    else:
        both = there.ravel().take(moves, mode="clip").astype(float)
        n, sum_a, sum_aa = both.sum(1), a.sum(1), np.einsum("pd,pd->p", a, a)
    found = []
    for number, one in enumerate(alike):
        y = one.y
        parts = np.stack([y, y * y, z, z * z, y * z]).T
        sum_y, sum_yy, sum_z, sum_zz, sum_yz = parts.sum(0) if one.are_all else (both @ parts).T
        sum_ay = sums[:, number]
        with np.errstate(divide="ignore", invalid="ignore"):
            aa, yy, zz = sum_aa - sum_a**2 / n, sum_yy - sum_y**2 / n, sum_zz - sum_z**2 / n
            ay, yz = sum_ay - sum_a * sum_y / n, sum_yz - sum_y * sum_z / n
            if not z.any():
                found.append(ay / np.sqrt(aa * yy))
                continue
            az = sums[:, -1] - sum_a * sum_z / n
            on_z = np.where(zz > 1e-12 * (z @ z), 1 / zz, 0)  # z that does not vary explains nothing
            found.append((ay - az * yz * on_z) / np.sqrt((aa - az**2 * on_z) * (yy - yz**2 * on_z)))
    return found
