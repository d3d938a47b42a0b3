"""The sentences of the planted languages: word order, entities and the words that announce them."""

import math
from collections.abc import Sequence

from nertransfer.corpora.languages import Language
from nertransfer.corpora.planted.settings import CATEGORIES, PlantedSettings
from nertransfer.corpora.planted.words import (
    GRAMMARS,
    Stream,
    Table,
    capitalised,
    lexicons_of,
    new_form,
    sounds_of,
    table_of,
)
from nertransfer.corpora.words import OUTSIDE

Sentence = tuple[tuple[str, ...], tuple[str, ...]]
"""Words and their IOB2 tags, equal in number."""

_CLASSES = 4
"""Noun classes and verb classes of every language."""

Phrase = list[tuple[str, str]]
"""Words with their tags."""


def _outside(*words: str) -> Phrase:
    return [(word, OUTSIDE) for word in words]


def _entity(words: Sequence[str], category: str) -> Phrase:
    return [(word, f"{'I' if i else 'B'}-{category}") for i, word in enumerate(words)]


class Speaker:
    """Makes sentences of one language."""

    def __init__(self, settings: PlantedSettings, language: Language, stream: Stream) -> None:
        self.settings = settings
        self.grammar = GRAMMARS[language.family]
        self.sounds = sounds_of(language)
        self.tables = lexicons_of(settings)[language.code].tables
        self.stream = stream
        self.categories = table_of(CATEGORIES, tuple(settings.category_shares.values()))
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
        return (capitalised(words[0]), *words[1:]), tags

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
        phrase = _outside(capitalised(noun) if self.stream.chance(self.settings.capital_noise) else noun)
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
        name = new_form(self.stream, self.sounds, 2, 3)
        if category and self.stream.chance(self.settings.ending_share):
            name += self._pick(f"ending {category}")
        return capitalised(name) if self.grammar.capital_names else name

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


def _length_table(settings: PlantedSettings) -> Table:
    """Sentence lengths in words: a log-normal distribution, cut to 2 ... ``longest``."""
    sigma = settings.length_sigma
    mu = math.log(settings.mean_length) - sigma**2 / 2
    lengths = range(2, settings.longest + 1)
    return table_of(
        [str(n) for n in lengths], [math.exp(-(((math.log(n) - mu) / sigma) ** 2) / 2) / n for n in lengths]
    )
