"""A linear mixed model of scores, fitted by restricted maximum likelihood. Pure."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import linalg, optimize, special
from threadpoolctl import threadpool_limits

from nertransfer.scoring.intervals import CONFIDENCE

# --- a mixed model of all scores ---------------------------------------------------------------------------

TERM_COLUMNS = ["term", "estimate", "standard_error", "z", "p", "low", "high"]
INTERCEPT = "intercept"
IN_LANGUAGE = "in-language"
ADAPTED, TO_TARGET, TO_SOURCE = "adapted to a language", "adapted to the target", "adapted to the source"
MODEL = "start and source"
"""A random effect: all scores of a start and source are of the same models."""
FEW_LEVELS = 5


@dataclass(frozen=True)
class MixedModel:
    """F1 in percent by start, what it was adapted to, in-language or not, source and target.

    ``terms``: `TERM_COLUMNS`, in points, Wald z, p and 95 % limits; empty where nothing could be fitted. ``sd``: the
    standard deviation of source, target, `MODEL` if asked for, and residual in points, NaN where it could not be
    estimated. ``n``: rows
    used. ``warnings``: what to know before trusting it, in words.
    """

    terms: pd.DataFrame
    sd: dict[str, float]
    n: int
    converged: bool
    warnings: tuple[str, ...]


def mixed_model(table: pd.DataFrame) -> MixedModel:
    """Linear mixed model of F1 with crossed random effects of source and target, by restricted maximum likelihood.

    ``table``: columns start, source, target, f1 (percent, the mean over seeds), one row for each of the three; rows
    may be absent or NaN. Fixed effects are start (the first in the table that has a score is the reference) and
    whether the target is the source; random ones source and target (Baayen, Davidson and Bates 2008). The same maximum
    and standard errors as lme4. Statsmodels' MixedLM seeks this maximum, too, but stops short of it, or fails, where a
    variance is near 0, which is common with few languages.

    Starts that have the name of a source or target are adapted to it. They have no effects of their own, in which gains
    on one language would look like gains on all, but share three: adapted to a language, to the target, to the source.
    How single ones differ from that is a further random effect, of start and source.

    What cannot be estimated is left out and said in ``warnings``. Wald tests take the number of languages as large:
    with few, p is too small. Raises ValueError when a start, source and target has two rows.
    """
    rows = table.dropna(subset=["f1"]).reset_index(drop=True)
    if rows.duplicated(["start", "source", "target"]).any():
        raise ValueError("a start, source and target has two rows")
    notes = [f"rows without a score: {len(table) - len(rows)}, left out"] if len(rows) < len(table) else []
    if rows.empty:
        return _not_fitted(rows, [*notes, "not fitted: there are no scores"])
    fixed = _fixed_effects(rows, notes)
    design, response = np.column_stack(list(fixed.values())), rows["f1"].to_numpy(float)
    effects = _random_effects(rows, ADAPTED in fixed or TO_SOURCE in fixed, design, notes)
    everything = np.column_stack([design, *effects.values()])
    crossed = everything.T @ everything
    if len(rows) <= np.linalg.matrix_rank(crossed, hermitian=True):
        return _not_fitted(rows, [*notes, f"not fitted: too few rows ({len(rows)}) for the terms of the model"])
    if not effects:
        return _not_fitted(rows, [*notes, "not fitted: no random effect is left"])
    rest = response - everything @ np.linalg.lstsq(crossed, everything.T @ response, rcond=None)[0]
    if rest @ rest <= 1e-10 * (response @ response):
        return _not_fitted(rows, [*notes, "not fitted: start, source and target explain all scores without a rest"])
    fit = _restricted_likelihood(response, design, list(effects.values()))
    for (name, indicators), ratio in zip(effects.items(), fit.ratios, strict=True):
        if indicators.shape[1] < FEW_LEVELS:
            notes.append(f"only {indicators.shape[1]} values of {name}: its sd is a rough guess")
        if ratio < 1e-3:
            notes.append(f"no variance between values of {name} was found")
    if not fit.converged:
        notes.append("the fit did not converge")
    z, half = fit.estimate / fit.error, special.ndtri((1 + CONFIDENCE) / 2) * fit.error
    p = 2 * special.ndtr(-np.abs(z))
    columns = [list(fixed), fit.estimate, fit.error, z, p, fit.estimate - half, fit.estimate + half]
    terms = pd.DataFrame(dict(zip(TERM_COLUMNS, columns, strict=True)))
    sd = dict(zip(effects, (fit.ratios * fit.residual).tolist(), strict=True))
    sd = {name: sd.get(name, math.nan) for name in dict.fromkeys(["source", "target", *effects])}
    sd |= {"residual": fit.residual}
    return MixedModel(terms, sd, len(rows), fit.converged, tuple(notes))


_NO_SD = dict.fromkeys(("source", "target", "residual"), math.nan)


def _not_fitted(rows: pd.DataFrame, notes: Sequence[str]) -> MixedModel:
    return MixedModel(pd.DataFrame(columns=TERM_COLUMNS), dict(_NO_SD), len(rows), False, tuple(notes))


def _fixed_effects(rows: pd.DataFrame, notes: list[str]) -> dict[str, np.ndarray]:
    """Columns of the design matrix by term; a term that is a combination of those before is left out and noted."""
    languages = {*rows["source"], *rows["target"]}
    reference, *others = [*dict.fromkeys(name for name in rows["start"] if name not in languages), None]
    asked = {INTERCEPT: np.ones(len(rows)), IN_LANGUAGE: (rows["source"] == rows["target"]).to_numpy(float)}
    asked |= {f"start {name}": (rows["start"] == name).to_numpy(float) for name in others if name}
    adapted = {
        ADAPTED: rows["start"].isin(languages),
        TO_TARGET: rows["start"] == rows["target"],
        TO_SOURCE: rows["start"] == rows["source"],
    }
    asked |= {term: column.to_numpy(float) for term, column in adapted.items() if column.any()}
    kept: dict[str, np.ndarray] = {}
    basis = np.empty((len(rows), 0))
    for term, column in asked.items():
        own = column - basis @ (basis.T @ column)
        if np.linalg.norm(own) > 1e-6 * np.linalg.norm(column):
            kept[term], basis = column, np.column_stack([basis, own / np.linalg.norm(own)])
        elif term == IN_LANGUAGE:
            notes.append(f"{term} is left out: the targets are {'always' if column.all() else 'never'} the source")
        elif term in adapted:
            notes.append(f"{term} is left out: it cannot be told apart from the terms before it")
        else:
            notes.append(f"{term} is left out: it cannot be told apart from {IN_LANGUAGE} and start {reference}")
    return kept


def _random_effects(rows: pd.DataFrame, adapted: bool, design: np.ndarray, notes: list[str]) -> dict[str, np.ndarray]:
    """Indicators of source and target, and with starts that are ``adapted`` of `MODEL`, (rows, levels), if their
    variances can be told apart; others are noted.

    They can where the covariance matrices they and the residual imply, without what the fixed effects explain, are
    linearly independent.
    """
    basis = np.linalg.qr(design)[0]
    freedom = float(len(design) - design.shape[1])
    kept: dict[str, np.ndarray] = {}
    left: list[np.ndarray] = []
    values = {"source": rows["source"], "target": rows["target"]}
    if adapted:
        values[MODEL] = rows["start"] + " " + rows["source"]
    for name, column in values.items():
        indicators = pd.get_dummies(column).to_numpy(float)
        tried = [*left, indicators - basis @ (basis.T @ indicators)]
        products = np.array([[np.sum((a.T @ b) ** 2) for b in tried] for a in tried])
        traces = [np.sum(a**2) for a in tried]
        gram = np.block([[freedom, np.array(traces)], [np.array(traces)[:, None], products]])
        size = np.sqrt(np.diag(gram))
        if np.all(size > 1e-6) and np.linalg.eigvalsh(gram / np.outer(size, size))[0] > 1e-8:
            kept[name], left = indicators, tried
        else:
            notes.append(f"{name} is left out as a random effect: its variance cannot be told apart from other terms")
    return kept


@dataclass(frozen=True)
class _Fit:
    """One maximum: fixed effects, their standard errors, ratios of sd to the residual sd, the residual sd."""

    estimate: np.ndarray
    error: np.ndarray
    ratios: np.ndarray
    residual: float
    converged: bool


def _restricted_likelihood(response: np.ndarray, design: np.ndarray, effects: Sequence[np.ndarray]) -> _Fit:
    """The maximum over the ratios of the profiled restricted likelihood (Bates et al. 2015, eq. 42).

    All from the cross products, so that an evaluation does not depend on the number of rows. The likelihood is the same
    for a ratio of either sign: so none is at a bound, and 0 is a maximum like any other. Its gradient there is 0
    whether it is one or not, so none is used.
    """
    indicators, known = np.column_stack(list(effects)), np.column_stack([design, response])
    crossed, mixed, plain = indicators.T @ indicators, indicators.T @ known, known.T @ known
    sizes, terms = [e.shape[1] for e in effects], design.shape[1]
    freedom = len(response) - terms

    def solved(ratios: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """-2 log likelihood less a constant; the root of [X y]' V^-1 [X y], V relative to residual, in two parts."""
        scale = np.repeat(ratios, sizes)
        inner = np.linalg.cholesky(np.eye(len(scale)) + scale[:, None] * crossed * scale)
        half = linalg.solve_triangular(inner, scale[:, None] * mixed, lower=True)
        root = np.linalg.cholesky(plain - half.T @ half)
        deviance = 2 * np.log(np.diag(inner)).sum() + 2 * np.log(np.diag(root)[:-1]).sum()
        return deviance + 2 * freedom * np.log(root[-1, -1]), root[:-1, :-1], root[-1]

    # as inverse hyperbolic sines: near 0 the ratio itself, then its logarithm; to 10^4
    options = {"xatol": 1e-6, "fatol": 1e-7}
    bounds = [(-math.asinh(1e4), math.asinh(1e4))] * len(effects)
    starts = itertools.product((0.1, 2.0), repeat=len(effects))
    settings = {"method": "Nelder-Mead", "bounds": bounds, "options": options}
    with threadpool_limits(1):  # the matrices are small: on a busy machine threads wait for one another, for seconds
        likeliest = sorted(starts, key=lambda start: solved(np.sinh(start))[0])[:4]
        fits = [optimize.minimize(lambda x: solved(np.sinh(x))[0], start, **settings) for start in likeliest]
    best = min(fits, key=lambda fit: fit.fun)
    ratios = np.sinh(np.abs(best.x))
    _, root, last = solved(ratios)
    inverse = linalg.solve_triangular(root, np.eye(terms), lower=True)
    residual = float(last[-1]) / math.sqrt(freedom)
    error = residual * np.sqrt(np.sum(inverse**2, axis=0))
    return _Fit(inverse.T @ last[:-1], error, ratios, residual, bool(best.success))
