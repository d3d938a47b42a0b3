"""Which sentences a cell is fine-tuned on: of several languages by temperature, and a few of a target. Seeded."""

import hashlib
from collections.abc import Sequence

import numpy as np

from nertransfer.core.grid import ADDED, FewShot
from nertransfer.corpora.conll import Sentence
from nertransfer.corpora.corpus import Corpus, Split
from nertransfer.training.seeding import permutation

_TEMPERATURE, _FEW_SHOT = 101, 102
"""What a random stream is for; apart from those of `nertransfer.training.finetune`."""


def shares(sizes: Sequence[int], temperature: float) -> list[int]:
    """How many sentences of each language make an epoch as large as all together.

    Proportional to ``sizes`` to the power of 1 / ``temperature`` (as multilingual encoders are pre-trained: Devlin
    2018, Conneau et al. 2020, section 3.1, whose exponent is that): 1 takes every sentence once, more makes
    small languages larger. Rounded by largest remainder, earlier languages first.
    """
    if temperature == 1:
        return list(sizes)
    total = sum(sizes)
    powers = np.asarray(sizes, float) ** (1 / temperature)
    exact = total * powers / powers.sum()
    whole = np.floor(exact).astype(int)
    for place in np.argsort(whole - exact, kind="stable")[: total - int(whole.sum())]:
        whole[place] += 1
    return [int(number) for number in whole]


def few(split: Split, number: int, seed: int) -> tuple[Sentence, ...]:
    """So many sentences of a split without replacement; with one seed, fewer are the first of more.

    Raises ValueError when the split has not so many.
    """
    if number > len(split.sentences):
        raise ValueError(f"{number} sentences asked for, {split.language} has {len(split.sentences)}")
    return tuple(split.sentences[i] for i in permutation(len(split.sentences), seed, _FEW_SHOT)[:number])


def by_temperature(corpus: Corpus, temperature: float, seed: int) -> tuple[Sentence, ...]:
    """The train sentences of several languages, one language behind the other, as many of each as `shares` says.

    More than a language has: whole copies and a random part without replacement; fewer: such a part.
    """
    splits = [part.train for part in corpus.parts]
    found: list[Sentence] = []
    for place, (split, share) in enumerate(
        zip(splits, shares([len(s.sentences) for s in splits], temperature), strict=True)
    ):
        copies, rest = divmod(share, len(split.sentences))
        drawn = sorted(permutation(len(split.sentences), seed, _TEMPERATURE, place)[:rest])
        found += [*split.sentences * copies, *(split.sentences[i] for i in drawn)]
    return tuple(found)


def training_split(
    corpus: Corpus, temperature: float, seed: int, few_shot: FewShot | None = None, target: Corpus | None = None
) -> Split:
    """What a cell is fine-tuned on: the source's train split, with a few sentences of the target, or these alone.

    The latter also where they come after the source (`grid.AFTER`): the source is then the first stage's. The split of
    a corpus itself is returned where nothing is drawn.
    """
    source = corpus.train
    if corpus.parts and temperature != 1:
        told = f"{source.digest} temperature {temperature!r} seed {seed}"
        source = Split(corpus.language, "train", by_temperature(corpus, temperature, seed), _digest(told))
    if few_shot is None or target is None:
        return source
    sentences = few(target.train, few_shot.sentences, seed)
    told = f"{target.train.digest} {few_shot.sentences} sentences, seed {seed}"
    if few_shot.mode == ADDED:
        sentences, told = source.sentences + sentences, f"{source.digest} and {told}"
    return Split(few_shot.with_source(corpus.language), "train", sentences, _digest(told))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
