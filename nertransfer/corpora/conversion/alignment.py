"""Spans of characters, and strings, of a sentence whose words are known -> spans of words. Pure.

White space never counts: it may stand elsewhere in the text than between the words.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence

from nertransfer.core.errors import InputError
from nertransfer.corpora.conversion.schemes import Span

REFUSE, WIDEN = "refuse", "widen"
"""What happens to a span that covers a part of a word: an error, or the whole word is taken."""


def words_of_characters(text: str, words: Sequence[str], where: str) -> list[int]:
    """Which word every character of ``text`` belongs to, -1 for white space.

    Raises InputError where the text is not that of the words.
    """
    found = [-1] * len(text)
    characters = [(i, character) for i, character in enumerate(text) if not character.isspace()]
    at = 0
    for number, word in enumerate(words):
        own = [character for character in word if not character.isspace()]
        there = [character for _, character in characters[at : at + len(own)]]
        if own != there:
            raise InputError(
                f"{where}: the text goes on with {_piece(text, characters, at)}, and the corpus has {word!r} there"
            )
        for i, _ in characters[at : at + len(own)]:
            found[i] = number
        at += len(own)
    if at < len(characters):
        rest = _piece(text, characters, at)
        raise InputError(f"{where}: the text goes on with {rest}, and the sentence of the corpus has ended")
    return found


def _piece(text: str, characters: Sequence[tuple[int, str]], at: int) -> str:
    return repr(text[characters[at][0] :][:30]) if at < len(characters) else "nothing"


def of_characters(
    spans: Sequence[Span], text: str, words: Sequence[str], half_words: str, where: str, counts: Counter[str]
) -> list[Span]:
    """The words that spans of characters cover. ``counts``: those that were widened to whole words.

    Raises InputError where the text is not that of the words, and where a span covers a part of a word and is not to be
    widened.
    """
    belongs = words_of_characters(text, words, where)
    found = []
    for begin, end, category in spans:
        inside = [belongs[i] for i in range(begin, end) if belongs[i] >= 0]
        first, last = inside[0], inside[-1]
        before = next((i for i in range(begin - 1, -1, -1) if belongs[i] >= 0), None)
        after = next((i for i in range(end, len(text)) if belongs[i] >= 0), None)
        cut = [word for word, other in ((first, before), (last, after)) if other is not None and belongs[other] == word]
        if cut and half_words == REFUSE:
            raise InputError(
                f"{where}: {category} {text[begin:end]!r} covers a part of the word {words[cut[0]]!r}; "
                f"half_words={WIDEN} takes the whole word", "half_words",
            )  # fmt: skip
        counts["entities widened to whole words"] += bool(cut)
        found.append((first, last + 1, category))
    return found


def of_strings(
    entities: Sequence[tuple[str, str]], words: Sequence[str], ignore_case: bool
) -> tuple[list[Span], list[tuple[str, str]]]:
    """Where strings, each with its category, stand in a sentence; and those that stand nowhere.

    One after another, as they are listed, each takes the leftmost words that spell it and of which none is taken yet:
    the second mention of a name is its second occurrence. Only whole words count. Canonically equivalent characters
    (Unicode NFC) are the same.
    """

    def plain(text: str) -> str:
        text = unicodedata.normalize("NFC", "".join(text.split()))
        return text.casefold() if ignore_case else text

    spelled = [plain(word) for word in words]
    taken = [False] * len(words)
    found, nowhere = [], []
    for text, category in entities:
        place = _place(plain(text), spelled, taken)
        if place is None:
            nowhere.append((text, category))
            continue
        begin, end = place
        taken[begin:end] = [True] * (end - begin)
        found.append((begin, end, category))
    return sorted(found), nowhere


def _place(wanted: str, words: Sequence[str], taken: Sequence[bool]) -> tuple[int, int] | None:
    """The leftmost words that spell what is wanted and are free."""
    for begin in range(len(words)) if wanted else ():
        rest, end = wanted, begin
        while rest and end < len(words) and not taken[end] and rest.startswith(words[end]):
            rest, end = rest[len(words[end]) :], end + 1
        if not rest and words[begin]:
            return begin, end
    return None
