"""Claims on adaptation: on the published scores, and on studies made by hand."""

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from published_frames import published_scores
from scipy import stats

from analysis.reading import results
from analysis.statistics import comparison
from analysis.transfer import claims, inference
from nertransfer.core.schema import ALL

TO_SOURCE, IN_LANGUAGE = "adapted to the source, zero-shot", "adapted to the language, in-language"
TO_TARGET, TO_THIRD = "adapted to the target, zero-shot", "adapted to a third language, zero-shot"
LANGUAGES = ["hau", "ibo", "swa", "wol"]


def frame_of(gains: dict[str, float], seeds: int = 3) -> pd.DataFrame:
    """Base on all sources, every own start on its own and on the pivot swa; ``gains`` by claim, in points."""
    rng = np.random.default_rng(0)
    pairs = [("base", x) for x in LANGUAGES] + [(x, x) for x in LANGUAGES]
    pairs += [(x, "swa") for x in LANGUAGES if x != "swa"]
    rows = []
    for (start, source), target, seed in itertools.product(pairs, LANGUAGES, range(seeds)):
        f1 = 0.8 if source == target else 0.4
        if start != "base":
            claim = (
                (TO_SOURCE, IN_LANGUAGE)[target == source]
                if start == source
                else (TO_THIRD, TO_TARGET)[target == start]
            )
            f1 += gains.get(claim, 0) / 100 * (target != "swa" or source != "swa" or start == "swa")
        f1 += 0.002 * rng.normal()
        rows.append((start, source, seed, target, "test", ALL, f1, f1, f1, 10))
    return pd.DataFrame(rows, columns=results.FRAME_COLUMNS)


def found(frame: pd.DataFrame, categories: tuple[str, ...] = (ALL,)) -> pd.DataFrame:
    return claims.table(frame, {}, categories, ["swa"], "base")


def test_the_published_claims(shared_data: Path) -> None:
    table = found(published_scores(shared_data), (ALL, "PER")).set_index(["claim", "category"])
    overall = table.xs(ALL, level="category")
    assert overall["difference"].round(1).to_dict() == {
        TO_SOURCE: -1.1, IN_LANGUAGE: 2.9, TO_TARGET: 10.4, TO_THIRD: 1.5, "own source instead of swa, zero-shot": -7.3
    }  # fmt: skip
    assert overall["n_pairs"].tolist() == [72, 9, 8, 56, 56] and set(overall["n_seeds"]) == {5}
    assert overall.loc[TO_SOURCE, ["low", "high", "p"]].tolist() == pytest.approx([-1.98, -0.22, 0.021], abs=0.01)
    # these languages; of others nothing is known
    assert overall.loc[TO_SOURCE, ["languages_low", "languages_high"]].tolist() == pytest.approx([-6.1, 3.9], abs=0.01)
    assert table.loc[(TO_SOURCE, "PER"), "difference"] == pytest.approx(-5.0, abs=0.05)
    assert (table["p_holm"] >= table["p"]).all() and len(table) == 10
    assert overall["p_holm"].tolist() == pytest.approx(comparison.holm(overall["p"]))  # the claims of one category
    assert overall.loc[TO_SOURCE, "p_holm"] == pytest.approx(0.042, abs=0.001)


def test_each_claim_has_the_gain_that_was_planted_and_no_other_has_it() -> None:
    gains = {TO_SOURCE: -3.0, IN_LANGUAGE: 2.0, TO_TARGET: 8.0, TO_THIRD: 1.0}
    table = found(frame_of(gains)).set_index("claim")
    assert table.loc[list(gains), "difference"].tolist() == pytest.approx(list(gains.values()), abs=0.3)
    assert table.loc["own source instead of swa, zero-shot", "difference"] == pytest.approx(-3 - 1, abs=0.3)
    assert (table["p_holm"] < 0.05).all() and (table["low"] * table["high"] > 0).all()
    assert table["pairs_higher"].tolist() == [0, 4, 3, 6, 0] and table["n_languages"].tolist() == [4, 4, 3, 3, 3]


def test_the_test_is_welchs_over_means_of_seeds() -> None:
    frame = frame_of({TO_SOURCE: 0.5}, seeds=5)
    zero_shot = frame[frame["source"] != frame["target"]]
    own = zero_shot[zero_shot["start"] == zero_shot["source"]].groupby("seed")["f1"].mean()
    base = zero_shot[zero_shot["start"] == "base"].groupby("seed")["f1"].mean()
    row = found(frame).set_index("claim").loc[TO_SOURCE]
    assert row["difference"] == pytest.approx(100 * (own.mean() - base.mean()))
    assert row["n_pairs"] == 12 and row["untested"] == ""
    assert row["p"] == pytest.approx(stats.ttest_ind(own, base, equal_var=False).pvalue)


def test_a_score_that_several_are_compared_with_counts_as_often() -> None:
    frame = frame_of({})
    third = (frame["start"] == "base") & (frame["source"] == "swa") & (frame["target"] == "hau")
    frame.loc[third, "f1"] += 0.06  # hau is the target of ibo and wol: 2 of 6 pairs
    row = found(frame).set_index("claim").loc[TO_THIRD]
    assert row["difference"] == pytest.approx(-2, abs=0.3) and row["n_pairs"] == 6


def test_what_is_missing_is_left_out_and_one_seed_is_not_tested() -> None:
    frame = frame_of({TO_SOURCE: 2.0})
    lost = (frame["start"] == "wol") & (frame["target"] == "hau")
    table = found(frame[~lost]).set_index("claim")
    assert table["n_pairs"].tolist() == [11, 4, 3, 5, 5]
    single = found(frame[frame["seed"] == 0])
    assert set(single["untested"]) == {inference.ONE_SEED} and single["p_holm"].isna().all()
    assert single["languages_low"].notna().all()
    never = frame[
        ~((frame["seed"] == 0) & (frame["source"] == "hau")) & ~((frame["seed"] > 0) & (frame["source"] == "ibo"))
    ]
    row = found(never).set_index("claim").loc[TO_SOURCE]
    assert (row["untested"], row["n_seeds"]) == (claims.NO_SEED, 0) and math.isnan(row["p"])
    assert row["difference"] == pytest.approx(2, abs=0.3)


def test_a_study_without_adapted_starts_claims_nothing() -> None:
    frame = frame_of({})
    table = found(frame[frame["start"] == "base"])
    assert table.empty and list(table.columns) == claims.COLUMNS
