"""What in the corpora themselves can mislead a reader of the scores: corpora -> frames. Pure."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import combinations, permutations

import pandas as pd

from nertransfer.core.schema import SPLITS
from nertransfer.corpora.corpus import Corpus
from nertransfer.corpora.labels import stray_positions

REPEATED_COLUMNS = ["source", "target", "earlier", "later", "repeated", "sentences", "percent"]
STRAY_COLUMNS = ["language", "split", "stray_tags", "first_line"]
INSIDE_COLUMNS = ["language", "split", "repeated", "sentences", "percent"]
DISAGREEING_COLUMNS = ["language", "split", "sentence", "occurrences", "annotations"]
SHORT_FORMS = {
    "person": "per", "people": "per", "location": "loc", "organization": "org", "organisation": "org",
    "miscellaneous": "misc",
}  # fmt: skip
"""Categories that corpora write out, and how others shorten them."""
NAME_COLUMNS = ["category", "languages", "like", "like_languages"]


def repeated_sentences(corpora: Mapping[str, Corpus]) -> pd.DataFrame:
    """Sentences of a later split whose words, whatever their tags, also stand as a sentence of an earlier one.

    First, for every language (source and target alike), train-dev, train-test and dev-test, also where
    nothing repeats. Then train of the source against test of another target, only where something does.
    ``earlier`` and ``later`` name the splits, ``repeated`` counts the sentences of the later one that
    repeat, each time they occur, of ``sentences`` in all; ``percent`` is NaN for a split without any.
    """
    known = {
        (language, name): {sentence.words for sentence in corpus.splits[name].sentences}
        for language, corpus in corpora.items()
        for name in SPLITS
    }

    def row(source: str, target: str, earlier: str, later: str) -> tuple[str, str, str, str, int, int]:
        sentences = corpora[target].splits[later].sentences
        repeated = sum(sentence.words in known[source, earlier] for sentence in sentences)
        return source, target, earlier, later, repeated, len(sentences)

    own = [row(language, language, *pair) for language in corpora for pair in combinations(SPLITS, 2)]
    across = [row(source, target, "train", "test") for source, target in permutations(corpora, 2)]
    rows = [*own, *(found for found in across if found[4])]
    table = pd.DataFrame(rows, columns=REPEATED_COLUMNS[:-1])
    return table.assign(percent=(100 * table["repeated"] / table["sentences"]).astype(float))


def stray_gold_tags(corpora: Mapping[str, Corpus]) -> pd.DataFrame:
    """I- tags in the corpora that continue no entity (`nertransfer.corpora.labels.is_stray`), a row per split with any.

    ``first_line`` is the line of the first one in its file (from 1), missing where the split came from no file.
    """
    rows = []
    for language, corpus in corpora.items():
        for name in SPLITS:
            split = corpus.splits[name]
            if stray := sum(len(stray_positions(sentence.tags)) for sentence in split.sentences):
                lines = split.findings.stray_tags.lines
                rows.append((language, name, stray, lines[0] if lines else None))
    return pd.DataFrame(rows, columns=STRAY_COLUMNS).astype({"stray_tags": int, "first_line": "Int64"})


def repeated_inside(corpora: Mapping[str, Corpus]) -> pd.DataFrame:
    """Sentences of a split whose words, whatever their tags, stand earlier in it, a row per split with any.

    ``repeated`` counts every occurrence but the first, of ``sentences`` in all.
    """
    rows = []
    for language, corpus in corpora.items():
        for name in SPLITS:
            words = [sentence.words for sentence in corpus.splits[name].sentences]
            if repeated := len(words) - len(set(words)):
                rows.append((language, name, repeated, len(words), 100 * repeated / len(words)))
    return pd.DataFrame(rows, columns=INSIDE_COLUMNS)


def disagreeing_sentences(corpora: Mapping[str, Corpus]) -> pd.DataFrame:
    """Sentences that stand in one split several times with different tags, a row each: how often, and how many ways."""
    rows = []
    for language, corpus in corpora.items():
        for name in SPLITS:
            sentences = corpus.splits[name].sentences
            tags: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
            for sentence in sentences:
                tags.setdefault(sentence.words, set()).add(sentence.tags)
            often = Counter(sentence.words for sentence in sentences)
            rows += [
                (language, name, " ".join(words), often[words], len(ways))
                for words, ways in tags.items()
                if len(ways) > 1
            ]
    return pd.DataFrame(rows, columns=DISAGREEING_COLUMNS)


def like_names(categories: Mapping[str, Collection[str]]) -> pd.DataFrame:
    """Pairs of category names that may be one category, by language: ``categories``.

    They differ only in case, in signs that are neither letters nor digits, or in that one is the short form of the
    other (`PER` and `person`), and no language has both.
    """
    languages: dict[str, list[str]] = {}
    for language, names in categories.items():
        for name in names:
            languages.setdefault(name, []).append(language)
    rows = [
        (one, ", ".join(languages[one]), other, ", ".join(languages[other]))
        for one, other in combinations(sorted(languages), 2)
        if _alike(one, other) and not set(languages[one]) & set(languages[other])
    ]
    return pd.DataFrame(rows, columns=NAME_COLUMNS)


def _alike(one: str, other: str) -> bool:
    plain = [re.sub(r"[\W_]", "", name.casefold()) for name in (one, other)]
    first, second = (SHORT_FORMS.get(name, name) for name in plain)
    return bool(first) and first == second
