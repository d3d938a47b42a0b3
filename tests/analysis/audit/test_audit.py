"""What the audit finds in studies made to have one fault each, and that it finds nothing in a clean one."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd
import pytest
from audit_runs import CELLS, LANGUAGES, SEEDS, Cell, Metrics, cell_run, digests, plan_run, study, valid
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.entities import Run
from parsed_corpora import corpus_of, parsed

from analysis.audit import audit
from analysis.audit.finding import Finding, Severity
from analysis.reading import frames
from analysis.reading.results import StudyResults
from analysis.statistics import tables
from analysis.transfer import chosen_models
from nertransfer.core import grid, schema
from nertransfer.corpora.conll import Sentence
from nertransfer.corpora.corpus import Corpus
from nertransfer.studies.published.scores import DISAGREEMENT_COLUMNS


def clean(cells: Iterable[Cell] = CELLS) -> StudyResults:
    """The planned study with these cells."""
    return study([plan_run(), *(cell_run(cell) for cell in cells)])


def with_runs(changed: Mapping[Cell, Run]) -> StudyResults:
    """The whole planned study, with other runs for some of its cells."""
    return study([plan_run(), *(changed.get(cell) or cell_run(cell) for cell in CELLS)])


CORPORA = {
    "nya": corpus_of("nya", ["a b", "c"], ["d"], ["e", "f"]),
    "zed": corpus_of("zed", ["g"], ["h"], ["i"]),
}
NO_CARDS = pd.DataFrame({"start": [], "source": [], "inflation": []}, dtype=object)


def audited(
    found: StudyResults,
    imports: Mapping[str, pd.DataFrame] | None = None,
    corpora: Mapping[str, Corpus] | str = CORPORA,
    cards: pd.DataFrame = NO_CARDS,
    selection_split: str = "dev",
) -> list[Finding]:
    return audit.audit(found, imports or {}, corpora, cards, selection_split)


def one(findings: Sequence[Finding]) -> Finding:
    """The only finding."""
    assert len(findings) == 1, [finding.title for finding in findings]
    return findings[0]


def cells_of(rows: pd.DataFrame) -> list[Cell]:
    return list(rows[["start", "source", "seed"]].itertuples(index=False, name=None))


def test_a_clean_study_has_no_finding() -> None:
    found = clean()
    unmeasured = chosen_models.rows(found.frame, found.languages).assign(inflation=float("nan"))
    assert audited(found, cards=unmeasured) == []


# --- missing cells -------------------------------------------------------------------------------------------


def test_missing_cells_are_counted_by_their_reason_and_listed_by_score() -> None:
    failed, never, unscored = ("base", "aaa", 1), ("aaa", "zed", 2), ("base", "nya", 0)
    runs = [cell_run(cell) for cell in CELLS if cell not in (failed, never, unscored)]
    partial = {key: value for key, value in valid(unscored).items() if not key.startswith("test_f1/zed")}
    runs += [cell_run(failed, {}, {}, "FAILED"), cell_run(unscored, partial)]
    found, seeds = audited(study([plan_run(), *runs]))
    assert (found.severity, found.kind, found.title) == (
        Severity.WRONG, "missing", "2 cells missing and 1 cell without some scores"
    )  # fmt: skip
    assert seeds.kind == "unequal_seeds"
    assert found.text == (
        "13 scores of 3 planned cells (1 failed, 1 never run, 1 not scored); averages over them are shown as n/a"
    )
    assert len(found.rows) == 13  # three targets and two splits of two cells, and one score
    assert cells_of(found.rows.drop_duplicates(["start", "source", "seed"])) == [unscored, failed, never]
    assert found.rows[["target", "split", "reason"]].iloc[0].tolist() == ["zed", "test", "not scored"]


def test_configurations_without_any_result_are_named() -> None:
    found = audited(clean([cell for cell in CELLS if cell[:2] != ("aaa", "zed")]))[0]
    assert found.title == "3 cells missing" and found.text.endswith(". 1 configuration without any result: aaa-zed")
    assert "without any result" not in audited(clean(CELLS[1:]))[0].text


def test_configurations_of_the_published_plan_that_were_not_imported_are_named() -> None:
    order = ["wol", "pcm", "yor", "hau", "ibo", "luo", "lug", "kin", "swa"]
    axes = {"starts": ["base", "swa", "own"], "sources": order, "targets": ["swa"], "seeds": [0], "pivots": ["swa"]}
    cells = [(start, source, 0) for start, source in grid.pairs(("base", "swa", "own"), order, ("swa",))]
    runs = [cell_run(cell, valid(cell, ["swa"])) for cell in cells]
    (found,) = audit.beyond_the_import(study([plan_run(True, **axes), *runs]))
    assert (found.severity, found.title) == (Severity.NOTE, "4 configurations of the published plan without results")
    assert set(found.rows.itertuples(index=False, name=None)) == {
        ("base", "amh"), ("swa", "amh"), ("amh", "amh"), ("amh", "swa")
    }  # fmt: skip
    assert audit.beyond_the_import(study([plan_run(**axes), *runs])) == []  # a study of our own
    assert audit.beyond_the_import(clean()) == []


def test_a_target_without_entities_is_told() -> None:
    nothing = {cell: valid(cell) | {"test_f1/zed": 0.0, "test_support/zed": 0.0} for cell in CELLS}
    finding = one(audit.without_entities(with_runs({c: cell_run(c, scores) for c, scores in nothing.items()}), "test"))
    assert finding.severity == Severity.WRONG and finding.title == "1 target without entities"
    assert finding.text.startswith("the test split of zed has no entity: F1 is not defined there")
    assert finding.rows["target"].tolist() == ["zed"]
    assert audit.without_entities(clean(), "test") == []


def published(cells: Iterable[Cell], scored: Callable[[str, str, str], bool]) -> list[Run]:
    """Cells with those scores of (source, target, split) alone."""
    runs = []
    for cell in cells:
        names = {key: schema.parse_score_key(key) for key in valid(cell)}
        kept = {
            key: value for key, value in valid(cell).items() if scored(cell[1], names[key].target, names[key].split)
        }  # type: ignore[union-attr]
        runs.append(cell_run(cell, kept))
    return runs


def test_of_imported_results_only_the_dev_split_of_the_source_was_ever_scored() -> None:
    runs = published(CELLS, lambda source, target, split: split == "test" or source == target)
    assert audited(study([plan_run(imported=True), *runs])) == []
    ours = one(audited(study([plan_run(), *runs])))  # the same scores of a study of our own
    assert ours.title == "18 cells without some scores" and set(ours.rows["split"]) == {"dev"}
    assert (ours.rows["source"] != ours.rows["target"]).all() and len(ours.rows) == 18 * 2


@pytest.mark.parametrize("lost", [("test", "zed"), ("dev", "nya")])
def test_what_is_missing_from_an_import_is_told_all_the_same(lost: tuple[str, str]) -> None:
    cell = ("base", "nya", 1)
    runs = published([c for c in CELLS if c != cell], lambda source, target, split: split == "test" or source == target)
    runs += published(
        [cell],
        lambda source, target, split: (split == "test" or source == target) and (split, target) != lost,
    )
    found = one(audited(study([plan_run(imported=True), *runs])))
    assert found.title == "1 cell without some scores" and cells_of(found.rows) == [cell]
    assert found.rows[["split", "target"]].iloc[0].tolist() == list(lost)


def test_imported_baselines_were_scored_on_the_test_split_of_their_source_alone() -> None:
    runs = published(CELLS, lambda source, target, split: split == "test" and source == target)
    assert audited(study([plan_run(imported=True), *runs])) == []


# --- identical predictions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pair", "text"),
    [
        ((("base", "nya", 1), ("aaa", "nya", 1)), "base-nya seed 1 = aaa-nya seed 1"),
        ((("aaa", "zed", 0), ("aaa", "zed", 2)), "aaa-zed seed 0 = aaa-zed seed 2"),
        ((("base", "nya", 0), ("aaa", "zed", 2)), "base-nya seed 0 = aaa-zed seed 2"),
    ],
)
def test_two_cells_with_the_same_predictions_on_every_target(pair: tuple[Cell, Cell], text: str) -> None:
    found = one(audited(with_runs({cell: cell_run(cell, tags=digests(cell, said="copy")) for cell in pair})))
    assert (found.severity, found.kind) == (Severity.WRONG, "identical_predictions")
    assert found.title == "1 group of cells with identical predictions"
    assert found.text.startswith(f"{text} have equal predictions on every target")
    assert "the same models" not in found.text  # one seed of three
    assert cells_of(found.rows) == list(pair) and list(found.rows["group"]) == [1, 1]


def test_a_copied_configuration_is_named_once_with_all_its_seeds() -> None:
    copied = {("aaa", "nya", seed): ("base", "nya", seed) for seed in SEEDS}
    runs = {cell: cell_run(cell, tags=digests(other)) for cell, other in copied.items()}
    found = one(audited(with_runs(runs)))
    assert found.title == "3 groups of cells with identical predictions"
    assert "; configurations base-nya and aaa-nya are the same models, seed by seed:" in found.text
    assert found.text.endswith("Counted twice, they make a difference look surer than it is")
    used = one(audit.identical_predictions(with_runs(runs), {("aaa", "nya")}))
    assert used.text.endswith("Means are without the copies")
    assert cells_of(found.rows) == [cell for seed in SEEDS for cell in (("base", "nya", seed), ("aaa", "nya", seed))]
    assert list(found.rows["group"]) == [1, 1, 2, 2, 3, 3]


def test_many_groups_are_in_the_table_and_a_few_in_the_text() -> None:
    copied = {("aaa", source, seed): ("base", source, seed) for source in LANGUAGES[:2] for seed in SEEDS}
    found = one(audited(with_runs({cell: cell_run(cell, tags=digests(other)) for cell, other in copied.items()})))
    assert found.title.startswith("6 groups") and len(found.rows) == 12
    assert found.text.count(" = ") == audit.EXAMPLES and " and others have equal" in found.text


def test_equal_predictions_on_some_targets_are_another_finding() -> None:
    first, second = ("base", "nya", 0), ("aaa", "zed", 2)
    shared = {f"predictions_digest/{name}.test": "nothing found" for name in ("nya", "zed")}
    runs = {cell: cell_run(cell, tags={key: f"{key} {shared[key]}" for key in shared}) for cell in (first, second)}
    found = one(audited(with_runs(runs)))
    assert (found.severity, found.kind) == (Severity.CARE, "identical_on_some_targets")
    assert found.text.startswith("4 scores on nya and zed share their predicted tags")
    told = set(found.rows[["start", "source", "seed", "target", "split"]].itertuples(index=False, name=None))
    assert told == {(*cell, target, "test") for cell in (first, second) for target in ("nya", "zed")}


def test_the_same_digest_on_different_targets_or_splits_is_no_coincidence_of_cells() -> None:
    keys = [f"predictions_digest/{name}" for name in ("nya.dev", "nya.test", "zed.test")]
    cells = (("base", "nya", 0), ("base", "nya", 1), ("aaa", "nya", 0))
    runs = {cell: cell_run(cell, tags={key: "all outside"}) for cell, key in zip(cells, keys, strict=True)}
    assert audited(with_runs(runs)) == []
    first = digests(cells[0])
    exchanged = dict(zip(first, [*first.values()][::-1], strict=True))
    assert audited(with_runs({cells[2]: cell_run(cells[2], tags=exchanged)})) == []


def test_a_third_cell_that_agrees_with_twins_on_one_target_is_told_beside_them() -> None:
    twins, third = (("base", "nya", 0), ("aaa", "nya", 0)), ("aaa", "zed", 1)
    copied = digests(twins[0])
    key = "predictions_digest/zed.test"
    runs = {cell: cell_run(cell, tags=copied) for cell in twins} | {third: cell_run(third, tags={key: copied[key]})}
    whole, partial = audited(with_runs(runs))
    assert (whole.kind, partial.kind) == ("identical_predictions", "identical_on_some_targets")
    assert cells_of(whole.rows) == list(twins)
    assert third in cells_of(partial.rows) and set(partial.rows["target"]) == {"zed"}


def without_digests(cell: Cell, metrics: Metrics) -> Run:
    found = cell_run(cell, metrics)
    for name in digests(cell):
        del found.data.tags[name]
    return found


def test_without_digests_equal_scores_are_told_instead() -> None:
    pair = (("base", "zed", 1), ("aaa", "zed", 1))
    scores = {cell: valid(pair[0] if cell in pair else cell) for cell in CELLS}
    found = one(audited(study([plan_run(), *(without_digests(cell, scores[cell]) for cell in CELLS)])))
    assert (found.severity, found.kind) == (Severity.WRONG, "identical_scores")
    assert sorted(cells_of(found.rows)) == sorted(pair)
    assert "have equal scores on every target: one was copied" in found.text
    # other predictions can have the same scores: digests know better
    assert audited(study([plan_run(), *(cell_run(cell, scores[cell]) for cell in CELLS)])) == []
    mixed = [without_digests(c, scores[c]) if c in pair else cell_run(c, scores[c]) for c in CELLS]
    assert cells_of(one(audited(study([plan_run(), *mixed]))).rows) == cells_of(found.rows)
    unequal = study([plan_run(), *(without_digests(cell, valid(cell)) for cell in CELLS)])
    assert audited(unequal) == []


def test_cells_that_learnt_nothing_are_told_as_that_and_not_as_copies() -> None:
    idle = (("base", "nya", 0), ("base", "zed", 1))
    nothing = {cell: dict.fromkeys(valid(cell), 0.0) for cell in idle}
    runs = {cell: cell_run(cell, nothing[cell], tags=digests(cell, said="all outside")) for cell in idle}
    found = one(audited(with_runs(runs)))
    assert (found.severity, found.kind) == (Severity.WRONG, "nothing_found")
    assert found.title == "2 cells without any F1" and cells_of(found.rows) == list(idle)
    assert found.text.startswith("F1 is 0 on every target, on the source itself, too")
    assert "Look for: base-nya seed 0 and base-zed seed 1: too few steps" in found.text
    unscored = {cell: without_digests(cell, nothing[cell]) for cell in idle}
    assert one(audited(with_runs(unscored))) == found


def test_where_the_start_cannot_read_the_script_it_is_not_the_learning_rate() -> None:
    idle = [("base", "nya", seed) for seed in SEEDS]
    nothing = {cell: dict.fromkeys(valid(cell), 0.0) for cell in idle}
    runs = {cell: cell_run(cell, nothing[cell], tags=digests(cell, said="all outside")) for cell in idle}
    found = one(audited(with_runs(runs)))
    assert "no seed from nya learnt anything, while base learns from other sources: does the vocabulary" in found.text
    counted = {f"{schema.UNKNOWN_WORDS}{target}.test": share for target, share in (("nya", 0.97), ("zed", 0.02))}
    runs = {c: cell_run(c, nothing[c] | counted, tags=digests(c, said="all outside")) for c in idle}
    unread, found = audited(with_runs(runs))
    assert (unread.severity, unread.kind) == (Severity.WRONG, "unread_words") and cells_of(unread.rows) == idle
    assert unread.text.startswith("nya from base (97.0 % of the words) have letters")
    assert "lacks letters of 97.0 % of the words of nya" in found.text and "learning_rate" not in found.text


# --- categories ----------------------------------------------------------------------------------------------


def renamed(names: Mapping[str, str], of: str, f1: float) -> StudyResults:
    """The study with other names of categories on the target ``of``, on which other sources have this F1."""
    runs = []
    for cell in CELLS:
        scores = {}
        for key, value in valid(cell).items():
            score = schema.parse_score_key(key)
            assert score is not None
            if score.target == of:
                value = f1 if score.measure == "f1" and cell[1] != of else value
                key = schema.ScoreName(score.split, score.measure, of, names.get(score.category, score.category)).key
            scores[key] = value
        runs.append(cell_run(cell, scores))
    return study([plan_run(), *runs])


def test_categories_that_differ_in_spelling_are_told_with_what_spans_alone_would_score() -> None:
    names, lacking = audited(renamed({"PER": "per", "LOC": "loc"}, "zed", 0.0))
    assert (names.severity, names.kind) == (Severity.WRONG, "category_names")
    assert names.text.startswith("LOC (aaa, nya) / loc (zed) and PER (aaa, nya) / per (zed) are scored as different")
    assert (lacking.severity, lacking.title) == (Severity.WRONG, "4 pairs of languages with different categories")
    assert "nya lacks loc, per of zed (100.0 % of it)" in lacking.text and "F1 0.0, spans alone 4" in lacking.text
    assert set(zip(lacking.rows["source"], lacking.rows["target"], strict=True)) == {
        ("nya", "zed"), ("aaa", "zed"), ("zed", "nya"), ("zed", "aaa")
    }  # fmt: skip


def test_a_category_that_a_source_does_not_have_is_told() -> None:
    found = one(audited(renamed({"PER": "DATE"}, "zed", 0.4)))
    assert (found.severity, found.kind) == (Severity.WRONG, "lacking_categories")
    assert "nya lacks DATE of zed (50.0 % of it)" in found.text


# --- cells with a few sentences of a target ---------------------------------------------------------------------


def few_run(source: str, seed: int, mode: str = "added", sentences: int = 10, said: str = "", **changes) -> Run:
    """A cell of base with sentences of zed; ``changes`` as of `cell_run`."""
    told = {
        schema.FEW_SHOT_LANGUAGE: "zed", schema.FEW_SHOT_SENTENCES: str(sentences), schema.FEW_SHOT_MODE: mode,
        schema.CELL_KEY: f"key {source} {seed} {mode} {sentences}",
    }  # fmt: skip
    cell = ("base", source, seed)
    words = digests(cell, said=said or f"{source} {seed} {mode} {sentences}")
    return cell_run(cell, tags=told | words | changes.pop("tags", {}), **changes)


def test_equal_predictions_of_cells_with_a_few_sentences_are_found_by_their_names() -> None:
    ordinary = [plan_run(), *(cell_run(cell) for cell in CELLS)]
    runs = [few_run("none", seed, "alone", said="none of it") for seed in (0, 1)] + [
        few_run("nya", 0),
        few_run("nya", 1),
    ]
    found = one(audited(study([*ordinary, *runs])))
    assert found.kind == "identical_predictions"
    assert "base-none+10zed seed 0 = base-none+10zed seed 1 have" in found.text
    assert cells_of(found.rows) == [("base", "none+10zed", 0), ("base", "none+10zed", 1)]
    copied = few_run("nya", 2, said=" ".join(map(str, ("base", "nya", 2))))  # those of its ordinary cell
    (found,) = audited(study([*ordinary, few_run("nya", 0), copied]))
    assert "base-nya seed 2 = base-nya+10zed seed 2 have" in found.text
    assert "the same models, seed by seed" not in found.text


def test_a_cell_with_a_few_sentences_that_ran_twice_is_a_duplicate() -> None:
    again = few_run("nya", 0, ended=3_000_000, tags={schema.CELL_KEY: "changed"})
    runs = [plan_run(), *(cell_run(cell) for cell in CELLS), few_run("nya", 0), again]
    found = one(audited(study(runs)))
    assert (found.kind, found.title) == ("duplicates", "1 duplicate")
    row = found.rows.iloc[0]
    assert (row["source"], row["few_shot_language"], row["few_shot_sentences"]) == ("nya", "zed", 10)
    assert row["kept_run_id"] == again.info.run_id and "another cell key" in row["reason"]
    both = with_runs({}).duplicates
    assert len(both) == 0 and "few_shot_language" not in frames.every_duplicate(with_runs({}))


def test_epochs_chosen_on_dev_count_for_cells_without_a_source() -> None:
    def chosen(source: str, mode: str, choice: str) -> bool:
        run = few_run(source, 0, mode)
        run.data.params[f"{schema.CONFIG}epoch_choice"] = choice
        return study([plan_run(), *(cell_run(cell) for cell in CELLS), run]).few_shot.epochs_on_target

    assert chosen("none", "alone", "best")
    assert not chosen("none", "alone", "last") and not chosen("nya", "added", "best")


# --- runs that do not fit together ---------------------------------------------------------------------------


def test_one_start_under_two_names_and_other_inconsistencies() -> None:
    same = {c: cell_run(c, tags={schema.START_FINGERPRINT: "weights of base"}) for c in CELLS if c[0] == "aaa"}
    found = one(audited(with_runs(same)))
    assert (found.severity, found.title) == (Severity.WRONG, "same weights")
    assert found.text == "starts aaa and base have the same weights under different names"
    other = {("base", "nya", 2): cell_run(("base", "nya", 2), tags={schema.RECIPE_DIGEST: "another"})}
    found = one(audited(with_runs(other)))
    assert (found.severity, found.title) == (Severity.WRONG, "recipes differ")
    assert "2 different recipes" in found.text


# --- seeds ---------------------------------------------------------------------------------------------------


def unplanned(cells: Iterable[Cell]) -> StudyResults:
    """Cells of no plan: none of them can be missing but those of the product of what exists."""
    return study(cell_run(cell) for cell in cells)


def test_configurations_with_fewer_seeds_are_named() -> None:
    extra = [("base", "nya", 3), ("base", "nya", 4)]
    found, unplanned = audited(clean([*CELLS, *extra]))
    assert (found.kind, unplanned.kind) == ("unequal_seeds", "unplanned")
    assert (found.severity, found.kind) == (Severity.CARE, "unequal_seeds")
    assert found.text.startswith("base-aaa (3), base-zed (3), aaa-nya (3), aaa-aaa (3) and others instead of 5;")
    assert set(found.rows["seeds"]) == {3} and len(found.rows) == 5


@pytest.mark.parametrize(("seeds", "told"), [((7,), "1 seed "), ((0, 4), "2 seeds "), ((0, 1, 2), "")])
def test_few_seeds_are_told(seeds: tuple[int, ...], told: str) -> None:
    findings = audited(unplanned((start, source, seed) for start, source, _ in CELLS[::3] for seed in seeds))
    assert bool(findings) == bool(told)
    if told:
        assert (one(findings).severity, one(findings).title) == (Severity.CARE, "few seeds")
        assert one(findings).text.startswith(told)


def test_targets_without_counts_by_sentence_are_named_once() -> None:
    rows = [("zed", True, 3), ("nya", False, 1), ("aaa", False, 3), ("nya", False, 2)]
    table = pd.DataFrame(rows, columns=["target", "sentences_vary", "n_seeds"])
    found = one(audit.seeds_alone(table))
    assert (found.severity, found.title) == (Severity.CARE, "intervals over seeds alone")
    assert found.text.startswith("on nya and aaa not all cells have entities counted by sentence")
    assert audit.seeds_alone(table.head(1)) == audit.seeds_alone(table.head(0)) == []
    nothing_varies = one(audit.seeds_alone(table.head(2)))  # sentences of zed do, and nya has one seed
    assert nothing_varies.title == "no intervals" and nothing_varies.text.startswith("on nya not all cells")


# --- duplicates ----------------------------------------------------------------------------------------------


def test_earlier_runs_of_a_cell_are_a_note() -> None:
    older = [cell_run(("base", "nya", 0), tags={schema.CELL_KEY: f"{n} older"}, ended=1_500_000) for n in (1, 2)]
    found = one(audited(study([*older, plan_run(), *(cell_run(cell) for cell in CELLS)])))
    assert (found.severity, found.kind, found.title) == (Severity.NOTE, "duplicates", "2 duplicates")
    assert cells_of(found.rows) == [("base", "nya", 0)] * 2
    assert set(found.rows["run_id"]) == {one_run.info.run_id for one_run in older}


def test_a_later_run_of_another_recipe_is_no_duplicate() -> None:
    other = {schema.RECIPE_DIGEST: "another recipe", schema.CELL_KEY: "other"}
    later = cell_run(("base", "nya", 0), tags=other, ended=3_000_000)
    few = few_run("nya", 0), few_run("nya", 0, tags=other | {schema.CELL_KEY: "few, other"}, ended=3_000_000)
    plan = plan_run()
    plan.data.tags[schema.RECIPE_DIGEST] = "one recipe"
    found = study([plan, *(cell_run(cell) for cell in CELLS), later, *few])
    assert not len(found.duplicates) and not len(found.few_shot.duplicates)
    told = "2 finished cells have another recipe than the latest study and are left out"
    assert [finding.text for finding in audit.inconsistent_runs(found)] == [told]
    assert audit.duplicates(found) == []


# --- invalid tags --------------------------------------------------------------------------------------------


def with_invalid_tags(changes: Mapping[tuple[Cell, str, str], tuple[float, float, float]]) -> StudyResults:
    """F1, strict F1 and rate of invalid tags by (cell, target, split)."""
    scores = {cell: valid(cell) for cell in CELLS}
    for (cell, target, split), values in changes.items():
        for measure, value in zip(("f1", "strict_f1", "invalid_tag_rate"), values, strict=True):
            scores[cell][schema.ScoreName(split, measure, target).key] = value
    return study([plan_run(), *(cell_run(cell, scores[cell]) for cell in CELLS)])


def test_the_change_by_invalid_tags_is_that_of_hand_made_scores() -> None:
    found = one(
        audited(
            with_invalid_tags(
                {
                    (("base", "nya", 0), "zed", "test"): (0.60, 0.575, 0.02),
                    (("aaa", "aaa", 1), "nya", "test"): (0.50, 0.53, 0.01),
                    (("base", "nya", 1), "zed", "dev"): (0.90, 0.10, 0.50),  # another split
                }
            )
        )
    )
    assert (found.severity, found.kind) == (Severity.CARE, "invalid_tags")
    assert found.text.endswith("Far more than elsewhere in this study: aaa-aaa on nya and base-nya on zed")
    assert found.text.startswith("I- tags that continue nothing are in 2 scores (up to 2.00 % of the words).")
    # +2.5 and -3 points
    assert "F1 by \u22120.25 points on average and at most by \u22123.00 (aaa-aaa seed 1 on nya)" in found.text
    assert cells_of(found.rows) == [("aaa", "aaa", 1), ("base", "nya", 0)]  # the largest change first
    shown = found.rows[["f1", "strict_f1", "change", "invalid_percent"]]
    assert shown.to_numpy() == pytest.approx(shown.to_numpy() * 0 + [[50, 53, -3, 1], [60, 57.5, 2.5, 2]])


def test_invalid_tags_that_all_scores_have_alike_are_a_note() -> None:
    rng = random.Random(0)
    usual = {(cell, target, "test"): (0.60, 0.58 - 0.01 * rng.random(), 0.02) for cell in CELLS for target in LANGUAGES}
    assert one(audited(with_invalid_tags(usual))).severity == Severity.NOTE  # 2 to 3 points everywhere
    odd = usual | {(CELLS[0], "zed", "test"): (0.60, 0.5, 0.1)}
    found = one(audited(with_invalid_tags(odd)))
    assert found.severity == Severity.CARE and found.text.endswith(": base-nya on zed")


def test_invalid_tags_that_change_next_to_nothing_are_a_note() -> None:
    found = one(audited(with_invalid_tags({(("base", "nya", 0), "zed", "test"): (0.60, 0.598, 0.001)})))
    assert found.severity == Severity.NOTE and "+0.20 points on average" in found.text
    assert audited(with_invalid_tags({(("base", "nya", 0), "zed", "dev"): (0.60, 0.3, 0.1)})) == []


# --- cells that the latest study does not plan ---------------------------------------------------------------


def test_cells_beyond_the_plan_are_named() -> None:
    (start, source, _), *_ = CELLS
    more = [("dropped", source, 0), (start, source, 9)]
    (finding,) = (found for found in audited(clean([*CELLS, *more])) if found.kind == "unplanned")
    assert (finding.severity, finding.title) == (Severity.NOTE, "2 cells beyond the plan")
    assert f"{start}-{source} seed 9 and dropped-{source} seed 0: asked for before" in finding.text
    assert sorted(cells_of(finding.rows)) == sorted(more)


# --- the best seed chosen on test ----------------------------------------------------------------------------


def chosen(inflated: bool) -> StudyResults:
    """Two sources and two seeds; on nya the best seed on dev is not the best on test where that is asked for."""
    scores = {("nya", 0): (0.50, 0.70 if inflated else 0.60), ("nya", 1): (0.60, 0.65), ("zed", 0): (0.4, 0.5),
              ("zed", 1): (0.3, 0.45), ("nya", 2): (0.1, 0.1), ("zed", 2): (0.1, 0.1)}  # fmt: skip
    runs = []
    for (source, seed), values in scores.items():
        cell = ("base", source, seed)
        keys = (schema.ScoreName(split, "f1", source).key for split in schema.SCORED_SPLITS)
        runs.append(cell_run(cell, valid(cell, ("nya", "zed")) | dict(zip(keys, values, strict=True))))
    return study(runs)


@pytest.mark.parametrize(
    ("selection", "imported", "severity", "told"),
    [
        ("dev", False, Severity.NOTE, "here are chosen on dev"),
        ("dev", True, Severity.CARE, "here are chosen on dev"),
        ("test", False, Severity.CARE, "here are chosen on test"),
    ],
)
def test_choosing_the_seed_on_test_is_told_with_what_it_adds(
    selection: str, imported: bool, severity: Severity, told: str
) -> None:
    found = chosen(inflated=True)
    cards = chosen_models.rows(found.frame, found.languages, selection)
    (finding,) = audit.selection_on_test(cards, selection, imported)
    assert (finding.severity, finding.kind) == (severity, "selection")
    assert finding.title == f"{'best seed' if selection == 'test' else 'if the best seed were'} chosen on test"
    # 70 against the 65 of the seed chosen on dev, and 0 on the other source
    assert "by +2.50 points on average and by up to +5.00 (base on nya)" in finding.text and told in finding.text
    assert dict(zip(finding.rows["source"], finding.rows["inflation"], strict=True)) == pytest.approx(
        {"nya": 5, "zed": 0}
    )
    ours = study([plan_run(imported), *(cell_run(cell) for cell in CELLS)])
    told_of_all = one(audited(ours, cards=cards, selection_split=selection))
    assert (told_of_all.severity, told_of_all.text) == (severity, finding.text)


def test_a_choice_on_test_that_adds_nothing_is_no_finding() -> None:
    found = chosen(inflated=False)
    cards = chosen_models.rows(found.frame, found.languages)
    assert list(cards["inflation"]) == [0, 0]
    assert audited(found, cards=cards) == []


# --- an import -----------------------------------------------------------------------------------------------


def test_files_that_an_import_did_not_read_are_named() -> None:
    rows = pd.DataFrame(
        [(f"v20/{name}", "no test_results.txt") for name in "abcde"], columns=["path", "reason"]
    )  # fmt: skip
    found = one(audited(clean(), {"unfit": rows.head(2)}))
    assert (found.severity, found.kind, found.title) == (Severity.CARE, "unfit", "2 published files not imported")
    assert found.text.startswith("v20/a (no test_results.txt) and v20/b (no test_results.txt): nothing")
    many = one(audited(clean(), {"unfit": rows}))
    assert "v20/d (no test_results.txt) and others:" in many.text and "v20/e" not in many.text and len(many.rows) == 5
    assert audited(clean(), {"unfit": rows.head(0), "disagreements": pd.DataFrame(columns=DISAGREEMENT_COLUMNS)}) == []


def test_reported_values_that_differ_are_counted_with_the_largest_difference_of_f1() -> None:
    rows = pd.DataFrame(
        [
            ("base-nya-s0", "zed", "test", "ALL", "f1", 0.7125, 0.70, ""),
            ("base-nya-s0", "zed", "test", "ALL", "recall", 0.70, 0.90, ""),
            ("aaa-nya-s1", "zed", "test", "PER", "f1", 0.48, 0.50, ""),
            ("aaa-nya-s1", "zed", "test", "PER", "support", 40.0, 70.0, ""),
        ],
        columns=DISAGREEMENT_COLUMNS,
    )
    found = one(audited(clean(), {"disagreements": rows}))
    assert (found.severity, found.kind) == (Severity.WRONG, "disagreements")
    assert found.title == "4 reported values that the predictions do not give"
    assert found.text.startswith("in 2 cells, at most 2.00 points of F1;") and len(found.rows) == 4
    without = one(audited(clean(), {"disagreements": rows.iloc[[3]]}))
    assert without.text.startswith("in 1 cell;") and "points" not in without.text


def test_remarks_of_an_import_are_no_differing_values() -> None:
    rows = pd.DataFrame(
        [
            ("base-nya-s0", "zed", "test", "", None, None, None, "not scored anew: 3 sentences"),
            ("base-nya-s0", "zed", "test", "PER", "f1", 0.48, 0.50, ""),
        ],
        columns=DISAGREEMENT_COLUMNS,
    )
    values, remarks = audited(clean(), {"disagreements": rows})
    assert (values.kind, len(values.rows)) == ("disagreements", 1) and values.title.startswith("1 reported value ")
    assert (remarks.severity, remarks.kind, remarks.title) == (
        Severity.CARE,
        "remarks",
        "1 published result with a remark",
    )
    assert remarks.text == "base-nya-s0 on zed: not scored anew: 3 sentences" and len(remarks.rows) == 1


# --- the corpora ---------------------------------------------------------------------------------------------


def test_corpora_that_are_not_at_hand_are_a_note_with_the_reason() -> None:
    found = one(audited(clean(), corpora="data='masakhaner': not at hand"))
    assert (found.severity, found.kind, found.text) == (Severity.NOTE, "", "data='masakhaner': not at hand")


def test_test_sentences_that_stand_in_train_are_counted() -> None:
    corpora = {
        "nya": corpus_of("nya", ["a b", "c"], ["c"], ["a b", "e", "f", "k l"]),
        "zed": corpus_of("zed", ["g", "h"], ["i"], ["g", "h", "c"]),
        "aaa": corpus_of("aaa", ["k"], ["l"], ["m"]),
    }
    found = one(audited(clean(), corpora=corpora))
    assert (found.severity, found.kind) == (Severity.CARE, "repeated_sentences")
    assert found.text == (  # the worst first
        "zed 2 of 3 (66.7 %) and nya 1 of 4 (25.0 %): scores in the source language are higher for it; "
        "from train of another language: 1 of zed in nya (33.3 %): zero-shot scores are higher for it"
    )
    told = {(r.source, r.target, r.earlier, r.later): r.repeated for r in found.rows.itertuples()}
    assert told == {
        ("nya", "nya", "train", "dev"): 1, ("nya", "nya", "train", "test"): 1, ("zed", "zed", "train", "test"): 2,
        ("nya", "zed", "train", "test"): 1,
    }  # fmt: skip


def test_sentences_that_stand_in_a_split_several_times_are_told() -> None:
    corpora = {"nya": corpus_of("nya", ["a", "a", "b"], ["c"], ["d", "e", "d"]), "zed": CORPORA["zed"]}
    found = one(audited(clean(), corpora=corpora))
    assert (found.severity, found.kind) == (Severity.CARE, "repeated_inside")
    assert found.text.startswith("nya test 1 of 3 (33.3 %) stand earlier in the same split, word for word: they count")
    assert found.rows["split"].tolist() == ["train", "test"]
    train_alone = {"nya": corpus_of("nya", ["a", "a"], ["c"], ["d"])}
    assert one(audited(clean(), corpora=train_alone)).severity == Severity.NOTE
    twice = corpora["nya"].splits["train"].sentences
    other = replace(corpora["nya"].splits["train"], sentences=(*twice, Sentence(("a",), ("B-PER",))))
    corpora = {"nya": Corpus("nya", {**CORPORA["nya"].splits, "train": other})}
    (finding,) = (f for f in audited(clean(), corpora=corpora) if f.kind == "disagreeing_sentences")
    assert finding.text.startswith("nya train 1: the annotation contradicts itself")


def test_few_repeated_test_sentences_are_a_note_and_repeated_dev_sentences_none() -> None:
    few = {"nya": corpus_of("nya", ["a"], ["b"], ["a", *(f"x{n}" for n in range(199))])}
    found = one(audited(clean(), corpora=few))
    assert found.severity == Severity.NOTE and "nya 1 of 200 (0.5 %)" in found.text
    assert audited(clean(), corpora={"nya": corpus_of("nya", ["a"], ["a"], ["b"])}) == []
    assert audited(clean(), corpora={"nya": corpus_of("nya", ["a"], ["b"], ["b"])}) == []


def stray_corpora(strays: Mapping[tuple[str, str], int]) -> dict[str, Corpus]:
    """Corpora with so many stray tags in each split."""
    texts = {
        (language, split): "a B-PER\nb I-PER\n" + "\nc I-LOC\n" * strays.get((language, split), 0)
        for language in ("nya", "zed")
        for split in schema.SPLITS
    }
    splits = {key: parsed(*key, text.replace("a B", f"{key[1]} B")) for key, text in texts.items()}
    return {
        language: Corpus(language, {split: splits[language, split] for split in schema.SPLITS})
        for language in ("nya", "zed")
    }


def test_stray_gold_tags_are_counted_the_most_first() -> None:
    strays = {("nya", "dev"): 1, ("zed", "train"): 3}
    found = next(f for f in audited(clean(), corpora=stray_corpora(strays)) if f.kind == "stray_gold_tags")
    assert (found.severity, found.title) == (Severity.NOTE, "4 stray gold tags")
    assert found.text.startswith("zed train 3 and nya dev 1;")
    assert found.rows[["language", "split", "stray_tags"]].to_numpy().tolist() == [
        ["nya", "dev", 1],
        ["zed", "train", 3],
    ]
    (single,) = (f for f in audited(clean(), corpora=stray_corpora({("nya", "dev"): 1})) if f.kind == "stray_gold_tags")
    assert single.title == "1 stray gold tag"
    assert audited(clean(), corpora=stray_corpora({})) == []


# --- all at once ---------------------------------------------------------------------------------------------


def faulty_runs() -> list[Run]:
    """A study with every fault that runs can have, oldest first."""
    older = cell_run(("base", "nya", 0), tags={schema.CELL_KEY: "older"}, ended=1_500_000)
    runs = {cell: cell_run(cell) for cell in CELLS if cell not in (("aaa", "zed", 2), ("aaa", "nya", 1))}
    twins = ("base", "aaa", 0), ("aaa", "aaa", 0)
    runs |= {cell: cell_run(cell, tags=digests(twins[0])) for cell in twins}
    for cell in (("base", "zed", 1), ("base", "zed", 2)):
        runs[cell] = cell_run(cell, tags={"predictions_digest/nya.test": "nothing"})
    bad = ("base", "nya", 2)
    runs[bad] = cell_run(bad, valid(bad) | {"test_invalid_tag_rate/zed": 0.01, "test_strict_f1/zed": 0.01})
    runs["aaa", "nya", 1] = cell_run(("aaa", "nya", 1), {}, {}, "FAILED")
    runs["aaa", "nya", 2] = cell_run(("aaa", "nya", 2), tags={"corpus_digest/" + "zed": "changed"})
    runs["aaa", "nya", 0] = cell_run(("aaa", "nya", 0), tags={"corpus_digest/" + "zed": "as it was"})
    return [plan_run(), older, *runs.values()]


def all_findings(runs: Iterable[Run]) -> list[Finding]:
    found = study(runs)
    imports = {
        "unfit": pd.DataFrame([("a", "b")], columns=["path", "reason"]),
        "disagreements": pd.DataFrame(
            [("base-nya-s0", "zed", "test", "ALL", "f1", 0.7, 0.6, "")], columns=DISAGREEMENT_COLUMNS
        ),
    }
    corpora = stray_corpora({("zed", "test"): 2})
    corpora["nya"] = corpus_of("nya", ["a"], ["b"], ["a"])
    return audited(found, imports, corpora, chosen_models.rows(found.frame, found.languages))


def test_every_fault_is_found_once_and_the_worst_come_first() -> None:
    findings = all_findings(faulty_runs())
    severities = [finding.severity for finding in findings]
    assert severities == sorted(severities, reverse=True)
    assert severities[0] == Severity.WRONG and severities[-1] == Severity.NOTE
    kinds = [finding.kind for finding in findings if finding.kind]
    assert sorted(kinds) == sorted(
        ["missing", "identical_predictions", "identical_on_some_targets", "unfit", "disagreements", "unequal_seeds",
         "duplicates", "invalid_tags", "selection", "repeated_sentences", "repeated_inside", "stray_gold_tags"]
    )  # fmt: skip
    assert [finding.title for finding in findings if not finding.kind] == ["corpora differ"]
    for finding in findings:
        assert len(finding.rows) > 0 if finding.kind else finding.rows.empty
        assert finding.text and finding.title and "nan" not in finding.text


@settings(max_examples=8, deadline=None)
@given(order=st.randoms(use_true_random=False))
def test_the_order_of_runs_changes_no_finding(order: random.Random) -> None:
    def told(findings: list[Finding]) -> list[tuple[str, ...]]:
        return [(f.severity.name, f.kind, f.title, f.text, tables.csv_text(f.rows)) for f in findings]

    runs = faulty_runs()
    order.shuffle(runs)
    assert told(all_findings(runs)) == told(all_findings(faulty_runs()))
