"""What a report says in words of the numbers of a study, from tables made by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis.report import experiment_note, sensitivity
from analysis.report.html.page_data import Column, Listing, with_numbers
from analysis.report.sections import adaptation, answer, choice, scores, summary
from analysis.report.study_analysis import ONE_SEED, UNKNOWN, Computed
from analysis.statistics import mixed_model
from analysis.transfer import answers, association, beyond_one_source, verdicts
from analysis.transfer.inference import RANK_COLUMNS
from analysis.transfer.matrices import Cube


def computed(**fields: object) -> Computed:
    """A `Computed` that has these fields alone."""
    found = object.__new__(Computed)
    study = SimpleNamespace(languages=[], without_seed=frozenset())
    found.__dict__.update({"setting": "zero-shot", "start_pairs": pd.DataFrame(), "found": study} | fields)
    return found


def intervals(*rows: tuple[int, bool]) -> pd.DataFrame:
    """What texts need of `inference.intervals`."""
    return pd.DataFrame(rows, columns=["n_seeds", "sentences_vary"]).assign(moderated=False)


# --- where intervals and p come from -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counted", "end"),
    [
        ([True, True], " and a bootstrap of sentences"),
        ([True, False], ", and a bootstrap of sentences where they are counted"),
        ([False, False], " alone"),
    ],
)
def test_intervals_and_tests_are_called_what_they_are(counted: list[bool], end: str) -> None:
    found = computed(intervals=intervals(*((3, vary) for vary in counted)))
    assert found.interval == f"Student's t over seeds{end}"
    assert found.test == f"Welch's t over seeds{end}"


@pytest.mark.parametrize(
    ("counted", "told"),
    [
        ([True, True], "bootstrap over sentences alone, for these very models"),
        ([True, False], "bootstrap over sentences alone, where they are counted, for these very models"),
        ([False, False], UNKNOWN),
    ],
)
def test_with_one_seed_nothing_is_said_of_others(counted: list[bool], told: str) -> None:
    found = computed(intervals=intervals(*((1, vary) for vary in counted)))
    assert (found.interval, found.test) == (told, ONE_SEED)


def test_that_some_have_one_seed_is_said() -> None:
    said = []
    for numbers in ((3, 3), (3, 1), (1, 1)):
        found = computed(
            intervals=intervals(*((n, True) for n in numbers)), reference="base",
            differences=pd.DataFrame({"untested": []}), seeds=pd.DataFrame(),
            mixed=mixed_model._not_fitted(pd.DataFrame(), []),
        )  # fmt: skip
        said.append(" ".join(scores.certainty(found).paragraphs))
    assert ["Of one seed" in text for text in said] == [False, True, False]
    assert "p of a difference: not tested: one seed." in said[2]


# --- which source --------------------------------------------------------------------------------------------


def ranked(**seeds_vary: bool) -> Computed:
    """Two sources, one always the first, by target."""
    rows = [
        ("base", target, source, best, 2.0 - best, 2 - best, 2 - best, vary)
        for target, vary in seeds_vary.items()
        for source, best in (("hau", 1), ("ibo", 0))
    ]
    best = pd.DataFrame({"target": list(seeds_vary), "start": "base", "best_source": "hau", "difference": 5.0})
    best = best.assign(sources_missing=0)
    ranks = pd.DataFrame(rows, columns=RANK_COLUMNS)
    return computed(
        reference="base", best=best, ranks=ranks, intervals=intervals((3, True)), relations=pd.DataFrame(),
        agreement=pd.DataFrame({"kendall_tau_b": []}), start_averages=pd.DataFrame({"start": ["base"], "n_pairs": [2]}),
    )  # fmt: skip


def test_a_source_without_scores_may_be_the_best() -> None:
    found = ranked(swa=True, wol=True, yor=True)
    found.best.loc[found.best["target"] == "wol", "sources_missing"] = 1
    told = summary._which_source(found)
    assert "In 2 of 2 targets that is sure (95 %)" in told
    assert told.endswith(" In 1 target a source lacks scores and may be the best.")


def test_of_sources_with_the_same_f1_none_is_the_best() -> None:
    """As where no source finds anything: of a script that the encoder does not know, say."""
    found = ranked(swa=True, wol=True)
    found.best.loc[found.best["target"] == "wol", "difference"] = 0.0
    assert "the best zero-shot source is hau for 1 and shared by several for 1 of 2 targets" in summary._which_source(
        found
    )
    found.best["difference"] = 0.0
    assert "the best zero-shot source is shared by several for 2 of 2 targets. " in summary._which_source(found)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ([(1, 3), (-3, -1), (-1, 3)], ["The interval is above 0 in 1 and below in 1 of 3, which"]),
        ([(1, 3), (math.nan, math.nan)], ["above 0 in 1 and below in 0 of 1, which", "1 has no interval, for want"]),
        ([(math.nan, math.nan)] * 2, ["2 have no interval, for want of two seeds"]),
    ],
)
def test_several_sources_with_one_seed_have_no_interval(limits: list[tuple[float, float]], told: list[str]) -> None:
    rows = [("base", "hau+ibo", "swa", "zero-shot", 50.0, "hau", 48.0, 2.0, *pair, 1, 0) for pair in limits]
    section = choice.several(computed(multi_source=pd.DataFrame(rows, columns=beyond_one_source.COLUMNS)))
    assert section is not None
    assert f"+2.0 points on average over {len(limits)} comparisons." in section.paragraphs[-1]
    assert all(text in section.paragraphs[-1] for text in told)
    assert ("The interval" in section.paragraphs[-1]) == any(low == low for low, _ in limits)


def test_a_source_of_one_seed_makes_nothing_sure() -> None:
    told = {}
    for name, targets in {"all": (True, True), "some": (True, False), "none": (False, False)}.items():
        found = ranked(**dict(zip(("swa", "wol"), targets, strict=True)))
        section = choice.best(found)
        assert section is not None
        best, *ranks = section.listings
        assert best.frame["best_probability"].notna().tolist() == list(targets)
        # a source that is never the best is none of the likeliest
        assert [len(one.frame) for one in ranks] == ([sum(targets)] if any(targets) else [])
        told[name] = summary._which_source(found) + " ".join(section.paragraphs)
    assert "In 2 of 2 targets that is sure (95 %), Student's t over seeds and a bootstrap of sentences." in told["all"]
    assert "one seed" not in told["all"] and "In 1 of 1 targets that is sure" in told["some"]
    assert "In 1 target a source has one seed" in told["some"] and "In 2 targets a source has one" in told["none"]
    assert (
        "is sure (95 %)" not in told["none"] and "For 2 pairs of start and target a source has one seed" in told["none"]
    )


# --- what is tested ------------------------------------------------------------------------------------------


def compared(p_holm: list[float]) -> Computed:
    """A start that is 5 points better on every pair and language, with these p."""
    n = len(p_holm)
    differences = pd.DataFrame({"start": "swa", "source": "hau", "target": [f"t{i}" for i in range(n)]})
    numbers = {"difference": 5.0, "p_holm": p_holm}
    starts = [SimpleNamespace(name=name) for name in ("base", "swa")]
    cubes = {
        one.name: Cube([0], ["hau"], [f"t{i}" for i in range(n)], np.full((1, 1, n), mean))
        for one, mean in zip(starts, (50.0, 55.0), strict=True)
    }
    untested = ["one seed" if math.isnan(p) else "" for p in p_holm]
    own = differences.assign(**{name: [f"l{i}" for i in range(n)] for name in ("start", "source", "target")})
    both = pd.concat([one.assign(**numbers, untested=untested) for one in (differences, own)], ignore_index=True)
    averages = pd.DataFrame({"start": ["base", "swa"], "f1": [50.0, 55.0], "n_seeds": 1, "p_holm": math.nan})
    return computed(
        reference="base", roles=["base", "own"], intervals=intervals((3, True)), views=starts, cubes=cubes,
        start_averages=averages, in_language_averages=averages.iloc[:0], differences=both,
        pretraining=differences.assign(role="own", **numbers),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("p_holm", "start", "own"),
    [
        ([0.01, 0.2], "Of 2 pairs of source and target it is significantly better in 1 and", "1 of 2 differences is"),
        (
            [0.01, 0.03, math.nan],
            "Of 2 pairs of source and target it is significantly better in 2 and",
            "2 of 2 differences are",
        ),
        (
            [math.nan] * 3,
            "from base. 3 of 3 pairs are not tested: one seed.",
            "on average. 3 of 3 differences are not tested: one seed.",
        ),
    ],
)
def test_only_what_was_tested_is_counted(
    monkeypatch: pytest.MonkeyPatch, p_holm: list[float], start: str, own: str
) -> None:
    found = compared(p_holm)
    monkeypatch.setattr(Computed, "starts", found.views)
    texts = summary._which_start(found), summary._own_start(found)
    assert start in texts[0] and own in texts[1]
    left = sum(map(math.isnan, p_holm))
    for text, noun in zip(texts, ("pairs", "differences"), strict=True):
        assert text.count("one seed") == (left > 0)
        assert left != 1 or text.endswith(f" 1 of 3 {noun} is not tested: one seed.")


def test_claims_on_adaptation_are_told_one_by_one() -> None:
    row = {"claim": "adapted to the source, zero-shot", "category": "ALL", "first": "start adapted to the source",
           "second": "base, same source", "difference": -1.1, "low": -2.0, "high": -0.2, "p_holm": 0.19,
           "languages_low": -6.1, "languages_high": 3.9}  # fmt: skip
    unknown = dict.fromkeys(("low", "high", "p_holm", "languages_low"), math.nan)
    table = pd.DataFrame([row, row | {"category": "PER", "difference": -5.0}, row | unknown])
    section = adaptation.claims(computed(claims=table, intervals=intervals((5, False))))
    assert section is not None and section.paragraphs[1:] == [
        "Adapted to the source, zero-shot: \u22121.1 points (95 %: \u22122.0 to \u22120.2; p = 0.19, corrected; over "
        "languages \u22126.1 to +3.9). (Start adapted to the source, minus base, same source.)",
        "Adapted to the source, zero-shot: \u22121.1 points. (Start adapted to the source, minus base, same source.)",
    ]
    assert adaptation.claims(computed(claims=table.head(0))) is None


# --- why ------------------------------------------------------------------------------------------------------


def why(within: float = 0.3, **values: float) -> str:
    """The sentence, for a correlation of the measure that is named beforehand, and one within sources and targets."""
    row = {"matrix": "base", "measure": "share", "method": "Spearman", "r": 0.5, "p": 0.01, "p_holm": 0.9}
    row |= {"naive_p": 0.0001, "dyads": 90} | values
    rows = [row, row | {"method": association.WITHIN, "r": within, "p": 0.02}]
    points = pd.DataFrame({"matrix": ["base"]})
    return summary._why(
        computed(overlap=SimpleNamespace(points=points, measure="share", associations=pd.DataFrame(rows)))
    )


def test_why_rests_on_one_measure_and_says_what_remains_within_targets() -> None:
    told = why()
    assert told.startswith("Why: zero-shot F1 from base goes with the share")
    assert "(p = 0.01 by permuting languages; p < 0.001 if the 90 pairs" in told
    assert "removed, r = 0.30 (p = 0.02): only this" in told and told.endswith("are exploratory.")
    assert "removed" not in why(within=math.nan)


@pytest.mark.parametrize(
    ("r", "p", "told"),
    [
        (0.5, 0.049, "Why: zero-shot F1 from base goes with the share"),
        (-0.5, 0.01, "Why: zero-shot F1 from base is lower with the share"),
        (0.5, 0.05, "Why: no sign that zero-shot F1 from base goes with the share"),
        (0.9, 1.0, "Why: no sign that zero-shot F1 from base goes with the share"),
        (0.5, math.nan, "Why: no sign that zero-shot F1 from base goes with the share"),
    ],
)
def test_why_claims_no_more_than_p_allows(r: float, p: float, told: str) -> None:
    assert why(r=r, p=p).startswith(told)


# --- the answer ------------------------------------------------------------------------------------------------


def answered(**changed: object) -> Computed:
    """Three targets: one sure, one whose next best pair is close, one where it is not."""
    rows = [
        (
            "wol",
            "wol",
            "swa",
            63.8,
            63.7,
            61.0,
            66.7,
            5,
            1.0,
            "swa",
            "ibo",
            0.0,
            19.6,
            "base",
            "ibo",
            43.9,
            19.9,
            17.0,
            23.0,
        ),
        (
            "luo",
            "swa",
            "lug",
            48.2,
            47.4,
            45.1,
            49.5,
            5,
            0.55,
            "swa",
            "hau",
            0.42,
            0.2,
            "base",
            "lug",
            40.1,
            8.1,
            6.4,
            9.8,
        ),
        (
            "hau",
            "base",
            "swa",
            76.3,
            76.3,
            72.1,
            79.0,
            5,
            0.93,
            "luo",
            "swa",
            0.04,
            1.8,
            "base",
            "swa",
            76.3,
            0.0,
            nan,
            nan,
        ),
    ]
    table = pd.DataFrame(rows, columns=answers.PAIR_COLUMNS[: len(rows[0])]).assign(compared=29, missing=0)
    effect = pd.DataFrame([("swa", "base", 7, 63.9, 52.0, 11.9, 2.5, 21.3, 0.021, 6)], columns=answers.EFFECT_COLUMNS)
    given = {
        "answers": table, "setting": "zero-shot", "reference": "base", "adaptation": effect,
        "views": [SimpleNamespace(kind="start", name=name) for name in ("base", "swa", "wol")],
        "consequences": pd.DataFrame(columns=sensitivity.COLUMNS), "verdicts": verdicts.none(),
    }  # fmt: skip
    return computed(**(given | changed))


nan = math.nan


def test_the_answer_says_what_is_best_how_sure_and_what_next() -> None:
    section = answer.answer(answered())
    assert section is not None
    (table,) = section.listings
    shown = table.frame.set_index("target")
    assert shown["f1"].tolist() == [63.7, 47.4, 76.3]  # on seeds that did not choose the pair
    assert shown["sure"].tolist() == ["sure (> 99 %)", "open (55 %)", "likely (93 %)"]
    assert section.paragraphs == [
        "What next: for wol, use the pair above; for luo (start swa, source hau), the next best pair is within 1 point"
        ": take either; for hau (start luo, source swa), compare with the next best pair, in brackets, on more seeds; "
        "adapt a start to luo and hau text first (entry point adapt): for the study's targets this gained +11.9 points "
        "on average over start base from swa."
    ]
    assert answer.adaptation(answered()) == (
        "Adapting to the target: zero-shot from swa, the start that was adapted to the target's text is better than "
        "start base for 6 of 7 targets, by +11.9 points on average (95 % interval 2.5 to 21.3, p = 0.021). Interval "
        "and p: Student's t over targets, paired."
    )


def test_either_pair_will_do_only_where_one_of_both_is_surely_the_best() -> None:
    found = answered()
    found.answers.loc[1, "runner_up_probability"] = 0.3  # a third one may be better
    section = answer.answer(found)
    assert section is not None
    assert "take either" not in section.paragraphs[0]
    assert "for luo (start swa, source hau) and hau (start luo, source swa), compare" in section.paragraphs[0]


def test_an_adapted_start_without_an_interval_has_no_test() -> None:
    found = answered()
    found.adaptation[["low", "high", "p"]] = nan
    assert answer.adaptation(found).endswith("by +11.9 points on average.")
    found.adaptation["source"] = answers.EVERY_SOURCE
    assert answer.adaptation(found).startswith("Adapting to the target: zero-shot averaged over sources, the start")


def test_an_answer_from_one_seed_is_as_measured_and_of_unknown_certainty() -> None:
    found = answered()
    found.answers[["expected_f1", "low", "high", "best_probability"]] = nan
    section = answer.answer(found)
    assert section is not None
    columns = {column.name: column.help for column in section.listings[0].columns}
    assert "low" not in columns and columns["f1"] == "as measured: too high on average, as the best of several"
    assert set(section.listings[0].frame["sure"]) == {"not known"}
    assert "for wol, luo and hau, run more seeds" in section.paragraphs[0]


def test_a_study_in_one_language_each_answers_which_start() -> None:
    section = answer.answer(answered(setting="in-language", adaptation=pd.DataFrame()))
    assert section is not None
    assert [column.label for column in section.listings[0].columns][:3] == ["language", "best start", "F1"]
    assert "for wol, use the start above; for luo (swa), the next best start" in section.paragraphs[0]


def test_claims_are_shown_with_and_without_what_is_not_used() -> None:
    rows = pd.DataFrame([("a", "1.0", "2.0", True), ("b", "3.0", "3.0", False)], columns=sensitivity.COLUMNS)
    found = answered(consequences=rows)
    section, first = answer.unused(found), answer.answer(found)
    assert section is not None and first is not None
    assert section.listings[0].frame[["claim", "used", "with_all"]].to_numpy().tolist() == [["a", "1.0", "2.0"]]
    assert "1 of 2 claims would change" in first.paragraphs[1]
    assert answer.unused(answered()) is None


def test_columns_of_numbers_without_any_number_are_not_shown() -> None:
    """As p and the difference to another start where a study has one."""
    frame = pd.DataFrame({"start": ["base"], "f1": [nan], "p": [nan], "sd": [1.0]})
    columns = [
        Column("start", "start"),
        Column("f1", "F1", "percent"),
        Column("p", "p", "p"),
        Column("sd", "sd", "percent"),
    ]
    found = with_numbers(Listing("a", "A", frame, columns, "a.csv"))
    assert [column.name for column in found.columns] == ["start", "f1", "sd"]
    assert len(with_numbers(Listing("a", "A", frame.head(0), columns, "a.csv")).columns) == 4


def test_the_page_of_a_study_in_mlflow_begins_with_the_answer() -> None:
    section = answer.answer(answered())
    assert section is not None
    lines = experiment_note._answers(section).replace("&nbsp;", "").split("\n")
    assert lines[0] == "**Best start and source for a target without data**"
    assert lines[2] == "| target | best start | source | F1 | ahead by | over default | how sure |"
    assert lines[5] == "| luo | swa | lug | 47.4 | +0.2 | +8.1 | open (55 %) |" and lines[-1].startswith("What next: ")


def test_one_start_is_compared_with_no_other() -> None:
    found = answered(views=[SimpleNamespace(kind="start", name="base")])
    section = answer.answer(found)
    assert section is not None and "over default" not in [column.label for column in section.listings[0].columns]
    assert choice.minus_reference(computed(roles=["base"], reference="base")) == []
