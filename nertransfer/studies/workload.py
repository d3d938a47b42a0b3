"""How much a cell trains and scores: optimiser steps and sub-tokens, by the sizes of its corpora or of typical ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nertransfer.core.grid import ADDED, FewShot, is_several, languages_of
from nertransfer.core.options import PLANTED, Recipe, RunOptions
from nertransfer.core.schema import SCORED_SPLITS
from nertransfer.corpora.corpus import Corpus

SPECIAL = 2
"""Sub-tokens of a sentence beside those of its words."""


@dataclass(frozen=True)
class Size:
    """Sentences and words of a split."""

    sentences: float
    words: float

    def tokens(self, per_word: float) -> float:
        """Its sub-tokens, where a word has ``per_word`` on average."""
        return self.words * per_word + SPECIAL * self.sentences


SizeOf = Callable[[str, str], Size]
"""(language, split) -> its size."""

TYPICAL: Mapping[str, Mapping[str, Size]] = {
    PLANTED: {"train": Size(500, 7400), "dev": Size(120, 1840), "test": Size(200, 3020)},
    "masakhaner": {"train": Size(1840, 42500), "dev": Size(260, 5800), "test": Size(530, 12900)},
    "masakhane_transfer": {"train": Size(6500, 140000), "dev": Size(1050, 23000), "test": Size(1700, 36000)},
    "masakhaner2": {"train": Size(6100, 140000), "dev": Size(950, 22000), "test": Size(1600, 37000)},
}
"""Means over the languages of the known corpora; beyond MasakhaNER 1.0 by the sizes of their files."""
PER_WORD = {PLANTED: 1.35}
"""Sub-tokens of a word by the starts of the data."""
USUAL_PER_WORD = 1.8
"""By the vocabulary of XLM-R, on the train splits of MasakhaNER 1.0."""


@dataclass(frozen=True)
class Workload:
    """Of one cell: optimiser steps, and sub-tokens that are trained on and scored, epochs included."""

    steps: float
    trained: float
    scored: float


def of_cell(
    source: str,
    few: FewShot | None,
    targets: Sequence[str],
    size_of: SizeOf,
    per_word: float,
    recipe: Recipe,
    run: RunOptions,
) -> Workload:
    """The work of a cell; where it goes on from another one's weights, that one's training is not counted."""
    train = [size_of(language, "train") for language in languages_of(source)] if trains_on_source(few) else []
    if few is not None:
        whole = size_of(few.language, "train")
        train.append(Size(few.sentences, few.sentences * whole.words / max(1, whole.sentences)))
    sentences = sum(size.sentences for size in train)
    own = languages_of(source) or ([few.language] if few else [])
    scored = [few.language] if few else list(targets)
    if is_several(source):  # they are scored together, too
        scored += own
    else:
        scored += [language for language in own if language not in scored]
    tokens = sum(size_of(language, split).tokens(per_word) for language in scored for split in SCORED_SPLITS)
    if run.dev_each_epoch or recipe.epoch_choice == "best":
        tokens += recipe.epochs * sum(size_of(language, "dev").tokens(per_word) for language in own)
    trained = sum(size.tokens(per_word) for size in train)
    return Workload(recipe.epochs * -(-sentences // recipe.batch_size), recipe.epochs * trained, tokens)


def trains_on_source(few: FewShot | None) -> bool:
    """Whether a cell trains on its source's sentences itself."""
    return few is None or few.mode == ADDED


def sizes(data: str, corpora: Mapping[str, Corpus] | None) -> SizeOf | None:
    """The sizes of corpora that are at hand, else typical ones; None where nothing is known of the data."""
    if corpora is not None:
        return lambda language, split: _size(corpora[language], split)
    if data not in TYPICAL:
        return None
    return lambda _, split: TYPICAL[data][split]


def _size(corpus: Corpus, split: str) -> Size:
    found = corpus.splits[split]
    return Size(len(found.sentences), found.number_of_words)
