"""What the planted corpora are like: their languages, and all the numbers behind them."""

import json
import math
from dataclasses import asdict, dataclass, fields
from hashlib import sha256

from nertransfer.core.errors import InputError
from nertransfer.corpora.languages import Language

GENERATOR_VERSION = 1
"""Raised with every change of the generator that changes the corpora of some settings."""

ISOLATE = "isolate"

_MADE_UP = "made up"
LANGUAGES = (
    Language("qka", "Kalane", "Kelwic", _MADE_UP),
    Language("qke", "Kelwe", "Kelwic", _MADE_UP),
    Language("qko", "Komori", "Kelwic", _MADE_UP),
    Language("qsa", "Sarsk", "Sorsic", _MADE_UP),
    Language("qse", "Sevrin", "Sorsic", _MADE_UP),
    Language("qso", "Solmar", "Sorsic", _MADE_UP),
    Language("qit", "Itlachi", ISOLATE, _MADE_UP),
)
CATEGORIES = ("PER", "LOC", "ORG", "DATE")


@dataclass(frozen=True)
class PlantedSettings:
    """What the corpora are like. A share is a proportion from 0 to 1; vocabulary shares are by frequency."""

    seed: int = 0
    # sentences per language
    train_sentences: int = 500
    dev_sentences: int = 120
    test_sentences: int = 200
    text_sentences: int = 2000
    # words in the vocabulary of a language
    content_words: int = 300
    function_words: int = 60
    context_words: int = 6  # that announce one category
    names: int = 120  # in each pool: given names, family names, places, organisations
    zipf_exponent: float = 1.0  # frequency falls as rank ** -zipf_exponent
    # what languages have in common
    family_share: float = 0.6  # of ordinary words: identical within the family
    loan_share: float = 0.04  # of ordinary words: identical in both families
    isolate_share: float = 0.0  # of the isolate's ordinary words: one of those loans
    family_name_share: float = 0.3  # of names: identical within the family only
    international_share: float = 0.2  # of names: identical in both families
    isolate_international_share: float = 0.08  # of the isolate's names: one of those
    # entities
    per_share: float = 0.37  # of entities
    loc_share: float = 0.31
    org_share: float = 0.19
    date_share: float = 0.13
    entity_share: float = 0.27  # of noun phrases, in sentences that may have entities
    no_entity_share: float = 0.1  # of sentences: have no entity whatever their length
    new_name_share: float = 0.2  # of names in running text: made on the spot, in no pool
    ambiguous_share: float = 0.15  # of names in a pool: also in the pool of another category
    ending_share: float = 0.6  # of names: end in one of the few endings of their category
    # context
    context_share: float = 0.95  # of entities: announced by a context word
    context_error: float = 0.02  # of those context words: announce another category
    context_noise: float = 0.03  # of noun phrases without entity: have a context word all the same
    gap_share: float = 0.1  # of context words: a function word stands between them and the entity
    capital_noise: float = 0.02  # of nouns: written like a name
    # sentences
    agreement_share: float = 0.9  # of determiners and particles: agree with their noun or verb
    mean_length: float = 15.0  # words, of a log-normal distribution
    length_sigma: float = 0.65  # its standard deviation, in natural logarithms of words
    longest: int = 90  # words
    one_word_share: float = 0.012  # of sentences

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if f.type is int or f.type == "int":
                lowest = _LOWEST.get(f.name, 1)
                check(
                    isinstance(value, int) and not isinstance(value, bool) and value >= lowest,
                    f.name, value, f"a whole number of at least {lowest}",
                )  # fmt: skip
            elif f.name in _ABOVE_ZERO:
                check(0 < value < math.inf, f.name, value, "a number above 0")
            else:
                check(0 <= value <= 1, f.name, value, "a proportion from 0 to 1")
        self._check_together()

    def _check_together(self) -> None:
        """Proportions of one whole do not exceed it; the isolate shares only what the families share."""
        for parameter, other in (("family_share", "loan_share"), ("family_name_share", "international_share")):
            rest = 1 - getattr(self, other)
            value = getattr(self, parameter)
            check(value <= rest + 1e-9, parameter, value, f"at most 1 - {other} = {rest:g}")
        for parameter, other in (
            ("isolate_share", "loan_share"),
            ("isolate_international_share", "international_share"),
        ):
            most = getattr(self, other)
            value = getattr(self, parameter)
            check(value <= most, parameter, value, f"at most {other} = {most:g}")
        total = sum(self.category_shares.values())
        check(abs(total - 1) < 1e-9, "date_share", self.date_share, f"all category shares add up to 1, not {total:g}")

    @property
    def category_shares(self) -> dict[str, float]:
        """Proportion of entities of each category, in the order of `CATEGORIES`."""
        return {c: getattr(self, f"{c.lower()}_share") for c in CATEGORIES}

    @property
    def splits(self) -> dict[str, int]:
        """Number of sentences of each labelled split."""
        return {"train": self.train_sentences, "dev": self.dev_sentences, "test": self.test_sentences}


_LOWEST = {"seed": 0, "function_words": 12, "content_words": 20, "context_words": 2, "names": 10, "longest": 10}
_ABOVE_ZERO = ("zipf_exponent", "mean_length", "length_sigma")


def check(condition: bool, parameter: str, value: object, allowed: str) -> None:
    if not condition:
        raise InputError(f"{parameter}={value!r} is not allowed: {allowed}")


def digest(settings: PlantedSettings) -> str:
    """12 hexadecimal digits that change with the settings and with the generator's version."""
    return sha256(json.dumps(record(settings), sort_keys=True).encode()).hexdigest()[:12]


def record(settings: PlantedSettings) -> dict[str, object]:
    return {"generator_version": GENERATOR_VERSION, "settings": asdict(settings)}
