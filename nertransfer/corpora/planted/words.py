"""The words of the planted languages: sounds, coined forms, and a lexicon for each language.

All chance comes from PCG64 streams with one explicit `numpy.random.SeedSequence` key per purpose and language, so the
same settings give the same words everywhere.
"""

import math
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

from nertransfer.corpora.languages import Language
from nertransfer.corpora.planted.settings import CATEGORIES, ISOLATE, LANGUAGES, PlantedSettings


@dataclass(frozen=True)
class Table:
    """Items to draw from, and their cumulative probabilities."""

    items: tuple[str, ...]
    cumulative: tuple[float, ...]

    @property
    def probabilities(self) -> list[float]:
        return [b - a for a, b in zip((0.0, *self.cumulative), self.cumulative, strict=False)]


def table_of(items: Sequence[str], weights: Sequence[float]) -> Table:
    total = math.fsum(weights)
    # The last bound is 1 exactly, so that no draw falls behind it.
    return Table(tuple(items), (*(w / total for w in list(accumulate(weights))[:-1]), 1.0))


class Stream:
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

    def index(self, table: Table) -> int:
        return bisect_right(table.cumulative, next(self._values))

    def pick(self, table: Table) -> str:
        return table.items[self.index(table)]


# Purposes: first numbers of the key of a stream.
_SHARED_WORDS, _FAMILY_WORDS, _OWN_WORDS, LABELLED, UNLABELLED = range(5)


@dataclass(frozen=True)
class Sounds:
    """Parts of a syllable: consonants, vowels, and finals (an empty one: the syllable is open)."""

    consonants: tuple[str, ...]
    vowels: tuple[str, ...]
    finals: tuple[str, ...] = ("",)

    def shifted(self, shifts: Mapping[str, str]) -> "Sounds":
        """The same with some sounds replaced: a language among its relatives."""
        return Sounds(*(tuple(shifts.get(s, s) for s in part) for part in (self.consonants, self.vowels, self.finals)))


@dataclass(frozen=True)
class Grammar:
    """Word order and spelling: traits of a family.

    ``clause``: N noun phrase, V verb phrase, A adverbial. ``heads_first``: context words,
    adpositions and the heads of names precede, dates run day-month-year; otherwise the reverse.
    """

    sounds: Sounds
    clause: str
    heads_first: bool
    connector: bool = False
    capital_names: bool = True
    capital_months: bool = True


def _parts(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GRAMMARS = {
    "Kelwic": Grammar(
        Sounds(_parts("k l m n b t d s w y z g h mb nd ng"), _parts("a e i o u a i")),
        "NVNA", heads_first=True, connector=True,
    ),
    "Sorsic": Grammar(
        Sounds(_parts("r s t v k h l n p f d st kr vr"), _parts("a e i o ö u"), ("", "", *_parts("n r s l m t"))),
        "NANV", heads_first=False, capital_months=False,
    ),
    ISOLATE: Grammar(
        Sounds(_parts("tl ts x q ch k p t n m w y hu"), _parts("a á i í o e"), ("", "", *_parts("c l x tz"))),
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
_LOAN_SOUNDS = Sounds(_parts("b c d f g j l m n p r s t v"), _parts("a e i o u"), ("", "", *_parts("n r s l")))


def new_form(stream: Stream, sounds: Sounds, shortest: int, longest: int) -> str:
    """A new word of so many syllables, in Unicode normal form C."""
    syllables = shortest + stream.below(longest - shortest + 1)
    parts = [
        stream.one_of(part) for _ in range(syllables) for part in (sounds.consonants, sounds.vowels, sounds.finals)
    ]
    return unicodedata.normalize("NFC", "".join(parts))


def capitalised(word: str) -> str:
    return word[:1].upper() + word[1:]


@dataclass(frozen=True)
class Group:
    """Words with one use. ``weight``: their approximate share of running words (of names: of all names)."""

    size: int
    weight: float
    syllables: tuple[int, int]
    kind: str = "word"  # or name, acronym (both take the shares of names), ending
    category: str = ""


def groups_of(settings: PlantedSettings) -> dict[str, Group]:
    """The groups of every language; the order is part of the corpora, as streams are drawn in it."""
    third = settings.function_words // 3
    nouns = settings.content_words * 2 // 3
    share = settings.category_shares
    return {
        "determiner": Group(third, 0.15, (1, 1)),
        "adposition": Group(third, 0.11, (1, 2)),
        "particle": Group(settings.function_words - 2 * third, 0.09, (1, 2)),
        "noun": Group(nouns, 0.36, (2, 3)),
        "verb": Group(settings.content_words - nouns, 0.18, (2, 3)),
        **{f"context {c}": Group(settings.context_words, 0.1 * share[c], (2, 3)) for c in CATEGORIES},
        "month": Group(12, 0.006, (2, 3)),
        "weekday": Group(7, 0.002, (2, 3)),
        "era": Group(3, 0.002, (1, 2)),
        "connector": Group(2, 0.002, (1, 1)),
        "place head": Group(6, 0.004, (2, 3)),
        "organisation head": Group(12, 0.012, (2, 3)),
        **{f"ending {c}": Group(3, 0.0, (1, 1), "ending") for c in ("PER", "LOC", "ORG")},
        "given name": Group(settings.names, share["PER"], (2, 3), "name"),
        "name PER": Group(settings.names, share["PER"], (2, 3), "name", "PER"),
        "name LOC": Group(settings.names, share["LOC"], (2, 3), "name", "LOC"),
        "name ORG": Group(settings.names, share["ORG"] * 0.7, (2, 3), "name", "ORG"),
        "acronym": Group(max(10, settings.names // 4), share["ORG"] * 0.3, (1, 1), "acronym"),
    }


_CAPITALS = ("place head", "organisation head")
"""Words, not names, that are written like names because they are part of one."""
_NAMESAKES = {"name LOC": "name PER", "name ORG": "name LOC"}
"""Pool -> the pool that its ambiguous names come from."""


@dataclass(frozen=True)
class Lexicon:
    """The vocabulary of one language as it is written inside a sentence: group -> words, most frequent first."""

    tables: Mapping[str, Table]

    def frequencies(self, groups: Mapping[str, Group], names: bool) -> dict[str, float]:
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

    def coin(self, stream: Stream, sounds: Sounds, group: Group, ending: Table | None, ending_share: float) -> str:
        shortest, longest = group.syllables
        for attempt in range(1000):
            more = attempt // 20  # short words run out: try longer ones
            if group.kind == "acronym":
                letters = range(2 + stream.below(3) + more)
                word = "".join(capitalised(stream.one_of(sounds.consonants))[0] for _ in letters)
            else:
                word = new_form(stream, sounds, shortest + more, longest + more)
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
        self.groups = groups_of(settings)
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

    def build(self) -> dict[str, Lexicon]:
        """Language -> lexicon."""
        every = {name: [True] * g.size for name, g in self.groups.items()}
        nothing: dict[str, list[str]] = {name: [""] * g.size for name, g in self.groups.items()}
        shared = self._fill(nothing, self.loans, Stream(self.settings.seed, _SHARED_WORDS), _LOAN_SOUNDS)
        families = {}
        for number, (family, grammar) in enumerate(GRAMMARS.items()):
            stream = Stream(self.settings.seed, _FAMILY_WORDS, number)
            if family == ISOLATE:
                families[family] = _keep(shared, self.borrowed)
            else:
                families[family] = self._fill(shared, self.cognates, stream, grammar.sounds)
        lexicons = {}
        for number, language in enumerate(LANGUAGES):
            stream = Stream(self.settings.seed, _OWN_WORDS, number)
            sounds = sounds_of(language)
            forms = self._fill(families[language.family], every, stream, sounds)
            lexicons[language.code] = self._lexicon(forms, GRAMMARS[language.family])
        return lexicons

    def _fill(
        self, forms: Mapping[str, list[str]], wanted: Mapping[str, list[bool]], stream: Stream, sounds: Sounds
    ) -> dict[str, list[str]]:
        """``forms`` with a new word for every wanted place that is still empty."""
        filled: dict[str, list[str]] = {}
        for name, group in self.groups.items():
            endings = [e for e in filled.get(f"ending {group.category}", []) if e]
            table = table_of(endings, _zipf(len(endings), 1.0)) if endings else None
            filled[name] = [
                form or (self.coiner.coin(stream, sounds, group, table, self.settings.ending_share) if want else "")
                for form, want in zip(forms[name], wanted[name], strict=True)
            ]
        return filled

    def _lexicon(self, forms: dict[str, list[str]], grammar: Grammar) -> Lexicon:
        written = {name: self._spelling(name, forms[name], grammar) for name in self.groups}
        for pool, other in _NAMESAKES.items():
            ambiguous = self._marks(pool, self.settings.ambiguous_share)
            written[pool] = [
                theirs if both else ours
                for ours, theirs, both in zip(written[pool], written[other], ambiguous, strict=True)
            ]
        return Lexicon({name: table_of(words, self.weights[name]) for name, words in written.items()})

    def _spelling(self, name: str, words: list[str], grammar: Grammar) -> list[str]:
        kind = self.groups[name].kind
        if kind == "word":
            capital = grammar.capital_months if name in ("month", "weekday") else name in _CAPITALS
            return [capitalised(w) for w in words] if capital and grammar.capital_names else words
        if kind == "ending" or (grammar.capital_names and kind == "acronym"):
            return words
        if grammar.capital_names:
            return [capitalised(w) for w in words]
        # Names that the isolate borrowed keep their capital, so that they look the same as elsewhere.
        borrowed = self.borrowed[name]
        return [capitalised(w) if b else w.lower() for w, b in zip(words, borrowed, strict=True)]


def _keep(forms: Mapping[str, list[str]], marks: Mapping[str, list[bool]]) -> dict[str, list[str]]:
    return {name: [w if m else "" for w, m in zip(words, marks[name], strict=True)] for name, words in forms.items()}


def sounds_of(language: Language) -> Sounds:
    return GRAMMARS[language.family].sounds.shifted(_SHIFTS[language.code])


@lru_cache(maxsize=4)
def lexicons_of(settings: PlantedSettings) -> dict[str, Lexicon]:
    return _Builder(settings).build()
