"""Associations of two matrices over dyads: Mantel's permutation test. Pure."""

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
    """Correlation over ``n`` dyads (ordered pairs of different languages) and its two-sided p-value."""

    r: float
    p: float
    n: int


_ALL_PERMUTATIONS_UP_TO = 6


_BLOCK = 1000
"""Permutations held in memory at a time."""


def mantel(
    x: np.ndarray,
    y: np.ndarray,
    permutations: int,
    rng: np.random.Generator,
    method: Method = "pearson",
    given: np.ndarray | None = None,
) -> Association:
    """Correlation of two matrices (languages, languages) over their dyads, the diagonal left out.

    p: how often the correlation is as far from 0 when rows and columns of ``x`` are permuted together (Mantel 1967;
    quadratic assignment, Krackhardt 1988), because dyads that share a language are not independent. All
    permutations for up to 6 languages, the identity among them; else random ones and (1 + hits) / (1 + permutations).

    ``given`` is partialled out: ``r`` is the partial correlation (Smouse, Long and Sokal 1986), and what is permuted
    is the residual of ``x`` on ``given``, correlated with ``y`` given ``given`` again each time (double
    semi-partialling; Dekker, Krackhardt and Snijders 2007), which stays valid where ``x`` and ``given`` are related.

    A dyad with a NaN in any matrix is left out of all sums, also where a permutation moves it; a language without a
    dyad is left out. Ranks (``spearman``) are among the dyads that remain. NaN with too few dyads (3, or 4 with
    ``given``) or nothing that varies. Raises ValueError when the matrices are not square and of one shape.
    """
    matrices = [np.asarray(m, float) for m in (x, y, given) if m is not None]
    if any(m.ndim != 2 or m.shape != (len(matrices[0]),) * 2 for m in matrices):
        raise ValueError("the matrices must be square and of one shape")
    there = _dyads(*matrices)
    kept = there.any(axis=0) | there.any(axis=1)
    there, matrices = there[np.ix_(kept, kept)], [m[np.ix_(kept, kept)] for m in matrices]
    values = _centred([m[there] for m in matrices], method)
    n = int(there.sum())
    nothing = Association(math.nan, math.nan, n)
    if n < len(matrices) + 1:
        return nothing
    residuals = values[:2]
    if given is not None and values[2].any():
        residuals = [v - values[2] * (v @ values[2]) / (values[2] @ values[2]) for v in residuals]
    if any(r @ r <= 1e-12 * (v @ v) for r, v in zip(residuals, values, strict=False)):
        return nothing
    compared = [residuals[0], values[1], values[2] if given is not None else np.zeros(n)]
    languages = np.arange(len(there))
    if len(languages) <= _ALL_PERMUTATIONS_UP_TO:
        orders = np.array(list(itertools.permutations(languages)))
    else:
        random = rng.permuted(np.tile(languages, (permutations, 1)), axis=1)
        orders = np.concatenate([languages[None], random])
    blocks = (orders[first : first + _BLOCK] for first in range(0, len(orders), _BLOCK))
    found = np.concatenate([_permuted_correlations(block, there, *compared) for block in blocks])
    r = float(found[0])  # of the identity
    # a correlation that is not defined counts against, not for
    return Association(r, float(np.mean(~(np.abs(found) < abs(r) - 1e-9))), n)


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


def _permuted_correlations(
    orders: np.ndarray, there: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """Correlation of x, languages permuted, with y given z, for each row of ``orders``; over dyads in both places.

    ``x``, ``y``, ``z`` are (dyads,), in the order of ``there``; without z it is 0 everywhere.
    """
    rows, columns = np.nonzero(there)
    places = np.zeros(there.shape)
    places[there] = x
    orders_rows, orders_columns = orders[:, rows], orders[:, columns]
    a = places[orders_rows, orders_columns]
    both = there[orders_rows, orders_columns].astype(float)
    n, sum_y, sum_yy, sum_z, sum_zz, sum_yz = (both @ np.stack([np.ones(len(x)), y, y * y, z, z * z, y * z]).T).T
    sum_a, sum_ay, sum_az = (a @ np.stack([np.ones(len(x)), y, z]).T).T
    sum_aa = np.einsum("pd,pd->p", a, a)
    with np.errstate(divide="ignore", invalid="ignore"):
        aa, yy, zz = sum_aa - sum_a**2 / n, sum_yy - sum_y**2 / n, sum_zz - sum_z**2 / n
        ay, az, yz = sum_ay - sum_a * sum_y / n, sum_az - sum_a * sum_z / n, sum_yz - sum_y * sum_z / n
        on_z = np.where(zz > 1e-12 * max(float(z @ z), 1e-300), 1 / zz, 0)  # z that does not vary explains nothing
        return (ay - az * yz * on_z) / np.sqrt((aa - az**2 * on_z) * (yy - yz**2 * on_z))
