"""A sentence, or a file of text or CoNLL columns, and a registered model -> the entities of every text."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from nertransfer.core.config import PredictConfig
from nertransfer.core.console import logger, progress_bar
from nertransfer.core.errors import InputError
from nertransfer.core.files import BESIDE, BYTE_ORDER_MARK, decode, make_folder, read, whole_file
from nertransfer.core.options import LONGEST_NAME, DataOptions, ModelOptions, StoreOptions
from nertransfer.core.text import count
from nertransfer.corpora import conll
from nertransfer.corpora.conll import SEPARATORS, numbered_lines, running_lines
from nertransfer.encoders import device, starts
from nertransfer.registry.tagger import Tagged, Tagger, words
from nertransfer.serving import rendering
from nertransfer.tracking import model_uris
from nertransfer.tracking.addresses import resolve_uri
from nertransfer.tracking.model_uris import local_copy
from nertransfer.tracking.store import client

LONGEST_OUTPUT = LONGEST_NAME - len(BESIDE)
"""Bytes of the output's name: it is written under a longer one."""
AT_A_TIME = 128
"""Texts between two steps of the progress bar."""

STANDARD_INPUT = "-"

_HINT = "running text is input_format=text"


@dataclass(frozen=True)
class Text:
    """A text of the input and the number of the line it begins on."""

    line: int
    text: str


@dataclass(frozen=True)
class Outcome:
    """How many texts were read and entities found; ``output``: the file they are in, else ``printed`` has them."""

    output: Path | None
    texts: int
    entities: int
    printed: str = ""


def predict(config: PredictConfig, colours: bool = False) -> Outcome:
    """Find the entities of ``config.input``; an output file appears whole or not at all.

    ``colours``: what is printed goes to a terminal that shows them. Raises InputError when the input cannot be read or
    the model is not there; says which are.
    """
    source = given(config.input)
    output = _output(config, source.path)
    texts = read_columns(source) if config.input_format == "conll" else read_lines(source)
    split = words.split_words if config.input_format == "conll" else None
    if output is not None:
        make_folder(output.parent, "output")
    tagger, name = load_tagger(config.which, config.tracking, config.run.device)
    if split is None and tagger.found is not None and tagger.found < words.WELL_CUT:
        logger.warning(
            f"{name} was fine-tuned on other words than those of running text: only {100 * tagger.found:.0f} % of them "
            "are found there, so F1 is lower than its scores say; give words with input_format=conll"
        )
    found: list[Tagged] = []
    with progress_bar(len(texts), "predicting", "text", show=len(texts) > AT_A_TIME) as bar:
        for begin in range(0, len(texts), AT_A_TIME):
            part = [text.text for text in texts[begin : begin + AT_A_TIME]]
            try:
                found += tagger.read(part, split, config.threshold)
            except ValueError as error:
                raise InputError(f"model {name} cannot read {source.name}: {error}") from error
            bar.update(len(part))
    title = f"{source.name}: entities found by {name}"
    rendered = _rendered(_format(config, output), title, [text.line for text in texts], found, colours)
    entities = sum(len(one.entities) for one in found)
    if output is None:
        return Outcome(None, len(texts), entities, rendered)
    with whole_file(output) as file:
        file.write(rendered)
    return Outcome(output, len(texts), entities)


def _format(config: PredictConfig, output: Path | None) -> str:
    return config.format or ("marked" if output is None else "jsonl")


def _rendered(form: str, title: str, lines: Sequence[int], found: Sequence[Tagged], colours: bool) -> str:
    if form == "conll":
        return rendering.conll(found)
    if form == "jsonl":
        return rendering.json_lines(lines, found)
    if form == "marked":
        return rendering.marked(found, colours)
    return rendering.page(title, lines, found)


def _output(config: PredictConfig, source: Path | None) -> Path | None:
    """The file to write; None where the entities are printed. Raises InputError where it cannot be one."""
    if config.output:
        output = Path(config.output)
    elif source is None:
        return None
    else:
        ending = "txt" if config.format == "marked" else config.format or "jsonl"
        output = source.with_name(f"{source.stem}.entities.{ending}")
    if len(os.fsencode(output.name)) > LONGEST_OUTPUT:
        raise InputError(f"output: the name {output.name} is too long for a file; give a shorter output", "output")
    if output.is_dir() or (source is not None and output.resolve() == source.resolve()):
        raise InputError(f"output={str(output)!r} is not allowed: a file other than the input", "output")
    return output.absolute()


# --- the input ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """What was given to be read: its text, its name in messages, and its ``path`` where it is a file."""

    text: str
    name: str
    path: Path | None = None


_NAME_OF_FILE = re.compile(
    r"\S*[/\\]\S*|\S+\.\w{1,6}|[~.]{0,2}/.*|.*\.(txt|text|tsv|csv|conll|conllu|iob2?|bio|jsonl?|html?|md)"
)
"""One word with a slash or an ending, a path with spaces, or anything on one line with the ending of a text file."""


def given(text: str) -> Source:
    """What ``input`` means: a file that exists, standard input (``-``, or nothing while something is piped in), or a
    sentence.

    Raises InputError where it can be neither, and for what looks like the name of a file that is not there.
    """
    if text.strip() in ("", STANDARD_INPUT):
        if not text.strip() and sys.stdin.isatty():
            raise InputError("input is missing: a sentence in quotes, a UTF-8 file, or - for standard input", "input")
        return Source(_text(sys.stdin.buffer.read(), "standard input"), "standard input")
    path, is_file, is_folder = Path(text), False, False
    with suppress(OSError):  # longer than a path can be
        is_file, is_folder = path.is_file(), path.is_dir()
    if is_file:
        return Source(_text(read(path, "input"), path), text, path)
    if is_folder:
        raise InputError(f"input={text!r} is not allowed: a file that exists, and this is a folder", "input")
    if _NAME_OF_FILE.fullmatch(text):
        raise InputError(
            f"input={text!r}: there is no such file; if it is text, pipe it in with input={STANDARD_INPUT}", "input",
        )  # fmt: skip
    return Source(text, "the text")


def _text(data: bytes, name: str | Path) -> str:
    return decode(data, name, "input").removeprefix(BYTE_ORDER_MARK)


def read_lines(source: Source) -> list[Text]:
    """One text a line, lines of white space left out.

    Raises InputError when there is none, when every line ends in an IOB2 tag, for those are columns, and where it is
    `conll.structure_of` another kind.
    """
    lines = numbered_lines(source.text)
    if source.path is not None or len(lines) > 1:  # a sentence may end in O
        lines = running_lines(source.text, source.name, "input", "give input_format=conll")
    if not lines:
        raise InputError(f"{source.name}:1: there is no text", "input")
    if structure := conll.structure_of(source.text):
        raise InputError(
            f"{source.name}:{lines[0][0]}: this is {structure}, not text; give one sentence per line and nothing "
            "else, or CoNLL columns with input_format=conll", "input",
        )  # fmt: skip
    return [Text(number, line.removesuffix("\r")) for number, line in lines]


def read_columns(source: Source) -> list[Text]:
    """The sentences of CoNLL columns, words separated by one space; of the columns only the first is looked at.

    Raises InputError that names the line for a line without a word in its first column, for a number of columns that
    changes, and where there is no sentence.
    """
    texts: list[Text] = []
    sentence: list[str] = []
    first = columns_before = 0
    for number, raw in enumerate([*source.text.split("\n"), ""], start=1):
        line = raw.removesuffix("\r")
        columns = SEPARATORS.split(line.rstrip(" \t"))
        if columns == [""] or columns[0] == conll.DOCUMENT_START:
            if sentence:
                texts.append(Text(first, " ".join(sentence)))
            sentence = []
            continue
        if columns[0].startswith("#") and ("=" in columns or len(columns) > max(2, columns_before)):
            raise InputError(f"{source.name}:{number}: {line!r} is a comment; leave out such lines", "input")
        if not columns[0] or "\r" in columns[0]:
            raise InputError(f"{source.name}:{number}: no word in the first column of {line!r}; {_HINT}", "input")
        if columns_before and len(columns) != columns_before:
            there = count(len(columns), "column")
            raise InputError(
                f"{source.name}:{number}: {there} in {line!r}, but {columns_before} before; {_HINT}", "input"
            )
        columns_before = len(columns)
        first = first if sentence else number
        sentence.append(columns[0])
    if not texts:
        raise InputError(f"{source.name}:1: there is no sentence", "input")
    if problem := conll.not_words([text.text.split(" ") for text in texts]):
        raise InputError(f"{source.name}:{texts[0].line}: {problem}", "input")
    return texts


# --- the model -----------------------------------------------------------------------------------


def load_tagger(which: ModelOptions, tracking: StoreOptions, kind: str) -> tuple[Tagger, str]:
    """The model that is meant, ready to read texts, and its name for people.

    ``kind``: the parameter ``device``. Raises InputError when it is not there, with what there is, or cannot be used.
    """
    with ExitStack() as stack:
        name = which.model
        if which.model and not which.model.startswith(("runs:/", "models:/")):
            if (Path(which.model) / "MLmodel").is_file():
                start = stack.enter_context(_unpacked(Path(which.model)))
            else:
                start = starts.resolve(which.model)
        else:
            store = client(resolve_uri(tracking), must_exist=True)
            name = model_uris.address(which, store)
            start = stack.enter_context(local_copy(name, store, Path(DataOptions.work_dir)))
        model, tokenizer, _ = starts.load_tagger(start)
    chosen = "cuda" if kind == "auto" and torch.cuda.is_available() else "cpu"
    device.tell_of_trouble(kind)
    device.check(torch.device(chosen))
    try:
        return Tagger(model, tokenizer, chosen), name
    except ValueError as error:
        raise InputError(f"model {name} cannot be used: {error}") from error


@contextmanager
def _unpacked(folder: Path) -> Iterator[starts.Start]:
    """An MLflow model's folder as a start: MLflow keeps the tokenizer beside the model, transformers in one folder."""
    with tempfile.TemporaryDirectory() as temporary:
        together = Path(temporary) / "model"
        for part in (folder / "model", folder / "components" / "tokenizer"):
            if not part.is_dir():
                raise InputError(f"model={str(folder)!r} is not allowed: it has no {part.relative_to(folder)}", "model")
            shutil.copytree(part, together, dirs_exist_ok=True)
        yield starts.Start(starts.slug(folder.resolve().name), str(together))
