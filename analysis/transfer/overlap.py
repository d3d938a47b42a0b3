"""How many named entities two languages share: corpora -> frames. Pure.

Everything is counted by form and category: a form is shared when the other language has it with
the same category. Forms are compared as they stand: letter case, accents and Unicode normal form
count.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import pandas as pd

from nertransfer.core.errors import InputError
from nertransfer.core.schema import ALL
from nertransfer.corpora.corpus import Corpus, Split
from nertransfer.corpora.words import OUTSIDE, spans

Unit = Literal["token occurrences", "token types", "entities", "entity types"]
UNITS: tuple[Unit, ...] = get_args(Unit)
"""What is counted: words with a B- or I- tag, or whole entities (see `nertransfer.corpora.labels.spans`) as the tuple
of their words; each every time it occurs, or once for every distinct form (type)."""

Forms = Counter[tuple[str | tuple[str, ...], str]]
"""Occurrences by (form, category); a form is a word, or the words of an entity."""

COLUMNS = ["source", "target", "category", "unit", "shared", "total", "fraction"]


def token_forms(*splits: Split) -> Forms:
    """Occurrences of the entity tokens of ``splits``: words with a B- or I- tag."""
    return Counter(
        (word, tag[2:])
        for split in splits
        for sentence in split.sentences
        for word, tag in zip(sentence.words, sentence.tags, strict=True)
        if tag != OUTSIDE
    )


def entity_forms(*splits: Split) -> Forms:
    """Occurrences of the whole entities of ``splits``."""
    return Counter(
        (sentence.words[first:end], category)
        for split in splits
        for sentence in split.sentences
        for first, end, category in spans(sentence.tags)
    )


_COUNTED = (token_forms, entity_forms)
"""In the order of `UNITS`; each gives two of them, occurrences and types."""


def _of_category(forms: Forms, category: str) -> Forms:
    return Counter({key: n for key, n in forms.items() if category in (ALL, key[1])})


def published_overlaps(corpora: Mapping[str, Corpus], categories: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Overlap by category as the published study counted it; rows and columns are the languages in their order.

    Entry [row, column]: how many entity tokens of the column's language (every occurrence, in train, dev
    and test together) the row's language has anywhere with the same category. A count, not symmetric;
    the diagonal is the total of its column. It looks at all splits of both languages, so it is no measure
    of what a model could have learnt: see `overlaps`. Source: Beukman, NERTransfer, ``analysis/v50``.

    Raises InputError when no language has an entity of a category.
    """
    forms = {language: token_forms(*one.splits.values()) for language, one in corpora.items()}
    return {category: _published_overlap(forms, category) for category in categories}


def _published_overlap(all_forms: Mapping[str, Forms], category: str) -> pd.DataFrame:
    forms = {language: _of_category(one, category) for language, one in all_forms.items()}
    if category != ALL and not any(forms.values()):
        raise InputError(f"category={category!r}: no language has an entity of it", "category")
    counts = [
        [sum(n for key, n in column.items() if key in row) for column in forms.values()] for row in forms.values()
    ]
    return pd.DataFrame(
        counts, index=pd.Index(list(forms), name="source"), columns=pd.Index(list(forms), name="target"), dtype=int
    )


def overlaps(corpora: Mapping[str, Corpus]) -> pd.DataFrame:
    """What of every target's test split stands in every source's train split; each language is both.

    A row per (source, target, category, unit), in the order of the languages, with `ALL` before the
    categories of any train or test split, and `UNITS`. ``total`` counts the target's test split,
    ``shared`` what of it the source's train split has with the same category (under `ALL`, too),
    ``fraction`` is shared / total, NaN where total is 0 and where the source has no train split. Dev splits are not
    looked at.
    """
    known = {language: [count(corpus.train) for count in _COUNTED] for language, corpus in corpora.items()}
    asked = {language: [count(corpus.test) for count in _COUNTED] for language, corpus in corpora.items()}
    counted = (forms for by_language in (known, asked) for pair in by_language.values() for forms in pair)
    categories = (ALL, *sorted({category for forms in counted for _, category in forms}))
    parts = {
        (language, category): [_of_category(forms, category) for forms in pair]
        for language, pair in asked.items()
        for category in categories
    }
    rows = []
    for source, known_forms in known.items():
        for (target, category), asked_forms in parts.items():
            numbers: list[tuple[int, int]] = []
            for seen, forms in zip(known_forms, asked_forms, strict=True):
                shared = [n for key, n in forms.items() if key in seen]
                numbers += [(sum(shared), forms.total()), (len(shared), len(forms))]
            rows += [(source, target, category, unit, *pair) for unit, pair in zip(UNITS, numbers, strict=True)]
    found = pd.DataFrame(rows, columns=COLUMNS[:-1])
    trained = found["source"].map({language: bool(corpus.train.sentences) for language, corpus in corpora.items()})
    return found.assign(fraction=(found["shared"] / found["total"]).astype(float).where(trained.astype(bool)))


def pivot(found: pd.DataFrame, category: str = ALL, unit: Unit = "token occurrences") -> pd.DataFrame:
    """The fractions of `overlaps` for one category and unit; rows source, columns target, in their order.

    Raises InputError when ``found`` has no such category, ValueError when it has no such unit.
    """
    if unit not in UNITS:
        raise ValueError(f"unit {unit!r} is none of {', '.join(UNITS)}")
    chosen = found[(found["category"] == category) & (found["unit"] == unit)]
    if chosen.empty:
        known = ", ".join(dict.fromkeys(found["category"]))
        raise InputError(f"category={category!r} is not in the corpora; they have {known}", "category")
    matrix = chosen.pivot(index="source", columns="target", values="fraction")
    return matrix.loc[list(dict.fromkeys(chosen["source"])), list(dict.fromkeys(chosen["target"]))]


def train_exposure(found: pd.DataFrame) -> pd.DataFrame:
    """How many test entities of every language stand in its own train split; ``found``: of `overlaps`.

    A row per (language, category): ``seen`` and ``entities`` count mentions, ``fraction`` is
    seen / entities, NaN without entities. Both are missing where the language has test alone. An entity is seen when
    train has the same words with the same category.
    """
    own = found[(found["source"] == found["target"]) & (found["unit"] == "entities")]
    names = {"source": "language", "shared": "seen", "total": "entities"}
    table = own.rename(columns=names)[["language", "category", "seen", "entities", "fraction"]].reset_index(drop=True)
    unknown = table["fraction"].isna() & (table["entities"] > 0)
    return table.assign(seen=table["seen"].astype("Int64").mask(unknown))


def training_sizes(corpora: Mapping[str, Corpus]) -> pd.Series:
    """Number of entity tokens (every occurrence) in the train split of every language, in their order."""
    sizes = {language: token_forms(corpus.train).total() for language, corpus in corpora.items()}
    return pd.Series(sizes.values(), index=pd.Index(list(sizes), name="source"), name="entity_tokens", dtype=int)
