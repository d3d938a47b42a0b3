"""Variances of few seeds, moderated: against the formulas of Smyth (2004) and in simulated studies."""

import math
import sys

import numpy as np
import pytest
from project_scripts import ROOT
from scipy import special, stats

from analysis.statistics import comparison, moderation
from analysis.statistics.means import Means
from analysis.statistics.moderation import Prior

sys.path.insert(0, str(ROOT / "benchmarks"))

import few_seeds


def variances(
    n: int, seeds: int, prior: Prior, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """True and sample variances, seeds and means of n configurations, from this prior."""
    mean = rng.uniform(0.2, 0.9, n)
    usual = np.exp(prior.intercept + prior.slope * special.logit(mean))
    true = usual * prior.freedom / rng.chisquare(prior.freedom, n)
    return true, true * rng.chisquare(seeds - 1, n) / (seeds - 1), np.full(n, seeds), mean


TRUE = Prior(math.log(0.02**2), -1.0, 4.0)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_prior_that_variances_were_drawn_from_is_found(seeds: int) -> None:
    _, *found = variances(20_000, seeds, TRUE, np.random.default_rng(0))
    prior = moderation.fit(*found)
    assert prior is not None
    assert [prior.intercept, prior.slope] == pytest.approx([TRUE.intercept, TRUE.slope], abs=0.06)
    assert prior.freedom == pytest.approx(4, rel=0.15)


def test_where_all_vary_alike_variances_are_pooled() -> None:
    rng = np.random.default_rng(1)
    mean = rng.uniform(0.3, 0.8, 400)
    variance = 0.01**2 * rng.chisquare(2, 400) / 2
    prior = moderation.fit(variance, np.full(400, 3), mean)
    assert prior is not None and prior.freedom > 50
    moderated, freedom = prior.moderated(variance, np.full(400, 3), mean)
    assert np.sqrt(moderated) == pytest.approx(np.full(400, 0.01), rel=0.25) and (freedom == prior.freedom + 2).all()


def test_moderated_variances_are_means_weighted_by_degrees_of_freedom() -> None:
    prior = Prior(math.log(4e-4), 0.0, 4.0)
    found, freedom = prior.moderated(np.array([0.0, 4e-4, 9e-4]), np.array([2, 3, 5]), np.array([0.5, 0.6, 0.7]))
    assert found.tolist() == pytest.approx([4 * 4e-4 / 5, 4e-4, (4 * 4e-4 + 4 * 9e-4) / 8])
    assert freedom.tolist() == [5, 6, 8]


def test_few_configurations_say_nothing_of_what_is_usual() -> None:
    _, variance, seeds, mean = variances(20, 3, TRUE, np.random.default_rng(2))
    assert moderation.fit(variance, seeds, mean) is not None
    assert moderation.fit(np.where(np.arange(20) == 3, 0, variance), seeds, mean) is None
    assert moderation.fit(variance, np.ones(20, int), mean) is None
    assert moderation.fit(variance, seeds, np.full(20, 0.5)) is not None  # no trend to be found


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("n", [30, 300])
def test_intervals_cover_and_tests_keep_their_level(seeds: int, n: int) -> None:
    rng, covered, rejected = np.random.default_rng(3), [], []
    for _ in range(20_000 // n):
        true, variance, number, mean = variances(n, seeds, TRUE, rng)
        prior = moderation.fit(variance, number, mean)
        assert prior is not None
        moderated, freedom = prior.moderated(variance, number, mean)
        error = np.sqrt(true / seeds) * rng.normal(size=n)
        covered.append(np.abs(error) < stats.t.isf(0.025, freedom) * np.sqrt(moderated / seeds))
        unvaried = np.zeros((2, n))
        means = Means(0.5 + error, number, unvaried + 0.5 + error, moderated, unvaried[0], freedom)
        tested = comparison.differences(means, np.arange(0, n, 2), np.arange(1, n, 2))
        rejected.append(tested.p < 0.05)
        np.testing.assert_array_equal(rejected[-1], (tested.low > 0) | (tested.high < 0))
    assert 0.93 < np.mean(covered) < 0.97
    assert 0.03 < np.mean(rejected) < 0.06


@pytest.mark.parametrize("scenario", few_seeds.SCENARIOS)
def test_a_simulated_study_of_two_seeds_covers(scenario: str) -> None:
    """What benchmarks/few_seeds.py measures, of one study: 162 means, those of a model too far apart to be sure of."""
    found = few_seeds.measured(*few_seeds.simulated(scenario, 2, np.random.default_rng(4)))
    assert found["coverage"].mean() > 0.88 and found["level"].mean() < 0.15
    assert np.median(found["width"]) < 10  # 22 and more from seeds alone
    assert bool(len(found["collapsed"])) == (scenario == "15 % collapse")
