"""Suspect labels: planted mistakes in gold are found among what models contradict with one voice."""

import random
import re
from pathlib import Path

import pytest
from tagged_sentences import published_results, read_columns

from analysis.errors.entities import Tagged, paired, tagged
from analysis.errors.kinds import wrong
from analysis.errors.suspects import suspects
from nertransfer.core.grid import Place
from nertransfer.corpora.conll import Sentence
from nertransfer.corpora.corpus import Corpus, Split
from nertransfer.corpora.words import spans
from nertransfer.scoring import predicted_entities, scores

Tags = list[list[str]]


def tagged_by(words: Tags, gold: Tags, cells: dict[Place, Tags]) -> Tagged:
    sentences = tuple(Sentence(tuple(w), tuple(t)) for w, t in zip(words, gold, strict=True))
    split = Split("hau", "test", sentences, "digest")
    files = {
        place: predicted_entities.to_bytes({("hau", "test"): scores.entities(tags)}) for place, tags in cells.items()
    }
    return tagged(files, {"hau": Corpus("hau", dict.fromkeys(("train", "dev", "test"), split))})["hau"]


def looked_at(found: Tagged) -> list[tuple]:
    table = suspects(found, wrong(found, paired(found)))
    columns = ["kind", "sentence", "word", "gold", "suggested", "suggested_category", "models"]
    return list(table[columns].itertuples(index=False, name=None))


WORDS = [["in", "Kano", "city"], ["Musa", "Bello", "said"], ["a", "b", "c"]]
GOLD = [["O", "B-PER", "O"], ["B-PER", "O", "O"], ["O", "O", "B-LOC"]]
OTHER = [["O", "B-LOC", "O"], ["B-PER", "I-PER", "O"], ["B-ORG", "O", "O"]]


def test_what_most_votes_contradict_in_the_same_way_is_listed() -> None:
    half = [OTHER[0], GOLD[1], GOLD[2]]  # right in two of three
    found = tagged_by(WORDS, GOLD, {("base", "swa", 0): half, ("base", "swa", 1): half, ("base", "ibo", 0): half})
    assert looked_at(found) == [("type", 1, 2, "Kano", "Kano", "LOC", 3)]
    table = suspects(found, wrong(found, paired(found)))
    assert table.loc[0, ["support", "gold_support"]].tolist() == [1.0, 0.0]
    assert table.loc[0, "text"] == "in [{Kano}] city"
    # a model that knows the language outvotes those that do not, and the seeds of one source are one voice
    cells = {("base", "swa", seed): [OTHER[0], OTHER[1], GOLD[2]] for seed in range(9)} | {("base", "hau", 0): GOLD}
    assert looked_at(tagged_by(WORDS, GOLD, cells)) == []


def test_entities_that_gold_lacks_or_has_alone() -> None:
    gold = [GOLD[0], GOLD[1], ["O", "O", "B-LOC"]]
    said = [["B-ORG", "B-PER", "O"], ["B-PER", "O", "O"], ["O", "O", "O"]]
    found = tagged_by(WORDS, gold, {("base", "swa", 0): said, ("base", "ibo", 0): said})
    assert looked_at(found) == [
        ("spurious", 1, 1, "", "in", "ORG", 2),
        ("missing", 3, 3, "c", "", "", 2),
    ]
    # different suggestions for the same words: no voice is the majority's, but gold has none at all
    one, other = ([["B-ORG", "B-PER", "O"], *gold[1:]], [["B-LOC", "B-PER", "O"], *gold[1:]])
    found = tagged_by(WORDS, gold, {("base", "swa", 0): one, ("base", "ibo", 0): other, ("base", "wol", 0): gold})
    assert looked_at(found) == []


def test_no_model_and_no_error_suspect_nothing() -> None:
    assert looked_at(tagged_by(WORDS, GOLD, {("base", "swa", 0): GOLD})) == []
    nothing = [["O"] * 3] * 3
    assert looked_at(tagged_by(WORDS, GOLD, {("base", "swa", 0): nothing})) == []  # F1 0 has no vote


def corrupted(gold: Tags, share: float, rng: random.Random) -> tuple[Tags, set[tuple[int, int]]]:
    """This share of the entities with another category, without their last word, or gone; and their words."""
    gold = [list(tags) for tags in gold]
    entities = [(i, *span) for i, tags in enumerate(gold) for span in spans(tags)]
    chosen = rng.sample(entities, round(share * len(entities)))
    for i, first, end, category in chosen:
        kind = rng.choice(["category", "category", "gone", "shorter"])
        if kind == "gone":
            gold[i][first:end] = ["O"] * (end - first)
        elif kind == "shorter" and end - first > 1:
            gold[i][end - 1] = "O"
        else:
            new = rng.choice([name for name in ("PER", "LOC", "ORG", "DATE") if name != category])
            gold[i][first:end] = [f"B-{new}"] + [f"I-{new}"] * (end - first - 1)
    return gold, {(i + 1, word + 1) for i, first, end, _ in chosen for word in range(first, end)}


@pytest.mark.parametrize("target", ["hau", "swa"])
def test_planted_mistakes_are_found_by_published_predictions(target: str, shared_data: Path) -> None:
    """Of so many as were planted, a half are planted ones; at random 2 % would be. The rest may be true mistakes."""
    rows = read_columns(shared_data / "masakhaner" / target / "test.txt")
    words, clean = ([[row[i] for row in sentence] for sentence in rows] for i in (0, -1))
    cells = {}
    for folder, of in published_results(shared_data):
        if of == target:
            start, source, seed = re.match(r"(?:.*_)?v\d+_start_(\w+?)__(\w+?)__(\d)", folder.name).groups()  # type: ignore[union-attr]
            cells[start, source, int(seed)] = [
                [row[-1] for row in sentence] for sentence in read_columns(folder / "test_predictions.txt")
            ]
    precision = []
    for seed in range(2):
        gold, planted = corrupted(clean, 0.02, random.Random(seed))
        found = tagged_by(words, gold, cells)
        table = suspects(found, wrong(found, paired(found)))
        k = round(0.02 * sum(len(spans(tags)) for tags in clean))
        there = [
            any(
                (row.sentence, row.word + i) in planted for i in range(max(len((row.gold or row.suggested).split()), 1))
            )
            for row in table.head(k).itertuples()
        ]
        precision.append(sum(there) / k)
    assert len(cells) == 50 and min(precision) > 0.3, precision
