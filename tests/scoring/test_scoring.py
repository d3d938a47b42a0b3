"""Scores: equal to the published ones, to an independent count, and to themselves under relabelling."""

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2
from tagged_sentences import PAIRS, published_results, read_columns

from nertransfer.core.errors import InputError
from nertransfer.core.schema import ALL
from nertransfer.corpora.words import spans
from nertransfer.scoring import scores
from nertransfer.scoring.reference import score


def test_every_published_score_comes_out_of_the_published_predictions(shared_data: Path) -> None:
    files = {language: shared_data / "masakhaner" / language / "test.txt" for language in ("hau", "swa", "wol")}
    gold = {
        language: [[r[-1] for r in sentence] for sentence in read_columns(path)] for language, path in files.items()
    }
    results = published_results(shared_data)
    counted = {language: scores.entities(tags) for language, tags in gold.items()}
    assert len(results) == 200
    for number, (folder, language) in enumerate(results):
        predicted = [[row[-1] for row in sentence] for sentence in read_columns(folder / "test_predictions.txt")]
        reported = dict(re.findall(r"^(f1|precision|recall) = (\S+)$", (folder / "test_results.txt").read_text(), re.M))
        found = [scores.scores(scores.count(counted[language], scores.entities(predicted))).default[ALL]]
        if number % 8 == 0:  # seqeval takes a quarter of a second, and test_counts compares the two
            found.append(score(gold[language], predicted).default[ALL])
        for (name, value), one in itertools.product(reported.items(), found):
            assert getattr(one, name) == pytest.approx(float(value), abs=1e-9), (folder.name, name)
        assert len(reported) == 3


def test_golden_scores_in_both_modes() -> None:
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-ORG", "O"]]
    predicted = [["I-PER", "I-PER", "O", "B-ORG"], ["B-ORG", "I-ORG", "I-LOC"]]
    found = score(gold, predicted)
    # default: PER found through the repair; of four predicted entities one is right
    assert (found.default[ALL].precision, found.default[ALL].recall) == (1 / 4, 1 / 3)
    assert found.default[ALL].support == 3
    # strict: the stray I- tags are no entities, two predicted remain, none right
    assert found.strict[ALL].f1 == 0.0
    assert found.invalid_tag_rate == 2 / 7
    # spans: PER and LOC have the right words
    assert found.span_f1 == pytest.approx(2 * 2 / (3 + 4))
    assert found.words == 7


def test_a_category_on_one_side_only_is_listed_with_score_zero() -> None:
    found = score([["B-DATE", "O"]], [["O", "B-PER"]])
    assert found.default["DATE"].support == 1 and found.default["DATE"].recall == 0.0
    assert found.default["PER"].support == 0 and found.default["PER"].precision == 0.0


def test_no_entity_anywhere_scores_zero_and_not_an_error() -> None:
    found = score([["O", "O"]], [["O", "O"]])
    assert found.default[ALL].f1 == 0.0 and found.span_f1 == 0.0 and found.invalid_tag_rate == 0.0


@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        ([["O"]], [["O"], ["O"]], "1 gold sentences but 2"),
        ([["O"], ["O", "O"]], [["O"], ["O"]], "sentence 2 has 2 gold tags but 1"),
    ],
)
def test_unequal_lengths_are_named(gold: list[list[str]], predicted: list[list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(gold, predicted)


def test_a_tag_that_is_not_iob2_is_refused() -> None:
    with pytest.raises(InputError, match="'E-PER'"):
        score([["E-PER"]], [["O"]])


@given(PAIRS)
def test_default_mode_equals_an_independent_count(pairs: list[tuple[list[str], list[str]]]) -> None:
    gold, predicted = [p[0] for p in pairs], [p[1] for p in pairs]
    found = score(gold, predicted)
    wanted = {(i, *s) for i, tags in enumerate(gold) for s in spans(tags)}
    got = {(i, *s) for i, tags in enumerate(predicted) for s in spans(tags)}
    right = len(wanted & got)
    assert found.default[ALL].support == len(wanted)
    assert found.default[ALL].precision == pytest.approx(right / len(got) if got else 0.0)
    assert found.default[ALL].recall == pytest.approx(right / len(wanted) if wanted else 0.0)
    assert sum(s.support for c, s in found.default.items() if c != ALL) == len(wanted)


@given(PAIRS)
def test_both_modes_equal_seqevals_own_report(pairs: list[tuple[list[str], list[str]]]) -> None:
    gold, predicted = [p[0] for p in pairs], [p[1] for p in pairs]
    found = score(gold, predicted)
    for table, mode in ((found.default, {}), (found.strict, {"mode": "strict", "scheme": IOB2})):
        if not any(tag != "O" for tags in [*gold, *predicted] for tag in tags):
            continue
        report = classification_report(gold, predicted, output_dict=True, zero_division=0, **mode)
        rows = {ALL: report["micro avg"]} | {c: report[c] for c in ("PER", "LOC") if c in report}
        for name, row in rows.items():
            assert table[name].precision == pytest.approx(row["precision"], abs=1e-12)
            assert table[name].recall == pytest.approx(row["recall"], abs=1e-12)
            assert table[name].f1 == pytest.approx(row["f1-score"], abs=1e-12)
            assert table[name].support == row["support"]


@given(PAIRS)
def test_gold_against_itself_is_perfect_and_spans_never_score_below_entities(
    pairs: list[tuple[list[str], list[str]]],
) -> None:
    gold, predicted = [p[0] for p in pairs], [p[1] for p in pairs]
    if any(spans(tags) for tags in gold):
        assert score(gold, gold).default[ALL].f1 == 1.0
    found = score(gold, predicted)
    assert found.span_f1 >= found.default[ALL].f1 - 1e-12
