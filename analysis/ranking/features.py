"""What is known of a pair of languages before anything is fine-tuned: texts and facts -> numbers. Pure.

No target labels are used, except by ``entity_overlap``, for which there must be some. What is not known is NaN.
"""

import hashlib
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from analysis.embeddings.geometry import centre_cosine, cosine, covariance_cosine
from analysis.ranking.uriel import Typology
from analysis.transfer.matrices import ISOLATE
from analysis.transfer.overlap import Forms
from nertransfer.corpora.corpus import Split
from nertransfer.corpora.languages import LANGUAGES
from nertransfer.corpora.words import OUTSIDE

FEATURES = {
    "train_size": "sentences of the source's train split, natural logarithm",
    "size_ratio": "the source's train sentences by the target's sentences, natural logarithm",
    "word_overlap": "share of the target's words that stand in the source's train text, every occurrence",
    "subtoken_overlap": "the same with the sub-tokens of a tokenizer",
    "entity_overlap": "share of the target's labelled entity tokens that the source's train split has",
    "name_overlap": "distinct words of the target's text that are names in the source's train split, by the geometric "
    "mean of the number of words and of names",
    "source_fertility": "sub-tokens by word of the source's text",
    "target_fertility": "sub-tokens by word of the target's text",
    "fertility_distance": "difference of the two fertilities",
    "source_unknown": "share of the source's sub-tokens that the vocabulary lacks",
    "target_unknown": "the same of the target's",
    "centre_similarity": "cosine of the mean hidden states of the two texts under an encoder",
    "covariance_similarity": "cosine of the covariance matrices of the two texts' hidden states",
    "character_similarity": "cosine of the frequencies of character trigrams",
    "source_variety": "type-token ratio of the source's text",
    "target_variety": "type-token ratio of the target's text",
    "variety_distance": "difference of the two type-token ratios",
    "same_script": "1 where both are written in the same script, else 0",
    "genetic_distance": "0: the same groups of languages; 1: none in common",
    "geographic_distance": "great circle between the two places, in 1,000 km",
    "syntactic_distance": "1 - cosine of URIEL's syntactic features",
    "phonological_distance": "1 - cosine of URIEL's phonological features",
    "inventory_distance": "1 - cosine of URIEL's inventories of sounds",
    "featural_distance": "1 - cosine of all of URIEL's features",
}
"""What `of_pair` gives, in its order, and what each means."""

MEAN_TRANSFER = "mean_transfer"
"""Points of F1 by which a source is better than the average source, on targets other than the one in question."""

Subtokens = Callable[[str], Sequence[str | None]]
"""Gives the sub-tokens of a word; None: one that the vocabulary lacks."""

States = Callable[[Sequence[Sequence[str]]], np.ndarray]
"""Gives hidden states of a text: a vector for each of some of its sentences, [sentences, size]."""

CHUNK = 1000
"""Words over which a type-token ratio is taken: it falls with the length of a text, so lengths must be the same."""
LEAST_FORMS = 100
"""Distinct words of a text below which names in common are left to chance."""
HASH_BYTES = 3
"""Of a word form: a set of hashes tells which forms two languages share, and no text can be read from it."""
_EARTH_RADIUS = 6.371  # 1,000 km


@dataclass(frozen=True)
class Profile:
    """An unlabelled text, counted. ``words``, ``trigrams`` and ``subtokens`` by occurrences, None standing for all
    unknown sub-tokens; ``variety``: the type-token ratio; ``script`` as Unicode names it, empty without a letter.
    Sub-tokens may not have been counted. ``states`` (`States`): under an encoder, or None."""

    sentences: int
    words: Counter[str]
    trigrams: Counter[str]
    variety: float
    script: str
    subtokens: Counter[str | None] | None = None
    states: np.ndarray | None = None

    @cached_property
    def _trigram_length(self) -> float:
        return math.hypot(*self.trigrams.values())

    def character_similarity(self, other: "Profile") -> float:
        """Cosine of the frequencies of character trigrams; NaN where a text has none."""
        if not self.trigrams or not other.trigrams:
            return math.nan
        shared = self.trigrams.keys() & other.trigrams.keys()
        product = sum(self.trigrams[trigram] * other.trigrams[trigram] for trigram in shared)
        return product / (self._trigram_length * other._trigram_length)

    @cached_property
    def forms(self) -> frozenset[int]:
        """Hashes of the distinct words."""
        return frozenset(map(hashed, self.words))

    @property
    def fertility(self) -> float:
        """Sub-tokens by word (Rust et al. 2021); NaN where they have not been counted."""
        return self.subtokens.total() / self.words.total() if self.subtokens else math.nan

    @property
    def unknown(self) -> float:
        """Share of the sub-tokens that are unknown, from 0 to 1; NaN where they have not been counted."""
        return self.subtokens[None] / self.subtokens.total() if self.subtokens else math.nan


def profile(
    sentences: Iterable[Sequence[str]], subtokens: Subtokens | None = None, states: States | None = None
) -> Profile:
    """Count sentences of words. Words without a letter (numbers, punctuation) do not count.

    A word that tokenises to nothing is one unknown sub-token, as where it is scored.
    """
    sentences = list(sentences)
    running = [word for sentence in sentences for word in sentence if any(map(str.isalpha, word))]
    words = Counter(running)
    trigrams: Counter[str] = Counter()
    pieces: Counter[str | None] = Counter()
    letters: Counter[str] = Counter()
    for word, n in words.items():
        padded = f" {word.lower()} "
        for i in range(len(padded) - 2):
            trigrams[padded[i : i + 3]] += n
        for letter in word:
            letters[letter] += n
        if subtokens is not None:
            for piece in subtokens(word) or [None]:
                pieces[piece] += n
    return Profile(
        len(sentences), words, trigrams, _variety(running), _script(letters),
        pieces if subtokens is not None else None, states(sentences) if states is not None else None,
    )  # fmt: skip


def _variety(running: Sequence[str]) -> float:
    """Mean type-token ratio of whole chunks of `CHUNK` words (Johnson 1944); of all words where there are fewer."""
    if not running:
        return math.nan
    bounds = [*range(0, len(running) - len(running) % CHUNK + 1, CHUNK)] if len(running) >= CHUNK else [0, len(running)]
    return sum(len(set(running[a:b])) for a, b in pairwise(bounds)) / bounds[-1]


def _script(letters: Mapping[str, int]) -> str:
    """Script of most letters: the first word of a letter's Unicode name, such as LATIN."""
    scripts: Counter[str] = Counter()
    for letter, n in letters.items():
        if letter.isalpha():
            scripts[unicodedata.name(letter, "UNNAMED").split()[0]] += n
    return max(scripts, key=lambda name: (scripts[name], name), default="")


def hashed(word: str) -> int:
    """A number of `HASH_BYTES` bytes for a word form, always the same."""
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=HASH_BYTES).digest(), "big")


def names_of(split: Split) -> frozenset[int]:
    """Hashes of the words that are entity tokens in at least half of their occurrences in a labelled split."""
    counts: Counter[str] = Counter()
    for sentence in split.sentences:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            counts[word] += 1 if tag != OUTSIDE else -1
    return frozenset(hashed(word) for word, n in counts.items() if n >= 0 and word[:1].isalpha())


@dataclass(frozen=True)
class Known:
    """What is known of a language. ``text``: of its train split, or given for a new target; ``names``: `names_of` its
    train split; ``entities``: entity tokens of its train split; ``labels``: entity tokens of labelled sentences that
    are neither train nor test; ``features``: vectors of URIEL's by kind (`analysis.ranking.uriel`)."""

    text: Profile | None = None
    names: frozenset[int] | None = None
    entities: Forms | None = None
    labels: Forms | None = None
    script: str = ""
    lineage: tuple[str, ...] = ()
    place: tuple[float, float] | None = None
    features: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Aids:
    """What is asked for beside texts: ``subtokens`` and ``states`` of a model, ``typology`` by language."""

    subtokens: Subtokens | None = None
    states: States | None = None
    typology: Mapping[str, Typology] = field(default_factory=dict)


def facts(code: str, family: str = "", typology: Typology | None = None, **counted: object) -> Known:
    """What URIEL says of a language, else the project's table; its lineage is ``family`` where neither has one.

    Parts of a family are separated by " / ", the widest first. ``counted``: the other fields of `Known`.
    """
    there = LANGUAGES.get(code)
    lineage = there.lineage if there is not None else tuple(part.strip() for part in family.split("/") if part.strip())
    place = there.place if there is not None else None
    return Known(
        script=there.script.upper() if there is not None else "",
        lineage=typology.lineage or lineage if typology is not None else lineage,
        place=typology.place if typology is not None else place,
        features=typology.features if typology is not None else {},
        **counted,  # type: ignore[arg-type]
    )


def of_pair(source: Known, target: Known, sizes: tuple[int, int] | None = None) -> list[float]:
    """The values of `FEATURES` for two different languages; NaN where something is not known.

    ``sizes``: least and most sentences that the target's text is taken to have, for a text of any length may be given
    but only those of the study were seen.
    """
    ours, theirs = source.text, target.text
    found = dict.fromkeys(FEATURES, math.nan)
    if ours is not None:
        found["train_size"] = math.log(max(ours.sentences, 1))
        found["source_variety"] = ours.variety
    if theirs is not None:
        found["target_variety"] = theirs.variety
    if ours is not None and theirs is not None:
        least, most = sizes or (1, theirs.sentences)
        found["size_ratio"] = found["train_size"] - math.log(max(min(max(theirs.sentences, least), most), 1))
        found["word_overlap"] = _share(theirs.words, ours.words)
        found["character_similarity"] = ours.character_similarity(theirs)
        found["variety_distance"] = abs(ours.variety - theirs.variety)
        if ours.subtokens is not None and theirs.subtokens is not None:
            found["subtoken_overlap"] = _share(theirs.subtokens, ours.subtokens.keys() - {None})
        found["source_fertility"], found["target_fertility"] = ours.fertility, theirs.fertility
        found["fertility_distance"] = abs(ours.fertility - theirs.fertility)
        found["source_unknown"], found["target_unknown"] = ours.unknown, theirs.unknown
        if ours.states is not None and theirs.states is not None:
            found["centre_similarity"] = centre_cosine(ours.states, theirs.states)
            found["covariance_similarity"] = covariance_cosine(ours.states, theirs.states)
    if source.names and theirs is not None and len(theirs.forms) >= LEAST_FORMS:
        found["name_overlap"] = len(source.names & theirs.forms) / math.sqrt(len(source.names) * len(theirs.forms))
    if source.entities is not None and target.labels is not None:
        found["entity_overlap"] = _share(target.labels, source.entities)
    scripts = [(known.text.script if known.text is not None else "") or known.script for known in (source, target)]
    if all(scripts):
        found["same_script"] = float(scripts[0] == scripts[1])
    found["genetic_distance"] = genetic_distance(source.lineage, target.lineage)
    if source.place is not None and target.place is not None:
        found["geographic_distance"] = great_circle(source.place, target.place)
    for kind in source.features.keys() & target.features.keys():
        found[f"{kind}_distance"] = 1 - cosine(source.features[kind], target.features[kind])
    return list(found.values())


def _share(asked: Mapping, known: Container) -> float:
    """Share of the occurrences in ``asked`` whose form is in ``known``; NaN without any."""
    total = sum(asked.values())
    return sum(n for form, n in asked.items() if form in known) / total if total else math.nan


def genetic_distance(a: Sequence[str], b: Sequence[str]) -> float:
    """1 - (groups in common) / (mean number of groups), from 0 to 1; NaN where one is not known.

    The groups are those of a lineage, the widest first. An isolate has nothing in common with another language.
    """
    if not a or not b:
        return math.nan
    common = 0
    for one, other in zip(a, b, strict=False):
        if one != other or one == ISOLATE:
            break
        common += 1
    return 1 - 2 * common / (len(a) + len(b))


def great_circle(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Distance of two places (latitude, longitude in degrees) in 1,000 km, by the haversine formula."""
    (north, east), (other_north, other_east) = (map(math.radians, place) for place in (a, b))
    half = (
        math.sin((other_north - north) / 2) ** 2
        + math.cos(north) * math.cos(other_north) * math.sin((other_east - east) / 2) ** 2
    )
    return 2 * _EARTH_RADIUS * math.asin(min(1.0, math.sqrt(half)))
