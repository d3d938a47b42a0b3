"""F1 on the entities that models find hard: long ones, and those that never stood in the train split. Pure."""

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass

from nertransfer.corpora.words import spans

LONG_WORDS = 3
"""An entity of more words is long."""

Tagged = tuple[Sequence[str], Sequence[str], Sequence[str]]
"""Words, gold tags and predicted tags of one sentence."""


@dataclass(frozen=True)
class Subset:
    """Gold and predicted entities of one kind; ``f1`` as a fraction, 0 where nothing is right."""

    gold: int
    predicted: int
    correct: int

    @property
    def f1(self) -> float:
        return 2 * self.correct / (self.gold + self.predicted) if self.correct else 0.0


def of_long(sentences: Iterable[Tagged]) -> Subset:
    """Entities of more than `LONG_WORDS` words, gold and predicted alike."""
    return _count(sentences, lambda words: len(words) > LONG_WORDS)


def of_unseen(sentences: Iterable[Tagged], seen: Set[tuple[str, ...]]) -> Subset:
    """Entities whose words, in that order and spelling, are not among ``seen`` (`surface_forms` of train)."""
    return _count(sentences, lambda words: words not in seen)


def surface_forms(sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> frozenset[tuple[str, ...]]:
    """The words of every entity of tagged sentences (words, tags)."""
    return frozenset(tuple(words[a:b]) for words, tags in sentences for a, b, _ in spans(tags))


def _count(sentences: Iterable[Tagged], belongs: Callable[[tuple[str, ...]], bool]) -> Subset:
    gold_number = predicted_number = correct = 0
    for words, *sides in sentences:
        gold, predicted = ({s for s in spans(tags) if belongs(tuple(words[s[0] : s[1]]))} for tags in sides)
        gold_number += len(gold)
        predicted_number += len(predicted)
        correct += len(gold & predicted)
    return Subset(gold_number, predicted_number, correct)
