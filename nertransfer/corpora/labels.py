"""IOB2 tags: what is one, which categories a tag set has, the label list of a model."""

import re
from collections.abc import Iterable, Sequence

from nertransfer.core.errors import InputError
from nertransfer.core.schema import ALL
from nertransfer.corpora.words import OUTSIDE, is_stray, spans

__all__ = ["ALL", "OUTSIDE", "categories_of", "category_of", "is_stray", "label_list", "spans", "stray_positions"]

LONGEST_CATEGORY = 100
"""Characters of a category, which is a part of the names of metrics: MLflow takes 250 of those."""

_CATEGORY = re.compile(rf"(?!\.\.?$)[A-Za-z0-9_.\-]{{1,{LONGEST_CATEGORY}}}")  # "." and ".." name no metric, either

_OTHER_SCHEMES = ("S-", "E-", "U-", "L-")


def category_of(tag: str) -> str | None:
    """The category of ``tag``, or None for ``O``.

    Raises InputError unless ``tag`` is ``O``, ``B-<category>`` or ``I-<category>`` with a
    category of at most `LONGEST_CATEGORY` ASCII letters, digits, ``_``, ``.`` and ``-``, not the reserved ``ALL``.
    """
    if tag == OUTSIDE:
        return None
    category = tag[2:]
    if tag[:2] not in ("B-", "I-") or not _CATEGORY.fullmatch(category) or category == ALL:
        other = "; of BIOES and BILOU, write S- and U- as B-, E- and L- as I-" if tag[:2] in _OTHER_SCHEMES else ""
        raise InputError(
            f"tag {tag!r} is not O, B-<category> or I-<category> "
            f"(category: at most {LONGEST_CATEGORY} letters, digits, '_', '.', '-'; not {ALL!r}){other}"
        )
    return category


def categories_of(tags: Iterable[str]) -> tuple[str, ...]:
    """The categories that occur in ``tags``, sorted."""
    return tuple(sorted({c for tag in set(tags) if (c := category_of(tag)) is not None}))


def label_list(categories: Sequence[str]) -> tuple[str, ...]:
    """The labels of a token classifier: ``O`` first, then B- and I- of each category."""
    return (OUTSIDE, *(f"{prefix}-{c}" for c in categories for prefix in "BI"))


def stray_positions(tags: Sequence[str]) -> list[int]:
    """Indices of the stray I- tags of one sentence."""
    return [i for i, tag in enumerate(tags) if tag != OUTSIDE and is_stray(tags[i - 1] if i else OUTSIDE, tag)]
