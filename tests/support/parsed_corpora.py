"""Small corpora from texts."""

from nertransfer.corpora.conll import Sentence, parse
from nertransfer.corpora.corpus import Corpus, Split


def corpus_of(language: str, train: list[str], dev: list[str], test: list[str]) -> Corpus:
    """A corpus of sentences such as ``"na Lagos"``, all tags O."""
    texts = {"train": train, "dev": dev, "test": test}
    return Corpus(language, {name: split_of(language, name, text) for name, text in texts.items()})


def split_of(language: str, name: str, text: list[str], tag: str = "O") -> Split:
    sentences = [tuple(line.split()) for line in text]
    return Split(language, name, tuple(Sentence(words, (tag,) * len(words)) for words in sentences), "")


# --- stray tags -----------------------------------------------------------------------------------


def parsed(language: str, name: str, text: str) -> Split:
    sentences, findings = parse(text.encode(), f"{language}/{name}.txt")
    return Split(language, name, sentences, "", findings)
