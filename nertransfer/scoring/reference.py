"""Gold and predicted tags -> precision, recall and F1, with seqeval. Pure; the only module that uses seqeval.

Definitions: an entity counts as found when its first word, last word and category all agree
(CoNLL-2003; Tjong Kim Sang and De Meulder 2003). `default` mode is seqeval's repair of invalid
sequences, equal to conlleval: a stray I- tag begins an entity; the published study used it.
`strict` mode is IOB2 as written: a stray I- tag belongs to no entity.
"""

from collections.abc import Sequence
from typing import Any

from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Entities

from nertransfer.core.schema import ALL
from nertransfer.corpora.labels import category_of, stray_positions
from nertransfer.corpora.words import OUTSIDE
from nertransfer.scoring.scores import Score, Scores, TagSequences


def score(gold: TagSequences, predicted: TagSequences) -> Scores:
    """Score predicted tags against gold tags, one sequence a sentence.

    Raises ValueError when the two differ in the number of sentences or of words in one of
    them, and InputError on a tag that is not IOB2.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold sentences but {len(predicted)} predicted ones")
    for number, (a, b) in enumerate(zip(gold, predicted, strict=True), start=1):
        if len(a) != len(b):
            raise ValueError(f"sentence {number} has {len(a)} gold tags but {len(b)} predicted ones")
    categories = sorted({c for tag in _distinct(gold) | _distinct(predicted) if (c := category_of(tag))})
    words = sum(map(len, gold))
    invalid = sum(len(stray_positions(tags)) for tags in predicted)
    # sentences without an entity on either side change no count, and seqeval is slow on every word
    kept = [(list(a), list(b)) for a, b in zip(gold, predicted, strict=True) if set(a) | set(b) != {OUTSIDE}]
    default = [set(get_entities([pair[side] for pair in kept])) for side in (0, 1)]
    strict = [_strict_entities([pair[side] for pair in kept]) for side in (0, 1)]
    return Scores(
        default=_by_category(default[0], default[1], categories),
        strict=_by_category(strict[0], strict[1], categories),
        span_f1=_compare(*({entity[1:] for entity in side} for side in default)).f1,
        invalid_tag_rate=invalid / words if words else 0.0,
        words=words,
    )


Entity = tuple[Any, ...]
"""Category first, then the place in the split."""


def _distinct(sequences: TagSequences) -> set[str]:
    return {tag for tags in sequences for tag in tags}


def _strict_entities(sequences: list[list[str]]) -> set[Entity]:
    found = Entities(sequences, IOB2) if sequences else None
    return {(e.tag, e.sent_id, e.start, e.end) for sentence in (found.entities if found else []) for e in sentence}


def _by_category(gold: set[Entity], predicted: set[Entity], categories: Sequence[str]) -> dict[str, Score]:
    """Scores of every category, and over all entities together (micro average)."""
    table = {ALL: _compare(gold, predicted)}
    for category in categories:
        table[category] = _compare(*({e for e in side if e[0] == category} for side in (gold, predicted)))
    return table


def _compare(gold: set[Entity], predicted: set[Entity]) -> Score:
    """Precision, recall and F1 of a set of entities; 0 where nothing can be divided by."""
    right = len(gold & predicted)
    precision = right / len(predicted) if predicted else 0.0
    recall = right / len(gold) if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return Score(precision, recall, f1, len(gold))
