"""A split that a model has tagged: what scoring hands on. No model library, so that results of others are the same."""

from dataclasses import dataclass

from nertransfer.corpus import Split
from nertransfer.counts import Counts, Entities, Scores


@dataclass(frozen=True)
class Scored:
    """One score: a target's split, its predicted tags by sentence, and what they are worth.

    ``counts`` are the entities by sentence behind ``scores``, ``entities`` the predicted ones. Of the words
    ``unknown_words`` tokenise to nothing under the start, and ``cut_words`` are longer than a window.
    """

    split: Split
    predicted: list[list[str]]
    scores: Scores
    counts: Counts
    entities: Entities
    unknown_words: int = 0
    cut_words: int = 0
