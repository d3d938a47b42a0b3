"""Choosing a source: features by hand, measures against scikit-learn and scipy, no leak of what is left out."""

import importlib
import itertools
import math
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import analysis_store as made
import numpy as np
import pandas as pd
import pytest
from folder_store import make_store
from hypothesis import given, settings
from hypothesis import strategies as st
from project_scripts import ROOT, load_script
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.metrics import ndcg_score
from sklearn.preprocessing import StandardScaler

from analysis.ranking import judging, pairs, rankers, recommendation, words
from analysis.ranking.features import FEATURES, MEAN_TRANSFER, facts, genetic_distance, great_circle, of_pair, profile
from analysis.ranking.pairs import Pairs
from analysis.report import ranked_study
from analysis.transfer import verdicts
from analysis.transfer.matrices import ISOLATE
from nertransfer.commands.run import run
from nertransfer.core import config, options
from nertransfer.core.config import RankConfig
from nertransfer.core.errors import InputError
from nertransfer.corpora.conll import Sentence
from nertransfer.corpora.corpus import Split
from nertransfer.corpora.languages import LANGUAGES, MASAKHANER
from nertransfer.corpora.planted import corpora as planted_corpora
from nertransfer.corpora.planted.settings import LANGUAGES as PLANTED_LANGUAGES
from nertransfer.corpora.planted.settings import PlantedSettings
from nertransfer.tracking.store import client

ENTRY = ROOT / "entrypoints" / "rank.py"
EVERY = list(rankers.RANKERS)
FAMILY = {language.code: language.family for language in PLANTED_LANGUAGES}


def planted_matrix(seed: int, noise: float = 3.0) -> pd.DataFrame:
    """A transfer matrix such as the planted study gives, in percent; ``noise``: standard deviation in points."""
    rng = np.random.default_rng(seed)

    def f1(source: str, target: str) -> float:
        if source == target:
            return 73.8
        if ISOLATE in (FAMILY[source], FAMILY[target]):
            return 3.8
        return 49.6 if FAMILY[source] == FAMILY[target] else 11.1

    values = [[max(0.0, f1(s, t) + rng.normal(0, noise)) for t in FAMILY] for s in FAMILY]
    return pd.DataFrame(values, list(FAMILY), list(FAMILY))


@pytest.fixture(scope="module")
def planted_features() -> pd.DataFrame:
    """Features from the planted train splits."""
    texts = {code: planted_corpora.corpus(PlantedSettings(), code)["train"] for code in FAMILY}
    return pairs.feature_table(
        {code: facts(code, FAMILY[code], text=profile([words for words, _ in texts[code]])) for code in FAMILY}
    )


def random_pairs(seed: int, languages: int = 5, features: int = 3) -> Pairs:
    rng = np.random.default_rng(seed)
    names = [f"l{i}" for i in range(languages)]
    table = pd.DataFrame(
        rng.normal(size=(languages**2, features)),
        pd.MultiIndex.from_product([names, names]),
        ["word_overlap", "train_size", "genetic_distance", "centre_similarity"][:features],
    )
    return pairs.pairs(pd.DataFrame(rng.uniform(0, 90, (languages, languages)), names, names), table)


# --- features ---------------------------------------------------------------------------------------


def test_a_profile_counts_words_with_a_letter() -> None:
    found = profile([["Ab", "ab", "12", "."], ["Ab", "b2"]], lambda word: word.split("b"))
    assert found.words == {"Ab": 2, "ab": 1, "b2": 1} and found.sentences == 2
    assert found.trigrams == {" ab": 3, "ab ": 3, " b2": 1, "b2 ": 1}
    assert found.variety == 3 / 4 and found.script == "LATIN"
    assert found.subtokens == {"A": 2, "": 4, "a": 1, "2": 1} and found.fertility == 8 / 4 and found.unknown == 0
    assert math.isnan(profile([["Ab"]]).fertility) and math.isnan(profile([["Ab"]]).unknown)


def test_variety_does_not_depend_on_the_length_of_a_text() -> None:
    words = [f"w{i % 400}" for i in range(1000)]
    assert profile([words]).variety == profile([words] * 3 + [words[:999]]).variety == 0.4
    assert math.isnan(profile([["1", "."]]).variety) and profile([["1"]]).script == ""


@pytest.mark.parametrize(
    ("word", "script"), [("ሰላም", "ETHIOPIC"), ("Ẹ̀kọ́", "LATIN"), ("سلام", "ARABIC"), ("мир", "CYRILLIC")]
)
def test_script_of_most_letters(word: str, script: str) -> None:
    assert profile([[word, "ab"[:1]]]).script == script


def test_features_of_a_pair_by_hand() -> None:
    source = facts("swa", text=profile([["na", "Lagos"], ["na", "yeye"]]), entities=Counter({("Lagos", "LOC"): 1}))
    labels = Counter({("Lagos", "LOC"): 3, ("Ali", "PER"): 1})
    target = facts("lug", text=profile([["na", "Lagos", "na", "ye"]]), labels=labels)
    found = dict(zip(FEATURES, of_pair(source, target, (1, 10)), strict=True))
    assert found["train_size"] == math.log(2) and found["size_ratio"] == math.log(2)
    assert found["word_overlap"] == 3 / 4 and found["entity_overlap"] == 3 / 4
    assert (found["source_variety"], found["target_variety"], found["variety_distance"]) == (3 / 4, 3 / 4, 0)
    # both have two "na" and one "Lagos" (5 trigrams once), and "ye" or "yeye"
    ours = {
        " na": 2,
        "na ": 2,
        " la": 1,
        "lag": 1,
        "ago": 1,
        "gos": 1,
        "os ": 1,
        " ye": 1,
        "yey": 1,
        "eye": 1,
        "ye ": 1,
    }
    theirs = {" na": 2, "na ": 2, " la": 1, "lag": 1, "ago": 1, "gos": 1, "os ": 1, " ye": 1, "ye ": 1}
    a, b = (np.array([one.get(key, 0) for key in ours]) for one in (ours, theirs))
    assert found["character_similarity"] == pytest.approx(a @ b / np.sqrt(a @ a * (b @ b)))
    assert found["same_script"] == 1
    assert found["genetic_distance"] == pytest.approx(1 - 2 * 6 / 16)
    assert found["geographic_distance"] == pytest.approx(great_circle((-6.5, 39.0), (1.0, 32.0)))
    assert math.isnan(found["subtoken_overlap"])


def test_sub_tokens_that_are_unknown_are_not_in_common() -> None:
    read = {"ab": ["a", "b"], "ac": ["a", None], "ad": ["a", None]}.__getitem__
    source, target = facts("swa", text=profile([["ab", "ac"]], read)), facts("lug", text=profile([["ad"] * 3], read))
    found = dict(zip(FEATURES, of_pair(source, target), strict=True))
    assert found["subtoken_overlap"] == 1 / 2
    assert (found["source_fertility"], found["target_fertility"], found["fertility_distance"]) == (2, 2, 0)
    assert (found["source_unknown"], found["target_unknown"]) == (1 / 4, 1 / 2)
    vanishing = profile([["ab", "ab"]], lambda _: [])
    assert (vanishing.fertility, vanishing.unknown) == (1, 1)


def test_hidden_states_of_a_text_are_compared() -> None:
    texts = {"a": [["x"], ["y"]], "b": [["z"], ["x"], ["z"]], "c": [["y"]]}
    states = {"x": [1.0, 0.0], "y": [3.0, 0.0], "z": [1.0, 3.0]}
    known = {
        code: facts(code, text=profile(text, states=lambda read: np.array([states[word] for (word,) in read])))
        for code, text in texts.items()
    }
    table = pairs.feature_table(known)
    assert table.loc[("a", "b"), "centre_similarity"] == pytest.approx(1 / math.sqrt(5))
    assert table.loc[("a", "b"), "covariance_similarity"] == pytest.approx(0)  # one varies along x, the other along y
    assert table.loc[("a", "c"), "centre_similarity"] == 1 and math.isnan(
        table.loc[("a", "c"), "covariance_similarity"]
    )


def test_a_text_of_any_length_counts_as_one_of_the_study() -> None:
    source, target = facts("swa", text=profile([["a"]] * 50)), facts("lug", text=profile([["a"]] * 10_000))
    assert dict(zip(FEATURES, of_pair(source, target, (20, 100)), strict=True))["size_ratio"] == pytest.approx(
        math.log(0.5)
    )


def test_distances() -> None:
    assert genetic_distance(("a", "b"), ("a", "b")) == 0 and genetic_distance(("a",), ("b",)) == 1
    assert genetic_distance(("a", "b"), ("a", "c")) == 0.5 and genetic_distance((ISOLATE,), (ISOLATE,)) == 1
    assert math.isnan(genetic_distance((), ("a",)))
    assert great_circle((0, 0), (0, 90)) == pytest.approx(6.371 * math.pi / 2) and great_circle((5, 5), (5, 5)) == 0
    assert great_circle((90, 0), (-90, 0)) == pytest.approx(6.371 * math.pi)


def test_the_table_of_languages_is_whole() -> None:
    for language in LANGUAGES.values():
        assert len(language.lineage) > 1 and language.place is not None
        latitude, longitude = language.place
        assert -35 < latitude < 66 and -18 < longitude < 107
        assert language.code not in MASAKHANER or (-35 < latitude < 38 and longitude < 52), "in Africa"
    of = {code: language.lineage for code, language in LANGUAGES.items()}
    assert genetic_distance(of["xho"], of["zul"]) < genetic_distance(of["xho"], of["swa"])
    assert genetic_distance(of["swa"], of["ibo"]) < genetic_distance(of["swa"], of["wol"]) < 1
    assert genetic_distance(of["swa"], of["hau"]) == genetic_distance(of["luo"], of["pcm"]) == 1


# --- measures -----------------------------------------------------------------------------------------


def test_regret_and_gain_by_hand() -> None:
    f1 = np.array([50.0, 40.0, 30.0, 20.0])
    found = judging.measures(f1, np.array([2, 1, 3, 0]))
    assert (found["regret"], found["regret_top3"]) == (20, 10)
    ideal = 10 + 9 / math.log2(3) + 8 / 2
    assert found["ndcg3_linear"] == pytest.approx((8 + 9 / math.log2(3) + 7 / 2) / ideal)
    assert found["kendall_tau_b"] == pytest.approx((2 - 4) / 6)  # of six pairs two are in order
    assert judging.measures(f1, np.arange(4)) == {
        "regret": 0, "regret_top3": 0, "ndcg3_exponential": 1, "ndcg3_linear": 1, "kendall_tau_b": 1
    }  # fmt: skip


def test_grades_are_those_of_langrank() -> None:
    assert rankers.grades(np.array([10.0, 30.0, 20.0, 20.0])).tolist() == [7, 10, 9, 9]
    assert rankers.grades(np.arange(13.0))[:4].tolist() == [0, 0, 0, 1]


F1S = st.lists(st.integers(0, 8).map(float), min_size=2, max_size=12).map(np.array)


@settings(max_examples=150, deadline=None)
@given(F1S, st.randoms(use_true_random=False))
def test_measures_are_those_of_scikit_learn_and_scipy(f1: np.ndarray, chance) -> None:  # type: ignore[no-untyped-def]
    places = np.array(chance.sample(range(len(f1)), len(f1)))
    scores = np.empty(len(f1))
    scores[places] = -np.arange(len(f1))
    found, grades = judging.measures(f1, places), rankers.grades(f1)
    for name, gain in (("ndcg3_linear", grades), ("ndcg3_exponential", 2.0**grades - 1)):
        assert found[name] == pytest.approx(ndcg_score([gain], [scores], k=3))
    tau = stats.kendalltau(scores, f1).statistic
    assert found["kendall_tau_b"] == pytest.approx(tau, nan_ok=True)
    assert 0 <= found["regret_top3"] <= found["regret"] <= f1.max() - f1.min()


def test_targets_without_an_order_are_named_and_not_counted() -> None:
    found = random_pairs(3)
    judged = judging.judge(found)
    column = found.scored[0]
    f1 = found.f1.copy()
    f1[~np.isnan(f1[:, column]), column] = 40.0
    flat = judging.judge(replace(found, f1=f1))
    assert judging.without_order(judged) == [] and judging.without_order(flat) == [found.targets[column]]
    assert (judged.table["kendall_tau_b_targets"] == judged.table["targets"]).all()
    assert (flat.table["kendall_tau_b_targets"] == flat.table["targets"] - 1).all()


def test_intervals_are_students() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert judging.interval(values, -100, 100) == pytest.approx((4, low, high))
    reach = stats.t.ppf(0.975, 3) * values.std(ddof=1) * math.sqrt(5 / 4)
    assert judging.interval(values, 0, 10, new=True) == pytest.approx((4, 0, min(10, 4 + reach)))
    assert np.isnan(judging.interval(values[:1], 0, 10)[1:]).all()


# --- rankers ------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_the_linear_model_is_scikit_learns_ridge(seed: int) -> None:
    fold = pairs.fold(random_pairs(seed), 1)
    scaler = StandardScaler().fit(fold.features)
    model = Ridge(alpha=1.0).fit(scaler.transform(fold.features), fold.f1)
    expected = model.predict(scaler.transform(fold.asked))
    assert rankers.linear(fold).sum(axis=1) == pytest.approx(expected - expected.mean())


def test_lambdarank_learns_an_order_and_always_the_same() -> None:
    rng = np.random.default_rng(3)
    names = [f"l{i}" for i in range(9)]
    shared = rng.uniform(size=(9, 9))
    table = pd.DataFrame({"word_overlap": shared.ravel()}, pd.MultiIndex.from_product([names, names]))
    found = pairs.pairs(pd.DataFrame(100 * shared, names, names), table)
    fold = pairs.fold(found, 4)
    first = rankers.lambdarank(fold)
    assert (rankers.lambdarank(fold) == first).all() and first.shape == fold.asked.shape
    assert judging.measures(100 * np.delete(shared[:, 4], 4), rankers.order(fold, first))["kendall_tau_b"] > 0.6


def test_single_features_rank_by_themselves_and_ties_by_mean_transfer() -> None:
    fold = pairs.fold(random_pairs(5, features=4), 0)
    transfer = fold.asked[:, fold.names.index(MEAN_TRANSFER)]
    for name, feature, sign in (
        ("word_overlap", "word_overlap", -1), ("relatives", "genetic_distance", 1),
        ("hidden_states", "centre_similarity", -1),
    ):  # fmt: skip
        places = rankers.order(fold, rankers.RANKERS[name].contributions(fold))
        assert places.tolist() == np.argsort(sign * fold.asked[:, fold.names.index(feature)]).tolist()
    assert rankers.order(fold, np.zeros_like(fold.asked)).tolist() == np.argsort(-transfer).tolist()


def test_names_are_those_of_the_command_line_the_simplest_first() -> None:
    assert tuple(rankers.RANKERS) == config.RANKERS and set(EVERY) - set(rankers.QUICK) == {"lambdarank"}


# --- the target that is left out -------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 4), st.integers(0, 10**6))
def test_nothing_of_the_target_left_out_is_seen(seed: int, held: int, other: int) -> None:
    found = random_pairs(seed)
    f1 = found.f1.copy()
    rng = np.random.default_rng(other)
    f1[:, held] = rng.uniform(0, 90, len(f1))  # its scores as a target
    f1[held] = rng.uniform(0, 90, len(f1))  # and those of its source
    f1[held, held] = math.nan
    changed = pairs.fold(Pairs(**{**vars(found), "f1": f1}), held)
    fold = pairs.fold(found, held)
    assert found.targets[held] not in fold.candidates
    for name in ("features", "f1", "target", "asked"):
        assert np.array_equal(getattr(changed, name), getattr(fold, name)), name
    for ranker in rankers.RANKERS.values():
        if ranker.needs in ("", *fold.names):
            assert np.array_equal(ranker.contributions(changed), ranker.contributions(fold))


def test_mean_transfer_leaves_out_the_target_in_question_too() -> None:
    found = random_pairs(1)
    fold = pairs.fold(found, 4)
    f1 = found.f1[:4, :4]
    advantage = f1 - np.nanmean(f1, axis=0)
    expected = [
        np.mean([advantage[s, other] for other in range(4) if other not in (s, t)])
        for s in range(4) for t in range(4) if s != t
    ]  # fmt: skip
    assert fold.features[:, 0] == pytest.approx(expected)
    assert fold.asked[:, 0] == pytest.approx([np.nanmean(advantage[s]) for s in range(4)])


def test_a_target_of_the_study_is_asked_for_as_if_it_were_new(planted_features: pd.DataFrame) -> None:
    matrix = planted_matrix(0)
    other = matrix.copy()
    other["qka"], other.loc["qka"] = 99.0, 1.0
    tables = []
    for one in (matrix, other):
        found = pairs.pairs(one, planted_features, "qka")
        tables.append(judging.recommend(found, judging.judge(found), "linear")[0])
    pd.testing.assert_frame_equal(*tables)


# --- judged -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_text", [True, False], ids=["texts", "families alone"])
def test_the_planted_families_are_found(planted_features: pd.DataFrame, with_text: bool) -> None:
    features = planted_features if with_text else pairs.feature_table({c: facts(c, f) for c, f in FAMILY.items()})
    right = cases = 0
    for seed in range(5):
        judged = judging.judge(pairs.pairs(planted_matrix(seed), features), EVERY)
        rows = judged.left_out[(judged.left_out["ranker"] == judged.chosen)].set_index("target")["first"]
        for target, first in rows.items():
            if FAMILY[target] != ISOLATE:
                cases += 1
                right += FAMILY[first] == FAMILY[target]
    assert cases == 30 and right / cases >= 0.9


def test_every_ranker_is_judged_on_every_target(planted_features: pd.DataFrame) -> None:
    judged = judging.judge(pairs.pairs(planted_matrix(1), planted_features), EVERY)
    # the planted languages lie nowhere, and no encoder has read their texts
    without = ("geography", "hidden_states", "names")
    assert list(judged.table["ranker"]) == [*(n for n in EVERY if n not in without), *judging.NO_RANKERS]
    assert set(judged.table["targets"]) == {7} and len(judged.left_out) == 7 * len(judged.table)
    assert judged.table["chosen"].sum() == 1
    assert judged.chosen == "model"
    assert (judged.left_out["first"] != judged.left_out["target"]).all()
    for row in judged.table.itertuples():
        each = judged.left_out[judged.left_out["ranker"] == row.ranker]
        assert row.regret == pytest.approx((each["best_f1"] - each["first_f1"]).mean())
        assert row.regret_low <= row.regret <= row.regret_high
    mean, low, high = judging.lead(judged, "relatives", "average")
    assert 0 < low < mean < high
    regret = judged.table.set_index("ranker")["regret"]
    assert mean == pytest.approx(regret["average"] - regret["relatives"])


def test_of_equals_the_model_is_chosen_or_the_simplest(planted_features: pd.DataFrame) -> None:
    exact = judging.judge(pairs.pairs(planted_matrix(0, noise=0), planted_features), EVERY)
    regret = exact.table.set_index("ranker")["regret"]
    assert regret["word_overlap"] == regret["relatives"] == regret["model"] == 0 and exact.chosen == "model"
    none = {name: np.zeros(4) for name in ("train_size", "relatives")}
    assert judging.choose(none) == "train_size" and judging.choose({**none, "model": np.zeros(4)}) == "model"


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.permutations(range(5)))
def test_the_order_of_the_languages_does_not_matter(seed: int, order: list[int]) -> None:
    rng = np.random.default_rng(seed)
    names = np.array([f"l{i}" for i in range(5)])
    matrix = pd.DataFrame(rng.uniform(0, 90, (5, 5)), names, names)
    table = pd.DataFrame({"word_overlap": rng.uniform(size=25)}, pd.MultiIndex.from_product([names, names]))
    one, other = (judging.judge(pairs.pairs(matrix.loc[x, x], table)).table for x in (names, names[order]))
    kept = one["ranker"] != judging.HINDSIGHT
    pd.testing.assert_frame_equal(one[kept], other[kept])


def test_missing_scores_are_listed_and_never_averaged_over(planted_features: pd.DataFrame) -> None:
    matrix = planted_matrix(0)
    matrix.loc["qse", ["qka", "qit"]] = math.nan
    matrix.loc["qko", "qko"] = math.nan  # not zero-shot: not needed
    found = pairs.pairs(matrix, planted_features)
    assert found.missing == [("qse", "qka"), ("qse", "qit")] and found.dropped == ["source qse"]
    assert "qse" not in found.sources and "qse" in found.targets
    words = pairs.gaps_in_words(found)
    assert words == "Missing scores: qse on qka, qse on qit. Left out, to keep the largest complete table: source qse."
    whole = pairs.pairs(planted_matrix(0).drop(index="qse"), planted_features)
    pd.testing.assert_frame_equal(judging.judge(found).table, judging.judge(whole).table)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 6), st.integers(0, 6), st.floats(0, 0.6), st.integers(0, 10**6))
def test_the_largest_table_without_a_gap_remains(sources: int, targets: int, share: float, seed: int) -> None:
    """Against every choice of sources with every target that is then whole."""
    rng = np.random.default_rng(seed)
    names = [f"l{i}" for i in range(6)]
    matrix = pd.DataFrame(rng.uniform(0, 90, (sources, targets)), names[:sources], names[:targets])
    matrix = matrix.mask(rng.uniform(size=matrix.shape) < share)
    found = pairs.pairs(matrix, pd.DataFrame(columns=["train_size"], dtype=float))

    def worth(sources: int, targets: int) -> tuple[int, int, int]:
        return (2 if sources >= 3 and targets >= 4 else int(sources >= 2)), sources * targets, sources

    every = []
    for n in range(sources + 1):
        for chosen in itertools.combinations(matrix.index, n):
            whole = [t for t in matrix if all(s == t or not math.isnan(matrix.loc[s, t]) for s in chosen)]
            every.append(worth(n, len(whole)))
    assert worth(len(found.sources), len(found.targets)) == max(every)
    assert np.isnan(found.f1).sum() == len(set(found.sources) & set(found.targets))
    gone = [f"source {s}" for s in matrix.index if s not in found.sources]
    gone += [f"target {t}" for t in matrix if t not in found.targets]
    assert found.dropped == gone and bool(found.missing) >= bool(gone)


def test_a_target_goes_where_that_saves_a_source(planted_features: pd.DataFrame) -> None:
    matrix = planted_matrix(0)
    matrix.loc["qka", "qit"] = math.nan
    assert pairs.pairs(matrix, planted_features).dropped == ["target qit"]
    four = planted_matrix(0).loc[["qka", "qke", "qko", "qsa"], ["qse", "qso", "qsa", "qit"]]
    four.loc[["qka", "qko"], ["qse", "qso"]] = four.loc["qke", "qit"] = math.nan  # qke and qsa had six pairs, too
    dropped = pairs.pairs(four, planted_features).dropped
    assert dropped == ["source qke", "target qse", "target qso"]
    few = planted_matrix(0).iloc[:3]
    few.loc["qka", ["qse", "qso", "qit"]] = math.nan  # two sources had more pairs, but from them nothing is learned
    found = pairs.pairs(few, planted_features)
    assert found.dropped == ["target qse", "target qso", "target qit"] and not pairs.shortage(found)


# --- too few to judge ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("targets", "sources"), [(3, 7), (7, 2), (0, 0)])
def test_too_few_languages_say_what_is_there_and_what_is_needed(
    planted_features: pd.DataFrame, targets: int, sources: int
) -> None:
    found = pairs.pairs(planted_matrix(0).iloc[:sources, :targets], planted_features)
    words = pairs.shortage(found)
    assert words.startswith("at least 4 targets with scores and 3 sources are needed")
    for n, noun in ((targets, "target"), (sources, "source")):
        names = f" ({', '.join(list(FAMILY)[:n])})" if n else ""
        assert f"{n} {noun}s{names}" in words
    assert not pairs.shortage(pairs.pairs(planted_matrix(0).iloc[:3, :4], planted_features))


def test_too_few_to_judge_are_ranked_by_what_learns_nothing(planted_features: pd.DataFrame) -> None:
    few = planted_matrix(0).loc[["qka", "qke", "qko"], ["qka", "qke", "qko"]]
    found = pairs.pairs(few, planted_features, "qso")
    judged = judging.unjudged(found, EVERY)
    assert list(judged.table["ranker"]) == ["average", "train_size", "word_overlap", "relatives"]
    assert judged.chosen == "average" and judged.left_out.empty and (judged.table["targets"] == 0).all()
    assert judged.table[list(judging.MEASURES)].isna().all(axis=None)
    elsewhere = few.mask(np.eye(3, dtype=bool))
    advantage = elsewhere.sub(elsewhere.mean()).mean(axis=1)
    for name in judged.table["ranker"]:
        table, _ = judging.recommend(found, judged, name)
        assert list(table.columns[: len(judging.RECOMMENDED_COLUMNS)]) == judging.RECOMMENDED_COLUMNS
        assert table[judging.RECOMMENDED_COLUMNS[3:-1]].isna().all(axis=None) and table["because"].all()
        sources = " ".join(table["source"])
        assert judging.order_in_words(found, name).replace(">", "").replace("=", "").split() == sources.split()
    assert list(judging.recommend(found, judged, "average")[0]["source"]) == list(
        advantage.sort_values(ascending=False).index
    )
    table, _ = judging.recommend(found, judged, "word_overlap")
    assert table["word_overlap"].is_monotonic_decreasing and table["word_overlap"].nunique() == 3


@pytest.mark.parametrize(
    ("sources", "targets", "known"),
    [
        (["qka", "qke"], ["qka", "qke"], False),  # each target has one score: nothing to compare it with
        (["qka", "qke"], ["qke", "qko"], True),
        (["qka", "qke", "qko"], ["qka"], False),  # nothing of qka but on itself
        (["qka", "qke", "qko"], ["qka", "qke"], True),
        (["qka", "qke"], [], False),
    ],
)
def test_mean_transfer_is_known_only_where_every_source_is_compared(
    planted_features: pd.DataFrame, sources: list[str], targets: list[str], known: bool
) -> None:
    found = pairs.pairs(planted_matrix(0).loc[sources, targets], planted_features, "qso")
    judged = judging.unjudged(found, EVERY)
    assert ("average" in set(judged.table["ranker"])) == known == ("mean_transfer" in found.features)
    assert judged.chosen == ("average" if known else "train_size")
    table, _ = judging.recommend(found, judged, judged.chosen)
    assert len(table) == len(sources) and ("mean_transfer" in table) == known
    assert not table[list(found.features)].isna().any(axis=None)


def test_sources_that_a_ranker_does_not_tell_apart_are_equal() -> None:
    known = {code: facts(code) for code in ("swa", "hau", "luo", "wol")}
    matrix = pd.DataFrame(np.nan, ["swa", "hau", "wol"], [])
    found = pairs.pairs(matrix, pairs.feature_table(known), "luo")
    assert judging.order_in_words(found, "relatives") == "hau = swa = wol"
    assert judging.order_in_words(found, "geography") == "swa > hau > wol"


def test_a_feature_that_one_pair_lacks_is_not_used() -> None:
    known = {code: facts(code, "x / y") for code in ("swa", "hau", "lug", "kin", "new")}
    table = pairs.feature_table(known)
    matrix = pd.DataFrame(np.arange(25.0).reshape(5, 5), list(known), list(known))
    found = pairs.pairs(matrix, table)
    assert found.names == ("genetic_distance",) and found.unknown["geographic_distance"] == ("swa", "new")
    assert "geographic_distance (swa, new)" in pairs.features_in_words(found)
    assert pairs.pairs(matrix.drop(index="new", columns="new"), table).names == (
        "same_script", "genetic_distance", "geographic_distance",
    )  # fmt: skip


# --- recommended ----------------------------------------------------------------------------------------


def test_the_order_is_that_of_expected_f1_and_of_regret(planted_features: pd.DataFrame) -> None:
    found = pairs.pairs(planted_matrix(2), planted_features, "qso")
    judged = judging.judge(found)
    for name in set(judged.table["ranker"]) & set(EVERY):
        table, widened = judging.recommend(found, judged, name)
        assert (
            table["expected_f1"].is_monotonic_decreasing and table["expected_regret"].round(9).is_monotonic_increasing
        )
        assert (table["f1_low"] <= table["expected_f1"]).all() and (table["expected_f1"] <= table["f1_high"]).all()
        assert (table["regret_low"] <= table["expected_regret"]).all() and (table["regret_low"] >= 0).all()
        assert (table["expected_regret"] <= table["regret_high"]).all()
        assert (table.groupby("place")["expected_f1"].nunique() == 1).all()  # equal sources have one place
        assert widened.cases == 30 and widened.targets == 6 and widened.regret_held > 0.5
        assert widened.f1_held >= 0.95
    best = judging.recommend(found, judged, judged.chosen)[0].iloc[0]
    assert FAMILY[best["source"]] == FAMILY["qso"] and best["because"]


def test_a_ranker_that_separates_nothing_gives_way() -> None:
    known = {code: facts(code) for code in ("swa", "kin", "lug", "hau", "luo")}
    matrix = pd.DataFrame(np.random.default_rng(0).uniform(20, 80, (5, 5)), list(known), list(known))
    found = pairs.pairs(matrix, pairs.feature_table(known, {"deu": facts("deu", "Indo-European")}), "deu")
    judged = replace(judging.judge(found), chosen="relatives")  # nobody is a relative of deu
    assert judging.first_that_separates(found, judged) != "relatives"


def test_linear_reasons_are_its_strongest_features(planted_features: pd.DataFrame) -> None:
    found = pairs.pairs(planted_matrix(2), planted_features, "qso")
    judged = judging.judge(found)
    reasons = judging.recommend(found, judged, "linear")[0].iloc[0]["because"].split(", ")
    sizes = [abs(float(reason.split()[1])) for reason in reasons]
    assert len(reasons) == 4 and sizes[:3] == sorted(sizes[:3], reverse=True) and reasons[3].startswith("rest ")
    assert judging.recommend(found, judged, "relatives")[0].iloc[0]["because"] == "genetic_distance 0"


# --- the entry point --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store: study ``planted`` has a planted-like matrix, ``few`` three languages of it, ``two`` 2."""
    folder = tmp_path_factory.mktemp("rank")
    opened = client(f"sqlite:///{make_store(folder)}")
    for study, languages in (("planted", list(FAMILY)), ("few", list(FAMILY)[:3]), ("two", list(FAMILY)[:2])):
        experiment = opened.create_experiment(study, artifact_location=(folder / "artifacts").as_uri())
        for seed, source in itertools.product((0, 1), languages):
            row = planted_matrix(seed).loc[source, languages] / 100
            metrics = {f"{split}_f1/{target}": value for target, value in row.items() for split in ("test", "dev")}
            made.log_cell(opened, experiment, ("base", source, seed), languages, metrics=metrics, families=FAMILY)
    copied = opened.create_experiment("copied", artifact_location=(folder / "artifacts").as_uri())
    (folder / "columns.conll").write_text("a B-PER\nb O\n")
    for source, start in itertools.product(("hau", "swa"), ("base", "copy")):
        f1 = {"hau": 0.3, "swa": 0.45, "kin": 0.61} if source == "hau" else {"hau": 0.5, "kin": 0.3 + len(start) / 100}
        metrics = {f"test_f1/{target}": value for target, value in f1.items()}
        made.log_cell(opened, copied, (start, source, 0), ["hau", "swa", "kin"], metrics=metrics)
    for study, starts in (("one", ["mine"]), ("several", ["owner/model.v1", "swa"])):
        experiment = opened.create_experiment(study, artifact_location=(folder / "artifacts").as_uri())
        for start, source in itertools.product(starts, ("hau", "swa")):
            metrics = {"test_f1/hau": 0.3, "test_f1/swa": 0.4}
            made.log_cell(opened, experiment, (start, source, 0), ["hau", "swa"], metrics=metrics)
    return folder


def rank(
    folder: Path, *arguments: str, python: str = sys.executable, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"} | variables
    if "--study" not in arguments:
        arguments = (*arguments, "--study", "planted")
    return subprocess.run([python, str(ENTRY), *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_a_target_with_text_is_ranked_printed_and_written(store: Path, python: str) -> None:
    (store / "text.txt").write_text("\n".join(planted_corpora.text(PlantedSettings(), "qke")[:50]), encoding="utf-8")
    done = rank(store, "--target", "qke", "--text", "text.txt", python=python)
    assert done.returncode == 0, done.stderr
    path = store / "reports" / "planted" / "recommended" / "qke-base.csv"
    table = pd.read_csv(path)
    assert list(table.columns[:4]) == ["place", "start", "source", "expected_f1"] and "qke" not in set(table["source"])
    assert FAMILY[table["source"][0]] == "Kelwic" and table["measured_f1"].notna().all()
    judged = pd.read_csv(path.with_suffix(".judged.csv"))
    chosen = judged.loc[judged["chosen"], "ranker"].item()
    assert f"ranked by {chosen}" in done.stdout and f"The ranker chosen is {chosen};" in done.stdout
    assert (
        "Measured coverage of the 95 % intervals" in done.stdout and "Without the texts of the sources" in done.stdout
    )
    assert done.stdout.strip().endswith(f"Written: {path}")


def test_a_ranker_and_a_new_language_of_a_known_family_by_its_code(store: Path, python: str) -> None:
    done = rank(store, "--target", "zul", "--ranker", "linear", "--output", "out", python=python)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(store / "out" / "planted" / "recommended" / "zul-base.csv")
    assert len(table) == 7 and "measured_f1" not in table and (table["genetic_distance"] == 1).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "parameter target is missing"),
        (("--target", "a/b"), "language 'a/b' is not a usable code"),
        (
            ("--target", "xxx"),
            "target='xxx': nothing is known of this language; give text or labelled, or one of amh, ",
        ),
        (("--target", "qka", "--start", "swa"), "start='swa' has no scores in this study; it has base"),
        (
            ("--target", "zul", "--study", "several", "--start", "base"),
            "has no scores in this study; it has owner/model.v1, swa",
        ),
        (
            ("--target", "qka", "--study", "two"),
            "ranking sources needs at least two other than qka with scores; there is 1 source (qke); fine-tune on "
            "another source, or rank by what another study tells: prior=published",
        ),
        (
            ("--target", "qka", "--study", "few", "--ranker", "linear"),
            "ranker='linear' needs scores to learn from: at least 4 targets with scores and 3 sources other than qka "
            "are needed, for each target is left out in turn; there are 2 targets (qke, qko) and 2 sources (qke, qko); "
            "usable: relatives",
        ),
        (
            ("--target", "qka", "--study", "few", "--ranker", "average"),
            "ranker='average' needs scores of every source and another one on a target other than qka; usable: ",
        ),
        (
            ("--target", "qka", "--ranker", "word_overlap"),
            "linear, model (without the texts of the sources: the study's data: not at hand)",
        ),
        (("--target", "qka", "--ranker", "oracle"), "ranker='oracle' is not allowed: one of best, average"),
        (("--target", "qka", "--text", "none.txt"), "text='none.txt' cannot be read"),
        (
            ("--target", "qka", "--text", "columns.conll"),
            "columns.conll:1: every line ends in an IOB2 tag; give columns as labelled",
        ),
        (("--target", "qka", "--tokenizer", "none"), "tokenizer='none' has no tokenizer.json"),
        (("--target", "qka", "--labelled", "mlflow.db"), "mlflow.db:"),
        (
            ("--target", "qka", "--study", "sevral"),
            "study 'sevral' does not exist in this store; it has copied, few, one, ",
        ),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    store: Path, python: str, arguments: tuple[str, ...], message: str
) -> None:
    done = rank(store, *arguments, "--output", "nothing", python=python)
    assert done.returncode == 2
    *told, error = done.stderr.splitlines()  # at most one line before it, about the study's corpora
    assert error.startswith("error: ") and message in error and len(told) <= 1
    assert done.stdout == "" and not (store / "nothing").exists()


def test_the_only_start_of_a_study_need_not_be_named(store: Path) -> None:
    tracking = options.TrackingOptions(f"sqlite:///{store}/mlflow.db", "one")
    path = ranked_study.recommend(config.RankConfig("zul", tracking=tracking, output=str(store / "only")))
    assert path.name == "zul-mine.csv" and len(pd.read_csv(path)) == 2


def test_without_a_base_the_start_with_most_scores_is_meant(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tracking = options.TrackingOptions(f"sqlite:///{store}/mlflow.db", "several")
    path = ranked_study.recommend(config.RankConfig("zul", tracking=tracking, output=str(store / "most")))
    assert path.name == "zul-owner_model.v1-" + path.name.rpartition("-")[2]
    assert "Sources for zul from owner/model.v1, ranked by" in capsys.readouterr().out


def test_what_is_not_used_is_named_on_screen_and_in_the_file(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tracking = options.TrackingOptions(f"sqlite:///{store}/mlflow.db", "copied")
    path = ranked_study.recommend(config.RankConfig("zul", tracking=tracking, output=str(store / "unused")))
    unused = pd.read_csv(path.with_suffix(".unused.csv"))
    why = "its scores are those of base-hau, and only base-hau behaves as it is called"
    assert unused[["start", "source", "reason"]].to_numpy().tolist() == [["copy", "hau", why]]
    assert f"Not used:\n  copy-hau: {why}\n" in capsys.readouterr().out
    used = ranked_study.recommend(config.RankConfig("zul", tracking=replace(tracking, study="few"), output=str(store)))
    assert used.with_suffix(".unused.csv").read_text() == "start,source,seed,reason\n"
    assert "Not used:" not in capsys.readouterr().out


def test_a_fine_tuning_that_collapsed_is_named_with_its_seed() -> None:
    frame = pd.DataFrame(
        [("base", "hau", seed, "hau", "dev", "ALL", f1) for seed, f1 in enumerate([0.9, 0.8, 0.1])],
        columns=["start", "source", "seed", "target", "split", "category", "f1"],
    )
    test = frame.assign(split="test", target="swa")
    found = verdicts.Verdicts(verdicts.none().excluded, verdicts.collapsed(pd.concat([frame, test])))
    (row,) = recommendation.not_used(found).to_dict("records")
    assert (row["start"], row["source"], row["seed"]) == ("base", "hau", 2)
    assert "its fine-tuning collapsed (F1 10.0 on dev of the source, best other seed 90.0)" in row["reason"]
    assert "base-hau, seed 2: its fine-tuning collapsed" in words.unused(recommendation.not_used(found))


def test_of_few_ways_the_first_that_tells_sources_apart_is_taken() -> None:
    known = {code: facts(code) for code in ("swa", "kin", "luo")}
    f1 = pd.DataFrame(50.0, ["swa", "kin"], ["luo"])
    found = pairs.pairs(f1, pairs.feature_table(known, {"hau": facts("hau")}), "hau")
    judged = judging.unjudged(found, rankers.QUICK)
    equal = [name for name in judged.table["ranker"] if "=" in judging.order_in_words(found, name)]
    assert judged.chosen in equal and judging.first_that_separates(found, judged) == "geography"


def test_a_study_of_a_known_target_sees_the_start_that_is_adapted_to_it() -> None:
    names = ["swa", "kin", "lug", "hau", "luo"]
    rng = np.random.default_rng(0)
    means = [pd.DataFrame(rng.uniform(20, 80, (5, 5)), names, names) for _ in range(2)]
    table = pairs.feature_table({code: facts(code) for code in names})
    found = pairs.pairs(means[0], table, "swa", "swa", {"base": means[1]})
    assert set(found.rows.start) == {"swa", "base"}
    assert "swa" not in {*found.rows.source, *found.rows.target}
    other = pairs.pairs(means[1], table, "swa", "base", {"swa": means[0]})
    assert set(other.rows.start) == {"base"}


def test_a_study_of_the_store_is_a_prior_and_can_be_written_as_one(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command, given = load_script(ENTRY), ["--tracking_uri", f"sqlite:///{store}/mlflow.db", "--target", "qke"]
    run(RankConfig, command.main, "", [*given, "--study", "planted", "--save_prior", "p.json", "--cite", "made up"])
    assert f"Written: {tmp_path}/reports/planted/recommended/qke-base.csv, {tmp_path}/p.json" in capsys.readouterr().out
    tables = []
    for prior, where in (("p.json", ["--target", "qke"]), ("planted", given)):  # a file needs no store
        run(RankConfig, command.main, "", [*where, "--prior", prior])
        printed = capsys.readouterr().out
        assert "by the prior planted alone" in printed and ("Prior: made up" in printed) == (prior == "p.json")
        tables.append(pd.read_csv(tmp_path / "reports" / "prior-planted" / "recommended" / "qke-base.csv"))
    pd.testing.assert_frame_equal(*tables, rtol=0, atol=0.02)
    assert FAMILY[tables[0]["source"][0]] == FAMILY["qke"]


def test_a_prior_that_cannot_be_written_is_bad_input(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    tracking = options.TrackingOptions(f"sqlite:///{store}/mlflow.db", "planted")
    for path, message in (
        (str(tmp_path), r"save_prior='.*' is a folder; give the name of a file"),
        (str(tmp_path / "file" / "p.json"), r"save_prior: the folder .* cannot be made"),
    ):
        asked = config.RankConfig("zul", tracking=tracking, output=str(tmp_path / "out"), save_prior=path)
        with pytest.raises(InputError, match=message):
            ranked_study.recommend(asked)
        assert not (tmp_path / "out").exists()


def test_a_ranking_that_cannot_be_written_is_bad_input(store: Path) -> None:
    tracking = options.TrackingOptions(f"sqlite:///{store}/mlflow.db", "few")
    with pytest.raises(InputError, match=r"output: the folder .* cannot be made"):
        ranked_study.recommend(config.RankConfig("zul", tracking=tracking, output=str(store / "mlflow.db")))


def test_few_targets_are_ranked_and_what_is_unknown_is_said(store: Path, python: str) -> None:
    done = rank(store, "--study", "few", "--target", "zul", python=python)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(store / "reports" / "few" / "recommended" / "zul-base.csv")
    assert len(table) == 3 and table["expected_f1"].isna().all() and table["regret_high"].isna().all()
    judged = pd.read_csv(store / "reports" / "few" / "recommended" / "zul-base.judged.csv")
    assert judged.loc[judged["chosen"], "ranker"].tolist() == ["average"] and judged["regret"].isna().all()
    assert (
        "ranked by average" in done.stdout
        and "average is the simplest ranker that tells the sources apart" in done.stdout
    )
    assert (
        "Expected F1, regret and their intervals are unknown, and linear, lambdarank and model cannot learn"
        in done.stdout
    )
    assert re.search(r"^1 +\w+ +n/a +n/a +n/a +n/a  mean_transfer", done.stdout, re.MULTILINE)
    asked = rank(store, "--study", "few", "--target", "zul", "--ranker", "relatives", python=python)
    assert asked.returncode == 0 and "relatives was asked for; this study cannot tell how good it is." in asked.stdout


def test_lightgbm_is_loaded_only_where_it_is_asked_for(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(name: str) -> ModuleType:
        if name == "lightgbm":
            raise OSError("libgomp.so.1: cannot open shared object file")
        return importlib.import_module(name)

    monkeypatch.chdir(store)
    monkeypatch.setattr(recommendation, "importlib", SimpleNamespace(import_module=load))
    command = load_script(ENTRY)
    given = ["--study", "planted", "--target", "qke", "--tracking_uri", f"sqlite:///{store}/mlflow.db"]
    run(RankConfig, command.main, "", given)
    assert "ranked by model" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        run(RankConfig, command.main, "", [*given, "--ranker", "lambdarank"])
    assert ended.value.code == 2
    assert "ranker='lambdarank': LightGBM cannot be loaded here" in capsys.readouterr().err


def test_a_tokenizer_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"tokenizer\.json is not the definition of a tokenizer"):
        recommendation.read_tokenizer(tmp_path)


def test_text_is_a_file_or_a_folder_of_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeffone two\n\nthree\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("four", encoding="utf-8")
    (tmp_path / "c.csv").write_text("five", encoding="utf-8")
    assert recommendation.read_text(tmp_path / "a.txt") == [["one", "two"], ["three"]]
    assert recommendation.read_text(tmp_path) == [["one", "two"], ["three"], ["four"]]
    (tmp_path / "b.txt").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"b\.txt:1: not UTF-8: byte 0xff at byte offset 0"):
        recommendation.read_text(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no word"):
        recommendation.read_text(tmp_path / "empty")


def test_labels_of_dev_add_the_overlap_of_entities() -> None:
    def corpus_of(language: str, name: str):  # type: ignore[no-untyped-def]
        from nertransfer.corpora.corpus import Corpus

        one = Split(language, "", (Sentence((name, "x"), ("B-PER", "O")),), "")
        return Corpus(language, dict.fromkeys(("train", "dev", "test"), one))

    corpora = {code: corpus_of(code, name) for code, name in zip("abcde", "NNMMM", strict=True)}
    for labels in (True, False):
        table = pairs.feature_table(pairs.known_languages(list("abcde"), corpora, {}, labels))
        assert table["entity_overlap"].notna().all() == labels
        assert table["word_overlap"].notna().all()
    assert pairs.known_languages(["a", "z"], corpora, {})["a"].text is None  # of all languages, or of none


def test_a_text_is_cut_into_words_as_corpora_are(tmp_path: Path) -> None:
    """Punctuation apart: else its words are none of those of a corpus."""
    (tmp_path / "text.txt").write_text('Sani, "ya tafi" Kano.\n', encoding="utf-8")
    assert recommendation.read_text(tmp_path / "text.txt") == [["Sani", ",", '"', "ya", "tafi", '"', "Kano", "."]]
