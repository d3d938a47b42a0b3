"""Reads what is given of a target: its text, a tokenizer."""

from pathlib import Path

from analysis.ranking.features import Subtokens
from nertransfer.core.errors import InputError
from nertransfer.core.files import BYTE_ORDER_MARK, decode
from nertransfer.core.files import read as read_file
from nertransfer.corpora.conll import running_lines
from nertransfer.corpora.words import split_text


def read_text(path: Path) -> list[list[str]]:
    """The lines of a text file, or of all ``*.txt`` files in a folder in the order of their names, as words.

    Words are cut as in corpora, punctuation apart (`nertransfer.corpora.words.split_text`); empty lines are left out.
    Raises InputError for a path that cannot be read, text that is not UTF-8, or no word at all.
    """
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    sentences = []
    for file in files:
        text = decode(read_file(file, "text"), file, "text").removeprefix(BYTE_ORDER_MARK)
        lines = running_lines(text, file, "text", "give columns as labelled")
        sentences += [[line[a:b] for a, b in split_text(line)] for _, line in lines]
    if not sentences:
        raise InputError(
            f"text={str(path)!r} has no word; it needs a UTF-8 text file, or *.txt files in a folder", "text"
        )
    return sentences


def read_tokenizer(folder: Path) -> Subtokens:
    """The sub-tokens of words by a folder's tokenizer.json. Raises InputError where there is none."""
    from nertransfer.encoders.subtokens import of_words  # takes a moment to load

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError(f"tokenizer={str(folder)!r} has no tokenizer.json", "tokenizer")
    try:
        return of_words(read_file(path, "tokenizer").decode("utf-8"))
    except ValueError as error:
        raise InputError(f"tokenizer={str(folder)!r}: {path.name} is {error}", "tokenizer") from None
