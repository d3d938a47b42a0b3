"""Planted corpora: made-up languages whose relatedness is known, as a check on the whole pipeline.

Seven languages: two families of three and an isolate. A share of the vocabulary is identical
within a family, a small one between families; context words announce entities, before them in
one family and after them in the other. A measured transfer matrix should recover this:
transfer within a family above transfer between families, and the isolate last.

All numbers come from `PlantedSettings`, all chance from PCG64 streams with one explicit
`numpy.random.SeedSequence` key per purpose and language, so the same settings give the same
bytes everywhere. Codes are from qaa-qtz, which ISO 639-3 reserves for private use.
"""

import csv
import io
import json
import math
import os
import secrets
import shutil
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from hashlib import sha256
from itertools import accumulate
from pathlib import Path

import numpy as np

from nertransfer.errors import InputError
from nertransfer.labels import OUTSIDE
from nertransfer.languages import Language

GENERATOR_VERSION = 1
"""Raised with every change of this module that changes the corpora of some settings."""

ISOLATE = "isolate"
SETTINGS_FILE = "planted.json"
RELATEDNESS_FILE = "relatedness.csv"
TEXT_FILE = "text.txt"

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

Sentence = tuple[tuple[str, ...], tuple[str, ...]]
"""Words and their IOB2 tags, equal in number."""


# --- settings -----------------------------------------------------------------------------------


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
                _check(
                    isinstance(value, int) and not isinstance(value, bool) and value >= lowest,
                    f.name, value, f"a whole number of at least {lowest}",
                )  # fmt: skip
            elif f.name in _ABOVE_ZERO:
                _check(0 < value < math.inf, f.name, value, "a number above 0")
            else:
                _check(0 <= value <= 1, f.name, value, "a proportion from 0 to 1")
        self._check_together()

    def _check_together(self) -> None:
        """Proportions of one whole do not exceed it; the isolate shares only what the families share."""
        for parameter, other in (("family_share", "loan_share"), ("family_name_share", "international_share")):
            rest = 1 - getattr(self, other)
            value = getattr(self, parameter)
            _check(value <= rest + 1e-9, parameter, value, f"at most 1 - {other} = {rest:g}")
        for parameter, other in (
            ("isolate_share", "loan_share"),
            ("isolate_international_share", "international_share"),
        ):
            most = getattr(self, other)
            value = getattr(self, parameter)
            _check(value <= most, parameter, value, f"at most {other} = {most:g}")
        total = sum(self.category_shares.values())
        _check(abs(total - 1) < 1e-9, "date_share", self.date_share, f"all category shares add up to 1, not {total:g}")

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


def _check(condition: bool, parameter: str, value: object, allowed: str) -> None:
    if not condition:
        raise InputError(f"{parameter}={value!r} is not allowed: {allowed}")


def digest(settings: PlantedSettings) -> str:
    """12 hexadecimal digits that change with the settings and with the generator's version."""
    return sha256(json.dumps(_record(settings), sort_keys=True).encode()).hexdigest()[:12]


def _record(settings: PlantedSettings) -> dict[str, object]:
    return {"generator_version": GENERATOR_VERSION, "settings": asdict(settings)}


# --- chance -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """Items to draw from, and their cumulative probabilities."""

    items: tuple[str, ...]
    cumulative: tuple[float, ...]

    @property
    def probabilities(self) -> list[float]:
        return [b - a for a, b in zip((0.0, *self.cumulative), self.cumulative, strict=False)]


def _table(items: Sequence[str], weights: Sequence[float]) -> _Table:
    total = math.fsum(weights)
    # The last bound is 1 exactly, so that no draw falls behind it.
    return _Table(tuple(items), (*(w / total for w in list(accumulate(weights))[:-1]), 1.0))


class _Stream:
    """Random draws of one purpose. Only uniform doubles are taken from numpy: its other
    distributions may change between versions, and with them the corpora."""

    def __init__(self, seed: int, *key: int) -> None:
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
        self._values = self._draw(generator)

    @staticmethod
    def _draw(generator: np.random.Generator) -> Iterator[float]:
        while True:
            yield from generator.random(4096).tolist()

    def chance(self, probability: float) -> bool:
        return next(self._values) < probability

    def below(self, number: int) -> int:
        return int(next(self._values) * number)

    def one_of(self, items: Sequence[str]) -> str:
        return items[int(next(self._values) * len(items))]

    def index(self, table: _Table) -> int:
        return bisect_right(table.cumulative, next(self._values))

    def pick(self, table: _Table) -> str:
        return table.items[self.index(table)]


# Purposes: first numbers of the key of a stream.
_SHARED_WORDS, _FAMILY_WORDS, _OWN_WORDS, _LABELLED, _UNLABELLED = range(5)


# --- what a language is like ------------------------------------------------------------------


@dataclass(frozen=True)
class _Sounds:
    """Parts of a syllable: consonants, vowels, and finals (an empty one: the syllable is open)."""

    consonants: tuple[str, ...]
    vowels: tuple[str, ...]
    finals: tuple[str, ...] = ("",)

    def shifted(self, shifts: Mapping[str, str]) -> "_Sounds":
        """The same with some sounds replaced: a language among its relatives."""
        return _Sounds(*(tuple(shifts.get(s, s) for s in part) for part in (self.consonants, self.vowels, self.finals)))


@dataclass(frozen=True)
class _Grammar:
    """Word order and spelling: traits of a family.

    ``clause``: N noun phrase, V verb phrase, A adverbial. ``heads_first``: context words,
    adpositions and the heads of names precede, dates run day-month-year; otherwise the reverse.
    """

    sounds: _Sounds
    clause: str
    heads_first: bool
    connector: bool = False
    capital_names: bool = True
    capital_months: bool = True


def _parts(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_GRAMMARS = {
    "Kelwic": _Grammar(
        _Sounds(_parts("k l m n b t d s w y z g h mb nd ng"), _parts("a e i o u a i")),
        "NVNA", heads_first=True, connector=True,
    ),
    "Sorsic": _Grammar(
        _Sounds(_parts("r s t v k h l n p f d st kr vr"), _parts("a e i o ö u"), ("", "", *_parts("n r s l m t"))),
        "NANV", heads_first=False, capital_months=False,
    ),
    ISOLATE: _Grammar(
        _Sounds(_parts("tl ts x q ch k p t n m w y hu"), _parts("a á i í o e"), ("", "", *_parts("c l x tz"))),
        "VNNA", heads_first=False, capital_names=False, capital_months=False,
    ),
}  # fmt: skip
_SHIFTS: dict[str, dict[str, str]] = {
    "qka": {},
    "qke": {"b": "v", "e": "é", "nd": "nj"},
    "qko": {"ng": "ŋ", "z": "j", "o": "ọ"},
    "qsa": {},
    "qse": {"ö": "ä", "f": "b", "st": "š"},
    "qso": {"h": "g", "v": "w", "ö": "ø"},
    "qit": {},
}
_LOAN_SOUNDS = _Sounds(_parts("b c d f g j l m n p r s t v"), _parts("a e i o u"), ("", "", *_parts("n r s l")))


def _form(stream: _Stream, sounds: _Sounds, shortest: int, longest: int) -> str:
    """A new word of so many syllables, in Unicode normal form C."""
    syllables = shortest + stream.below(longest - shortest + 1)
    parts = [
        stream.one_of(part) for _ in range(syllables) for part in (sounds.consonants, sounds.vowels, sounds.finals)
    ]
    return unicodedata.normalize("NFC", "".join(parts))


def _capitalised(word: str) -> str:
    return word[:1].upper() + word[1:]


# --- vocabulary -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Group:
    """Words with one use. ``weight``: their approximate share of running words (of names: of all names)."""

    size: int
    weight: float
    syllables: tuple[int, int]
    kind: str = "word"  # or name, acronym (both take the shares of names), ending
    category: str = ""


def _groups(settings: PlantedSettings) -> dict[str, _Group]:
    """The groups of every language; the order is part of the corpora, as streams are drawn in it."""
    third = settings.function_words // 3
    nouns = settings.content_words * 2 // 3
    share = settings.category_shares
    return {
        "determiner": _Group(third, 0.15, (1, 1)),
        "adposition": _Group(third, 0.11, (1, 2)),
        "particle": _Group(settings.function_words - 2 * third, 0.09, (1, 2)),
        "noun": _Group(nouns, 0.36, (2, 3)),
        "verb": _Group(settings.content_words - nouns, 0.18, (2, 3)),
        **{f"context {c}": _Group(settings.context_words, 0.1 * share[c], (2, 3)) for c in CATEGORIES},
        "month": _Group(12, 0.006, (2, 3)),
        "weekday": _Group(7, 0.002, (2, 3)),
        "era": _Group(3, 0.002, (1, 2)),
        "connector": _Group(2, 0.002, (1, 1)),
        "place head": _Group(6, 0.004, (2, 3)),
        "organisation head": _Group(12, 0.012, (2, 3)),
        **{f"ending {c}": _Group(3, 0.0, (1, 1), "ending") for c in ("PER", "LOC", "ORG")},
        "given name": _Group(settings.names, share["PER"], (2, 3), "name"),
        "name PER": _Group(settings.names, share["PER"], (2, 3), "name", "PER"),
        "name LOC": _Group(settings.names, share["LOC"], (2, 3), "name", "LOC"),
        "name ORG": _Group(settings.names, share["ORG"] * 0.7, (2, 3), "name", "ORG"),
        "acronym": _Group(max(10, settings.names // 4), share["ORG"] * 0.3, (1, 1), "acronym"),
    }


_CAPITALS = ("place head", "organisation head")
"""Words, not names, that are written like names because they are part of one."""
_NAMESAKES = {"name LOC": "name PER", "name ORG": "name LOC"}
"""Pool -> the pool that its ambiguous names come from."""


@dataclass(frozen=True)
class _Lexicon:
    """The vocabulary of one language as it is written inside a sentence: group -> words, most frequent first."""

    tables: Mapping[str, _Table]

    def frequencies(self, groups: Mapping[str, _Group], names: bool) -> dict[str, float]:
        """Word -> its share of all ordinary words, or of all names; they add up to 1."""
        found: dict[str, float] = {}
        chosen = {n: g for n, g in groups.items() if g.kind != "ending" and (g.kind != "word") == names}
        total = math.fsum(group.weight for group in chosen.values())
        for name, group in chosen.items():
            table = self.tables[name]
            for word, probability in zip(table.items, table.probabilities, strict=True):
                found[word] = found.get(word, 0.0) + probability * group.weight / total
        return found


def _spread(weights: Sequence[float], share: float, candidates: Sequence[bool]) -> list[bool]:
    """Mark candidates so that at every rank the marked ones have about ``share`` of the weight so far.

    A draw per word would leave it to the few most frequent words what is shared in running text.
    """
    marks, marked, seen = [], 0.0, 0.0
    for weight, candidate in zip(weights, candidates, strict=True):
        seen += weight
        mark = candidate and marked + weight / 2 <= share * seen
        marked += weight * mark
        marks.append(mark)
    return marks


def _zipf(size: int, exponent: float) -> list[float]:
    return [(rank + 1.0) ** -exponent for rank in range(size)]


class _Coiner:
    """Coins words, none twice in any language: two languages share a word only where it was planted."""

    def __init__(self) -> None:
        self._taken: set[str] = set()  # only asked whether it contains a word, never iterated

    def coin(self, stream: _Stream, sounds: _Sounds, group: _Group, ending: _Table | None, ending_share: float) -> str:
        shortest, longest = group.syllables
        for attempt in range(1000):
            more = attempt // 20  # short words run out: try longer ones
            if group.kind == "acronym":
                letters = range(2 + stream.below(3) + more)
                word = "".join(_capitalised(stream.one_of(sounds.consonants))[0] for _ in letters)
            else:
                word = _form(stream, sounds, shortest + more, longest + more)
                if ending and stream.chance(ending_share):
                    word += stream.pick(ending)
            if word not in self._taken:
                self._taken.add(word)
                return word
        raise AssertionError("no new word in 1000 attempts")


class _Builder:
    """Builds the lexicons of all languages of some settings."""

    def __init__(self, settings: PlantedSettings) -> None:
        self.settings = settings
        self.groups = _groups(settings)
        self.weights = {name: _zipf(g.size, settings.zipf_exponent) for name, g in self.groups.items()}
        self.coiner = _Coiner()
        self.loans = {name: self._marks(name, shares[0]) for name, shares in self._shares().items()}
        self.cognates = {
            name: self._marks(name, shares[1], [not loan for loan in self.loans[name]])
            for name, shares in self._shares().items()
        }
        self.borrowed = {name: self._marks(name, s[2], self.loans[name]) for name, s in self._shares().items()}

    def _shares(self) -> dict[str, tuple[float, float, float]]:
        """Group -> shares of (loans, words of the family, loans that the isolate has too)."""
        s = self.settings
        word = (s.loan_share, s.family_share, s.isolate_share)
        name = (s.international_share, s.family_name_share, s.isolate_international_share)
        return {n: name if g.kind in ("name", "acronym") else word for n, g in self.groups.items()}

    def _marks(self, group: str, share: float, candidates: Sequence[bool] | None = None) -> list[bool]:
        weights = self.weights[group]
        return _spread(weights, share, candidates or [True] * len(weights))

    def build(self) -> dict[str, _Lexicon]:
        """Language -> lexicon."""
        every = {name: [True] * g.size for name, g in self.groups.items()}
        nothing: dict[str, list[str]] = {name: [""] * g.size for name, g in self.groups.items()}
        shared = self._fill(nothing, self.loans, _Stream(self.settings.seed, _SHARED_WORDS), _LOAN_SOUNDS)
        families = {}
        for number, (family, grammar) in enumerate(_GRAMMARS.items()):
            stream = _Stream(self.settings.seed, _FAMILY_WORDS, number)
            if family == ISOLATE:
                families[family] = _keep(shared, self.borrowed)
            else:
                families[family] = self._fill(shared, self.cognates, stream, grammar.sounds)
        lexicons = {}
        for number, language in enumerate(LANGUAGES):
            stream = _Stream(self.settings.seed, _OWN_WORDS, number)
            sounds = _sounds(language)
            forms = self._fill(families[language.family], every, stream, sounds)
            lexicons[language.code] = self._lexicon(forms, _GRAMMARS[language.family])
        return lexicons

    def _fill(
        self, forms: Mapping[str, list[str]], wanted: Mapping[str, list[bool]], stream: _Stream, sounds: _Sounds
    ) -> dict[str, list[str]]:
        """``forms`` with a new word for every wanted place that is still empty."""
        filled: dict[str, list[str]] = {}
        for name, group in self.groups.items():
            endings = [e for e in filled.get(f"ending {group.category}", []) if e]
            table = _table(endings, _zipf(len(endings), 1.0)) if endings else None
            filled[name] = [
                form or (self.coiner.coin(stream, sounds, group, table, self.settings.ending_share) if want else "")
                for form, want in zip(forms[name], wanted[name], strict=True)
            ]
        return filled

    def _lexicon(self, forms: dict[str, list[str]], grammar: _Grammar) -> _Lexicon:
        written = {name: self._spelling(name, forms[name], grammar) for name in self.groups}
        for pool, other in _NAMESAKES.items():
            ambiguous = self._marks(pool, self.settings.ambiguous_share)
            written[pool] = [
                theirs if both else ours
                for ours, theirs, both in zip(written[pool], written[other], ambiguous, strict=True)
            ]
        return _Lexicon({name: _table(words, self.weights[name]) for name, words in written.items()})

    def _spelling(self, name: str, words: list[str], grammar: _Grammar) -> list[str]:
        kind = self.groups[name].kind
        if kind == "word":
            capital = grammar.capital_months if name in ("month", "weekday") else name in _CAPITALS
            return [_capitalised(w) for w in words] if capital and grammar.capital_names else words
        if kind == "ending" or (grammar.capital_names and kind == "acronym"):
            return words
        if grammar.capital_names:
            return [_capitalised(w) for w in words]
        # Names that the isolate borrowed keep their capital, so that they look the same as elsewhere.
        borrowed = self.borrowed[name]
        return [_capitalised(w) if b else w.lower() for w, b in zip(words, borrowed, strict=True)]


def _keep(forms: Mapping[str, list[str]], marks: Mapping[str, list[bool]]) -> dict[str, list[str]]:
    return {name: [w if m else "" for w, m in zip(words, marks[name], strict=True)] for name, words in forms.items()}


def _sounds(language: Language) -> _Sounds:
    return _GRAMMARS[language.family].sounds.shifted(_SHIFTS[language.code])


@lru_cache(maxsize=4)
def _lexicons(settings: PlantedSettings) -> dict[str, _Lexicon]:
    return _Builder(settings).build()


# --- sentences ------------------------------------------------------------------------------------

_ATTEMPTS = 100
"""How often a sentence that exists already is replaced before it is taken all the same."""

_CLASSES = 4
"""Noun classes and verb classes of every language."""

Phrase = list[tuple[str, str]]
"""Words with their tags."""


def _outside(*words: str) -> Phrase:
    return [(word, OUTSIDE) for word in words]


def _entity(words: Sequence[str], category: str) -> Phrase:
    return [(word, f"{'I' if i else 'B'}-{category}") for i, word in enumerate(words)]


class _Speaker:
    """Makes sentences of one language."""

    def __init__(self, settings: PlantedSettings, language: Language, stream: _Stream) -> None:
        self.settings = settings
        self.grammar = _GRAMMARS[language.family]
        self.sounds = _sounds(language)
        self.tables = _lexicons(settings)[language.code].tables
        self.stream = stream
        self.categories = _table(CATEGORIES, tuple(settings.category_shares.values()))
        self.lengths = _length_table(settings)

    def sentence(self) -> Sentence:
        """One sentence of at least one word; only the first word has a capital for its place."""
        length = 1 if self.stream.chance(self.settings.one_word_share) else int(self.stream.pick(self.lengths))
        silent = self.stream.chance(self.settings.no_entity_share)
        full_stop = length > 2
        phrase: Phrase = []
        room = length - full_stop
        while len(phrase) < room:
            phrase += self._clause(room - len(phrase), silent)
            if room - len(phrase) > 1 and self.stream.chance(0.35):
                phrase += _outside(",")
        if full_stop:
            phrase += _outside("?" if self.stream.chance(0.05) else ".")
        words, tags = zip(*phrase, strict=True)
        return (_capitalised(words[0]), *words[1:]), tags

    def _pick(self, group: str) -> str:
        return self.stream.pick(self.tables[group])

    def _pair(self, group: str, companions: str) -> tuple[str, str]:
        """A word and a companion that mostly agrees with it, as noun classes do: by rank, so alike in relatives."""
        table, others = self.tables[group], self.tables[companions]
        rank = self.stream.index(table)
        agrees = self.stream.chance(self.settings.agreement_share)
        companion = others.items[rank % _CLASSES] if agrees else self.stream.pick(others)
        return table.items[rank], companion

    def _in_order(self, head: Phrase, rest: Phrase) -> Phrase:
        return head + rest if self.grammar.heads_first else rest + head

    def _clause(self, room: int, silent: bool) -> Phrase:
        """A clause of one to ``room`` words."""
        phrase: Phrase = []
        for role in self.grammar.clause:
            left = room - len(phrase)
            if left and (role != "A" or self.stream.chance(0.6)):
                phrase += self._phrase(role, left, silent)
        return phrase

    def _phrase(self, role: str, room: int, silent: bool) -> Phrase:
        if role == "V":
            verb, particle = self._pair("verb", "particle")
            with_particle = room > 1 and self.stream.chance(0.5)
            return self._in_order(_outside(particle), _outside(verb)) if with_particle else _outside(verb)
        if role == "A" and room > 1:
            return self._in_order(_outside(self._pick("adposition")), self._noun_phrase(room - 1, silent))
        return self._noun_phrase(room, silent)

    def _noun_phrase(self, room: int, silent: bool) -> Phrase:
        """With or without an entity, one to ``room`` words."""
        if not silent and self.stream.chance(self.settings.entity_share):
            phrase = self._announced_entity()
            if len(phrase) <= room:
                return phrase
        noun, determiner = self._pair("noun", "determiner")
        phrase = _outside(_capitalised(noun) if self.stream.chance(self.settings.capital_noise) else noun)
        if self.stream.chance(self.settings.context_noise):
            phrase = self._in_order(_outside(self._context()), phrase)
        elif self.stream.chance(0.05):
            phrase = _outside(self._number(), *(word for word, _ in phrase))
        elif self.stream.chance(0.5):
            phrase = self._in_order(_outside(determiner), phrase)
        return phrase if len(phrase) <= room else phrase[:1]

    def _context(self, category: str = "") -> str:
        """A context word of the category, or of any; sometimes of a wrong one."""
        if not category or self.stream.chance(self.settings.context_error):
            category = self.stream.pick(self.categories)
        return self._pick(f"context {category}")

    def _announced_entity(self) -> Phrase:
        category = self.stream.pick(self.categories)
        entity = _entity(getattr(self, f"_{category.lower()}")(), category)
        if not self.stream.chance(self.settings.context_share):
            return entity
        head = _outside(self._context(category))
        if self.stream.chance(self.settings.gap_share):
            head = self._in_order(head, _outside(self._pick("determiner")))
        return self._in_order(head, entity)

    def _number(self) -> str:
        """A year or a smaller number, so that a year alone is no date."""
        return self._year() if self.stream.chance(0.3) else str(1 + self.stream.below(300))

    def _year(self) -> str:
        return str(1950 + self.stream.below(75))

    def _name(self, pool: str, category: str) -> str:
        """A name of the pool, or a new one of the same make."""
        if not self.stream.chance(self.settings.new_name_share):
            return self._pick(pool)
        name = _form(self.stream, self.sounds, 2, 3)
        if category and self.stream.chance(self.settings.ending_share):
            name += self._pick(f"ending {category}")
        return _capitalised(name) if self.grammar.capital_names else name

    def _per(self) -> list[str]:
        draw = self.stream.below(20)
        given, family = self._name("given name", ""), self._name("name PER", "PER")
        if draw < 4:
            return [given]
        if draw < 8:
            return [family]
        names = [given, family] if draw < 17 else [given, self._name("given name", ""), family]
        return names if self.grammar.heads_first else names[::-1]

    def _loc(self) -> list[str]:
        name = self._name("name LOC", "LOC")
        if not self.stream.chance(0.2):
            return [name]
        head = self._pick("place head")
        return [head, name] if self.grammar.heads_first else [name, head]

    def _org(self) -> list[str]:
        draw = self.stream.below(20)
        if draw < 5:
            return [self._pick("acronym")]
        name = self._name("name LOC", "LOC") if self.stream.chance(0.3) else self._name("name ORG", "ORG")
        if draw < 9:
            return [name]
        words = [self._pick("organisation head"), name]
        if self.grammar.connector and not 15 <= draw < 18:
            words.insert(1, self._pick("connector"))
        if draw >= 18:
            words.append(self._name("name ORG", "ORG"))
        return words if self.grammar.heads_first else words[::-1]

    def _date(self) -> list[str]:
        draw = self.stream.below(20)
        if draw < 2:
            return [self._year()]
        if draw < 6:
            return [self._pick("weekday")]
        if draw < 8:
            words = [self._pick("era"), self._year()]
        else:
            words = [str(1 + self.stream.below(31)), self._pick("month"), self._year()]
            words = words[1:] if draw < 12 else words[:2] if draw < 16 else words
        return words if self.grammar.heads_first else words[::-1]


def _length_table(settings: PlantedSettings) -> _Table:
    """Sentence lengths in words: a log-normal distribution, cut to 2 ... ``longest``."""
    sigma = settings.length_sigma
    mu = math.log(settings.mean_length) - sigma**2 / 2
    lengths = range(2, settings.longest + 1)
    return _table([str(n) for n in lengths], [math.exp(-(((math.log(n) - mu) / sigma) ** 2) / 2) / n for n in lengths])


def corpus(settings: PlantedSettings, code: str) -> dict[str, list[Sentence]]:
    """The labelled sentences of a language by split: train, dev, test. No sentence comes twice.

    (Unless the vocabulary is so small that new sentences run out.)
    """
    number, language = _find(code)
    speaker = _Speaker(settings, language, _Stream(settings.seed, _LABELLED, number))
    seen: set[tuple[str, ...]] = set()

    def new_sentence() -> Sentence:
        for _ in range(_ATTEMPTS):
            sentence = speaker.sentence()
            if sentence[0] not in seen:
                break
        seen.add(sentence[0])
        return sentence

    return {split: [new_sentence() for _ in range(size)] for split, size in settings.splits.items()}


def text(settings: PlantedSettings, code: str) -> list[str]:
    """Unlabelled sentences of a language, words joined by spaces; drawn apart from the labelled ones."""
    number, language = _find(code)
    speaker = _Speaker(settings, language, _Stream(settings.seed, _UNLABELLED, number))
    return [" ".join(speaker.sentence()[0]) for _ in range(settings.text_sentences)]


def _find(code: str) -> tuple[int, Language]:
    codes = [language.code for language in LANGUAGES]
    _check(code in codes, "language", code, f"one of {', '.join(codes)}")
    return codes.index(code), LANGUAGES[codes.index(code)]


# --- truth ------------------------------------------------------------------------------------------


def relatedness(settings: PlantedSettings | None = None) -> list[dict[str, str | float]]:
    """The planted truth: one row per ordered pair of languages.

    ``relation`` is same, family, unrelated (the other family) or isolate (one of the two is the
    isolate). ``word_overlap`` and ``name_overlap`` are the shares, by expected frequency, of the
    target's ordinary words and of its names that the source's lexicon has too; measured on the
    lexicons as they came out, with names as they are written.
    """
    settings = settings or PlantedSettings()
    groups = _groups(settings)
    lexicons = _lexicons(settings)
    words, names = ({c: x.frequencies(groups, kind) for c, x in lexicons.items()} for kind in (False, True))
    return [
        {
            "source": source.code,
            "target": target.code,
            "relation": _relation(source, target),
            "word_overlap": _overlap(words[source.code], words[target.code]),
            "name_overlap": _overlap(names[source.code], names[target.code]),
        }
        for source in LANGUAGES
        for target in LANGUAGES
    ]


def _relation(source: Language, target: Language) -> str:
    if source == target:
        return "same"
    if ISOLATE in (source.family, target.family):
        return "isolate"
    return "family" if source.family == target.family else "unrelated"


def _overlap(source: Mapping[str, float], target: Mapping[str, float]) -> float:
    """Rounded: sums of floats may differ in the last digits between machines."""
    return round(math.fsum(share for word, share in target.items() if word in source), 6)


# --- files --------------------------------------------------------------------------------------------


def write(folder: Path, settings: PlantedSettings | None = None) -> Path:
    """Write ``<language>/{train,dev,test,text}.txt``, relatedness.csv and planted.json into ``folder``.

    All or nothing: the folder appears complete, by one rename. A folder that holds the same
    settings is left as it is; raises InputError where it holds anything else.
    """
    settings = settings or PlantedSettings()
    folder = Path(folder)
    if _holds(folder, settings):
        return folder
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        temporary.mkdir(parents=True)
        for name, content in _files(settings):
            path = temporary / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content.encode("utf-8"))
        try:
            temporary.rename(folder)
        except OSError:
            if not _holds(folder, settings):  # else another process was faster
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _holds(folder: Path, settings: PlantedSettings) -> bool:
    """Whether the folder has the corpora of these settings; False where there is none or an empty one."""
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != json.loads(json.dumps(_record(settings))):
        raise InputError(f"{folder} exists and holds something else than these planted corpora; remove or rename it")
    return True


def _files(settings: PlantedSettings) -> Iterator[tuple[str, str]]:
    """Path inside the folder and content of every file."""
    for language in LANGUAGES:
        for split, sentences in corpus(settings, language.code).items():
            yield f"{language.code}/{split}.txt", "\n".join(map(_conll, sentences))
        yield f"{language.code}/{TEXT_FILE}", "".join(f"{line}\n" for line in text(settings, language.code))
    table = io.StringIO()
    rows = relatedness(settings)
    writer = csv.DictWriter(table, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    yield RELATEDNESS_FILE, table.getvalue()
    yield SETTINGS_FILE, json.dumps(_record(settings), indent=2) + "\n"


def _conll(sentence: Sentence) -> str:
    return "".join(f"{word} {tag}\n" for word, tag in zip(*sentence, strict=True))
