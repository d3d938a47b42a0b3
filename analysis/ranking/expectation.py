"""Intervals of expected F1 and regret from the errors of targets that were left out. Pure.

F1 in percent, errors and regret in points. Two kinds of error are kept apart: a target is harder or easier than was
expected for all its candidates (which costs no regret), and its candidates differ otherwise than was expected.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from nertransfer.scoring.intervals import CONFIDENCE

Left = tuple[np.ndarray, np.ndarray]
"""A target that was left out: expected and measured F1 of its candidates (candidates,)."""


@dataclass(frozen=True)
class Errors:
    """Of every target left out: ``common`` (targets,), the mean error, and ``own``, the rest of each candidate's, the
    one with the highest expected F1 first."""

    common: np.ndarray
    own: list[np.ndarray]

    @property
    def reach(self) -> float:
        """Standard errors of a 95 % interval by Student's t over the targets."""
        return float(special.stdtrit(max(len(self.common) - 1, 1), (1 + CONFIDENCE) / 2))


def errors_of(left: Sequence[Left]) -> Errors:
    """The errors; those of targets with a single candidate count for what is common alone."""
    apart = [(measured - expected)[_descending(expected)] for expected, measured in left]
    common = np.array([one.mean() for one in apart])
    return Errors(common, [one - one.mean() for one in apart if len(one) > 1])


def _descending(expected: np.ndarray) -> np.ndarray:
    """Places from the highest to the lowest; what differs by rounding errors alone is equal, and stays in order."""
    return np.argsort(-expected.round(9), kind="stable")


def _spaced(places: np.ndarray, n: int, other: int) -> np.ndarray:
    """The places among ``other`` candidates that answer to ``places`` among ``n``, both ends kept."""
    return np.rint(places * (other - 1) / max(n - 1, 1)).astype(int)


@dataclass(frozen=True)
class Expected:
    """Of every candidate of a target (candidates,): F1 with limits, regret with limits."""

    f1: np.ndarray
    f1_low: np.ndarray
    f1_high: np.ndarray
    regret: np.ndarray
    regret_low: np.ndarray
    regret_high: np.ndarray


@dataclass(frozen=True)
class Widening:
    """``f1``, ``regret``: factors, at least 1, by which intervals are widened.

    ``f1_held``, ``regret_held``: the measured coverage, from 0 to 1, over ``cases`` candidates of ``targets``: for each
    target, errors and factors are those of the other targets alone. NaN where there are too few targets to measure it.
    """

    f1: float = 1.0
    regret: float = 1.0
    f1_held: float = np.nan
    regret_held: float = np.nan
    cases: int = 0
    targets: int = 0


NONE = Widening()


def expect(f1: np.ndarray, errors: Errors, widening: Widening = NONE) -> Expected:
    """Expected F1 ``f1`` (candidates,) with the limits that the errors demand, held to what is possible.

    Regret is the mean of how far a candidate lies behind the best one when the candidates have the errors of each
    target that was left out, all of one target together, by place: so a source with higher expected F1 has less
    expected regret. Limits are Student's t over the targets left out, for a new one.
    """
    n, targets = len(f1), len(errors.own)
    if not n or targets < 2:
        nothing = np.full(n, np.nan)
        return Expected(np.clip(f1, 0, 100), *[nothing] * 5)
    spread = np.concatenate(errors.own).std()
    new = errors.reach * np.sqrt(1 + 1 / targets)
    half = new * np.sqrt(errors.common.var(ddof=1) + spread**2) * widening.f1
    places = np.empty(n, int)
    places[_descending(f1)] = np.arange(n)
    drawn = np.stack([one[_spaced(places, n, len(one))] for one in errors.own])
    drawn = (drawn - drawn.mean(axis=0)) * np.sqrt(targets / (targets - 1))  # no place is better or worse on average
    possible = f1 + drawn
    behind = possible.max(axis=1, keepdims=True) - possible
    regret, reach = behind.mean(axis=0), new * behind.std(axis=0, ddof=1) * widening.regret
    low, high = regret - reach, regret + reach
    limited = [np.clip(one, 0, 100) for one in (f1, f1 - half, f1 + half, regret, low, high)]
    return Expected(*limited)


def widening(
    left: Sequence[Left], inner: Sequence[Sequence[Left]], deeper: Sequence[Sequence[Sequence[Left]]] = ()
) -> Widening:
    """By how much intervals must be widened to hold 95 % of what was left out, and the coverage that this gives.

    ``inner``: for every target of ``left`` the other targets left out, nothing of it being seen; ``deeper``: the same
    of every target of ``inner``, for the coverage. The factors hold 95 % of ``left`` by construction; so the coverage
    of a target's intervals is measured with the errors and the factors of ``inner``, in which it had no part.
    """
    found = _factors(left, inner)
    held = []
    for (expected, measured), others, third in zip(left, inner, deeper, strict=False):
        known = expect(expected, errors_of(others), _factors(others, third))
        if np.isnan(known.f1_low).any():
            continue
        behind = measured.max() - measured
        held.append(
            [
                (low - 1e-9 <= true) & (true <= high + 1e-9)
                for low, true, high in (
                    (known.f1_low, measured, known.f1_high),
                    (known.regret_low, behind, known.regret_high),
                )
            ]
        )
    if not held:
        return found
    f1, regret = np.concatenate(held, axis=1)
    return replace(found, f1_held=f1.mean(), regret_held=regret.mean(), cases=len(f1), targets=len(held))


def _factors(left: Sequence[Left], inner: Sequence[Sequence[Left]]) -> Widening:
    f1_needed, regret_needed = [], []
    for (expected, measured), others in zip(left, inner, strict=True):
        found = expect(expected, errors_of(others))
        if np.isnan(found.f1_low).any():
            continue
        f1_needed += _needed(measured, np.clip(expected, 0, 100), found.f1_low, found.f1_high)
        regret_needed += _needed(measured.max() - measured, found.regret, found.regret_low, found.regret_high)
    return Widening(_factor(f1_needed), _factor(regret_needed)) if f1_needed else NONE


def _factor(needed: list[float]) -> float:
    """The factor that is enough for 95 % of the cases, at least 1."""
    found = float(np.quantile(needed, CONFIDENCE, method="higher"))
    return max(1.0, found) if np.isfinite(found) else 1.0


def _needed(true: np.ndarray, middle: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[float]:
    """By which factor an interval must grow around ``middle`` to reach each ``true`` value."""
    half = np.where(true > middle, high - middle, middle - low)
    apart = np.abs(true - middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(apart < 1e-9, 0.0, apart / half).tolist()


def by_place(scores: Sequence[np.ndarray], f1: Sequence[np.ndarray]) -> np.ndarray:
    """Mean points of F1 above a target's mean at the 1st, 2nd, ... place of a ranking, never rising (most places,).

    ``scores`` and ``f1`` (candidates,) of every target. Candidates with one score share the mean of their places.
    """
    most = max((len(one) for one in scores), default=0)
    total, count = np.zeros(most), np.zeros(most)
    for score, measured in zip(scores, f1, strict=True):
        gain = (measured - measured.mean())[np.argsort(-score, kind="stable")]
        ordered = np.sort(-score)
        gain = np.array([gain[ordered == one].mean() for one in ordered])
        total[: len(gain)] += gain
        count[: len(gain)] += 1
    from scipy.optimize import isotonic_regression  # takes a moment to load, and the mixed model does without

    count = np.maximum(count, 1)
    return isotonic_regression(total / count, weights=count, increasing=False).x if most else total


def at_places(score: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """What candidates with ``score`` get of ``gains`` (`by_place`); equal scores share (candidates,)."""
    gains = np.append(gains, np.full(max(0, len(score) - len(gains)), gains[-1] if len(gains) else 0.0))
    found = np.empty(len(score))
    found[np.argsort(-score, kind="stable")] = gains[: len(score)]
    return np.array([found[score == one].mean() for one in score])
