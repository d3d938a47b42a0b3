"""The answers that the page of a study and its page in MLflow begin with: what they say where something is missing."""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis.report.sections import reasons, summary
from analysis.report.study_analysis import Computed
from analysis.transfer import answers, matrices
from analysis.transfer.matrices import Cube

LANGUAGES = ["hau", "swa", "wol"]
Pairs = Callable[[Cube], list[tuple[str, str]]]


def averaged(cubes: Mapping[str, Cube], pairs: Pairs, p_holm: Sequence[float] | float = np.nan) -> pd.DataFrame:
    """As much of `inference.start_averages` as the sentences need."""
    shared = matrices.common(cubes.values(), pairs)
    means = [matrices.pair_average(cube, shared) for cube in cubes.values()]
    numbers = {"f1": [one.mean for one in means], "n_seeds": [one.n for one in means], "p_holm": p_holm}
    return pd.DataFrame({"start": list(cubes), "low": 38.5, "high": 41.5} | numbers)


def computed(cubes: Mapping[str, Cube], p_holm: Sequence[float] | float = np.nan, **others: object) -> Computed:
    """As much of an analysis as the sentences need; ``base`` is the reference."""
    differences = pd.DataFrame(columns=["start", "source", "target", "difference", "p_holm", "untested"])
    starts = [SimpleNamespace(name=name) for name in cubes]
    given = {
        "differences": differences,
        "start_averages": averaged(cubes, matrices.zero_shot, p_holm),
        "in_language_averages": averaged(cubes, matrices.in_language),
        "setting": "zero-shot",
        "start_pairs": pd.DataFrame(),
        "test": "Welch's t over seeds alone",
    } | others
    return SimpleNamespace(**({"reference": "base", "cubes": cubes, "starts": starts} | given))  # type: ignore[return-value]


def cube(f1: float, missing: bool = False) -> Cube:
    """Two seeds a point below and above ``f1`` everywhere; ``missing``: hau was never scored on wol."""
    values = np.full((2, 3, 3), f1) + np.array([-1.0, 1.0])[:, None, None]
    if missing:
        values[:, 0, 2] = np.nan
    return Cube([1, 2], LANGUAGES, LANGUAGES, values)


LIMITS = " (95 % interval 38.5 to 41.5)"
ONE = "base has a mean zero-shot F1 of 40.0 % (95 % interval 38.5 to 41.5)."


@pytest.mark.parametrize(
    ("cubes", "text"),
    [
        ({"base": cube(40)}, ONE),
        ({"base": cube(40), "aaa": cube(50, missing=True)}, f"{ONE} aaa not compared: scores missing."),
        ({"base": cube(40, missing=True), "aaa": cube(50, missing=True)}, "base and aaa not compared: scores missing."),
        (
            {"base": cube(40), "aaa": cube(30), "bbb": cube(50, missing=True)},
            "base has the highest mean zero-shot F1, 40.0 % (95 % interval 38.5 to 41.5), before aaa 30.0 %. "
            "bbb not compared: scores missing.",
        ),
        (
            {"base": cube(40, missing=True), "aaa": cube(30), "bbb": cube(50)},
            f"bbb has the highest mean zero-shot F1, 50.0 %{LIMITS}. base not compared: scores missing.",
        ),
    ],
)
def test_starts_with_missing_scores_are_named_and_a_single_one_is_not_called_the_best(
    cubes: dict[str, Cube], text: str
) -> None:
    assert summary._which_start(computed(cubes)) == f"Which start: {text}"


def of_sources(cube: Cube, *sources: str) -> Cube:
    rows = [cube.sources.index(source) for source in sources]
    return Cube(cube.seeds, list(sources), cube.targets, cube.values[:, rows])


def test_starts_are_compared_on_the_pairs_that_all_have() -> None:
    """base did badly from wol, which aaa was never fine-tuned on: that makes aaa no better."""
    base = cube(40)
    base.values[:, 2] -= 30
    unequal = computed({"base": base, "aaa": of_sources(cube(39), "hau", "swa")})
    told = f"base has the highest mean zero-shot F1, 40.0 %{LIMITS} over the 4 pairs that all starts have"
    assert summary._which_start(unequal) == f"Which start: {told}, before aaa 39.0 %."
    assert summary.tiles(unequal)[0].label == "mean zero-shot F1 from base, 4 pairs, 2 seeds"
    apart = computed({"base": of_sources(cube(40), "hau"), "aaa": of_sources(cube(50), "swa")})
    assert (
        summary._which_start(apart)
        == f"Which start: {ONE} aaa not compared: no source and target that all starts have."
    )
    assert [tile.value for tile in summary.tiles(apart)] == ["40.0 %", "40.0 %"]


def test_a_start_is_called_the_best_with_how_sure_that_is() -> None:
    told = summary._which_start(computed({"base": cube(40), "aaa": cube(39)}, [np.nan, 0.06]))
    assert f"40.0 %{LIMITS}, before aaa 39.0 % (p = 0.06). p: Welch's t over seeds alone; other lang" in told
    told = summary._which_start(computed({"base": cube(40), "aaa": cube(41)}, [np.nan, 0.06]))
    assert ", +1.0 points from base (p = 0.06). p: Welch's t over seeds alone; other languages may differ." in told


def test_of_starts_with_the_same_mean_none_is_the_best() -> None:
    told = summary._which_start(computed({"base": cube(40), "aaa": cube(40), "bbb": cube(30)}))
    assert told == "Which start: base and aaa have the same mean zero-shot F1, 40.0 %, before bbb 30.0 %."


def test_a_study_without_zero_shot_targets_says_nothing_of_starts() -> None:
    assert summary._which_start(computed({"base": Cube([1], ["hau"], ["hau"], np.full((1, 1, 1), 80.0))})) == ""


def test_a_study_in_one_language_each_compares_its_starts_there() -> None:
    """None is called base: each is compared with each, and no zero-shot number is shown as n/a."""
    diagonal = [Cube([1, 2], LANGUAGES, LANGUAGES, np.where(np.eye(3, dtype=bool), f1, np.nan) * np.ones((2, 1, 1)))
                for f1 in (80.0, 70.0, 60.0)]  # fmt: skip
    rows = [("b", "a", 10, 9, 11, 0.001, 0.002, 3), ("c", "b", -20, -21, -19, 0.04, 0.04, 3)]
    pairs = pd.DataFrame(rows, columns=answers.START_PAIR_COLUMNS)
    cubes = dict(zip("bac", diagonal, strict=True))
    found = computed(cubes, setting="in-language", reference="a", start_pairs=pairs)
    assert summary._which_start(found) == (
        "Which start: b has the highest mean in-language F1, 80.0 % (95 % interval 38.5 to 41.5), before a 70.0 % "
        "(p = 0.002) and c 60.0 % (p = 0.04). p: Welch's t over seeds alone, Holm over all pairs of starts; other "
        "languages may differ."
    )
    assert [tile.label for tile in summary.tiles(found)] == [
        "mean in-language F1 from a, 3 pairs, 2 seeds", "mean in-language F1 from b, 3 pairs, 2 seeds",
    ]  # fmt: skip


def test_a_mean_that_is_missing_keeps_its_tile() -> None:
    tiles = summary.tiles(computed({"base": cube(40, missing=True), "aaa": cube(50)}))
    assert [(tile.value, tile.label) for tile in tiles] == [
        ("n/a", "mean zero-shot F1 from base, 6 pairs, scores missing"),
        ("40.0 %", "mean in-language F1 from base, 3 pairs, 2 seeds"),
        ("50.0 %", "mean zero-shot F1 from aaa, 6 pairs, 2 seeds"),
        ("50.0 %", "mean in-language F1 from aaa, 3 pairs, 2 seeds"),
    ]


def best_of(sources: list[str]) -> str:
    """What is said of the best source where these are compared, each better than the one before."""
    values = np.tile(np.arange(len(sources), dtype=float)[:, None] * 10 + 40, (2, 1, len(sources)))
    best = matrices.best_sources({"base": Cube([1, 2], sources, sources, values)})
    ranks = pd.DataFrame(columns=["start", "target", "best_probability", "seeds_vary"])
    return summary._which_source(computed({}, best=best, ranks=ranks))


def test_a_best_source_without_rivals_leads_nobody() -> None:
    text = "Which source: from base, the best zero-shot source is "
    assert best_of(["hau", "swa"]) == f"{text}swa for 1 and hau for 1 of 2 targets."
    assert (
        best_of(LANGUAGES)
        == f"{text}wol for 2 and swa for 1 of 3 targets; it leads the runner-up by 10.0 points (median)."
    )


@pytest.mark.parametrize(
    ("sources", "said"),
    [("hisw", "h for 1, i for 1, s for 1 and w for 1"), ("hiswy", "h for 1, i for 1, s for 1 and others for 2")],
)
def test_a_single_other_source_is_named(sources: str, said: str) -> None:
    best = pd.DataFrame(
        {
            "start": "base",
            "target": range(len(sources)),
            "best_source": list(sources),
            "difference": np.nan,
            "sources_missing": 0,
        }
    )
    ranks = pd.DataFrame(columns=["start", "target", "best_probability", "seeds_vary"])
    assert f"best zero-shot source is {said} of " in summary._which_source(computed({}, best=best, ranks=ranks))


def how_sure(**values: float) -> str:
    row = {"start": "base", "setting": "zero-shot", "sd": 2.9, "sentence_sd": 1.06, "smallest_difference": 2.97}
    row |= {"seeds_for_2_points": 34.0, "power_for_2_points": 0.351, "most_power_for_2_points": 0.471}
    row |= {"seeds_for_5_points": 7.0, "power_for_5_points": 0.77, "most_power_for_5_points": 0.997}
    return summary._how_sure(computed({}, seeds=pd.DataFrame([row | values])))


def test_how_sure_says_what_no_number_of_seeds_shows() -> None:
    assert how_sure() == (
        "How sure: a zero-shot score from base varies by 2.9 points (sd) from seed to seed. In a single comparison "
        "34 seeds find 2 points with a probability of 35 %, any number of seeds with 47 %; 7 seeds find 5 points "
        "with a probability of 77 %, any number of seeds with 100 %. With any number of seeds the smallest difference "
        "that these test sets show (power 80 %) is 3.0 points."
    )


def test_how_sure_without_counts_by_sentence_says_that_they_are_not_known() -> None:
    unknown = dict.fromkeys(("sentence_sd", "smallest_difference", "power_for_2_points", "power_for_5_points"), np.nan)
    assert how_sure(**unknown).endswith(
        "A single comparison would need 34 seeds for 2 and 7 seeds for 5 points of F1 (power 80 %) if test sentences "
        "did not vary. How much they do is not known here: scores came without counts by sentence."
    )


def test_the_words_on_overlap_hold_for_any_number_of_languages() -> None:
    associations = pd.DataFrame(columns=["matrix", "measure", "method", "r", "p", "naive_p", "dyads"])
    found = SimpleNamespace(associations=associations, exposure=pd.DataFrame())
    section = reasons.overlap(computed({}, overlap=found, left_out=[]), {})
    assert section is not None and "Pairs of languages are not as many independent points" in section.paragraphs[0]
