"""One embedding as the analyses see it, and how its words are resampled. Pure."""

import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Embedded:
    """The stored vectors of one model.

    ``source`` and ``seed``: None for a start. ``words``: a row for each vector with language, sentence, word,
    category, tag and form; ``vectors``: float32 [words, size]; ``centres``: number of words and mean vector [size] over
    all words, stored or not, by (language, category).
    """

    name: str
    start: str
    source: str | None
    seed: int | None
    layers: str
    words: pd.DataFrame
    vectors: np.ndarray
    centres: dict[tuple[str, str], tuple[int, np.ndarray]]

    @property
    def configuration(self) -> str:
        """Start, and for a cell its source: what seeds are replicates of."""
        return self.start if self.source is None else f"{self.start}-{self.source}"

    @property
    def languages(self) -> list[str]:
        return list(dict.fromkeys(self.words["language"]))

    def rows(self, language: str) -> np.ndarray:
        """Indices of the language's vectors."""
        return np.flatnonzero((self.words["language"] == language).to_numpy())

    def categories(self, language: str) -> np.ndarray:
        """Category of each of the language's vectors, in the order of `rows`."""
        return self.words["category"].to_numpy(object)[self.rows(language)]


def sentence_draws(words: pd.DataFrame, language: str, resamples: int) -> np.ndarray:
    """How often each stored word of a language is drawn in every resample, float32 [resamples, words].

    Sentences are drawn with replacement, with all their words; the same draws for all models that store the same words.
    """
    sentences = words.loc[words["language"] == language, "sentence"].to_numpy()
    _, place = np.unique(sentences, return_inverse=True)
    rng = np.random.default_rng(zlib.crc32(language.encode()))
    count = int(place.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return drawn[:, place].astype(np.float32)


def some_rows(words: pd.DataFrame, most: int) -> np.ndarray:
    """At most about ``most`` rows, as many of every language and category as there are, drawn with a fixed seed.

    Increasing; the same for all models that store the same words.
    """
    rng = np.random.default_rng(0)
    groups = [np.asarray(rows) for rows in words.groupby(["language", "category"], sort=True).indices.values()]
    each = max(1, most // max(1, len(groups)))
    return np.sort(
        np.concatenate([rows if len(rows) <= each else rng.choice(rows, each, replace=False) for rows in groups])
    )
