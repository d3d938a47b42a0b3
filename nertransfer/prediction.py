"""A file of text or CoNLL columns and a registered model -> the entities of every text, in a file."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from nertransfer import corpus, named_models, rendering, starts
from nertransfer.config import LONGEST_NAME, DataOptions, ModelOptions, PredictConfig, StoreOptions
from nertransfer.errors import InputError
from nertransfer.folders import make_folder
from nertransfer.model_addresses import local_copy
from nertransfer.nouns import count
from nertransfer.progress import progress_bar
from nertransfer.served import Tagged, Tagger, words
from nertransfer.store import client, resolve_uri
from nertransfer.text_files import BYTE_ORDER_MARK, SEPARATORS, decode, running_lines

LONGEST_OUTPUT = LONGEST_NAME - len(".new")
"""Bytes of the output's name: it is written under one with ``.new`` behind it."""
AT_A_TIME = 128
"""Texts between two steps of the progress bar."""

_HINT = "running text is input_format=text"


@dataclass(frozen=True)
class Text:
    """A text of the input and the number of the line it begins on."""

    line: int
    text: str


@dataclass(frozen=True)
class Outcome:
    output: Path
    texts: int
    entities: int


def predict(config: PredictConfig) -> Outcome:
    """Write the entities of ``config.input``; the output file appears whole or not at all.

    Raises InputError when the input cannot be read or the model is not there; says which are.
    """
    source = Path(config.input)
    if not source.is_file():
        raise InputError(f"input={config.input!r} is not allowed: a file that exists", "input")
    output = Path(config.output) if config.output else source.with_name(f"{source.stem}.entities.{config.format}")
    if len(os.fsencode(output.name)) > LONGEST_OUTPUT:
        raise InputError(f"output: the name {output.name} is too long for a file; give a shorter output", "output")
    if output.is_dir() or output.resolve() == source.resolve():
        raise InputError(f"output={str(output)!r} is not allowed: a file other than the input", "output")
    texts = read_columns(source) if config.input_format == "conll" else read_lines(source)
    split = words.split_words if config.input_format == "conll" else words.split_text
    make_folder(output.parent, "output")
    tagger, name = load_tagger(config.which, config.tracking, config.run.device)
    found: list[Tagged] = []
    with progress_bar(len(texts), "predicting", "text") as bar:
        for begin in range(0, len(texts), AT_A_TIME):
            part = [text.text for text in texts[begin : begin + AT_A_TIME]]
            try:
                found += tagger.read(part, split, config.threshold)
            except ValueError as error:
                raise InputError(f"model {name} cannot read {source}: {error}") from error
            bar.update(len(part))
    lines = [text.line for text in texts]
    if config.format == "conll":
        rendered = rendering.conll(found)
    elif config.format == "jsonl":
        rendered = rendering.json_lines(lines, found)
    else:
        rendered = rendering.page(f"{source.name}: entities found by {name}", lines, found)
    fresh = output.with_name(output.name + ".new")
    fresh.write_text(rendered, encoding="utf-8")
    fresh.replace(output)
    return Outcome(output, len(texts), sum(len(one.entities) for one in found))


# --- the input ---------------------------------------------------------------------------------


def _read(path: Path) -> str:
    return decode(path.read_bytes(), path, "input").removeprefix(BYTE_ORDER_MARK)


def read_lines(path: Path) -> list[Text]:
    """One text a line, lines of white space left out.

    Raises InputError when there is none, or when every line ends in an IOB2 tag: those are columns.
    """
    lines = running_lines(_read(path), path, "input", "give input_format=conll")
    if not lines:
        raise InputError(f"{path}:1: the file has no text", "input")
    return [Text(number, line.removesuffix("\r")) for number, line in lines]


def read_columns(path: Path) -> list[Text]:
    """The sentences of a CoNLL file, words separated by one space; of its columns only the first is looked at.

    Raises InputError that names the line for a line without a word in its first column, for a number of columns that
    changes, and for a file without a sentence.
    """
    texts: list[Text] = []
    sentence: list[str] = []
    first = columns_before = 0
    for number, raw in enumerate([*_read(path).split("\n"), ""], start=1):
        line = raw.removesuffix("\r")
        columns = SEPARATORS.split(line.rstrip(" \t"))
        if columns == [""] or columns[0] == corpus.DOCUMENT_START:
            if sentence:
                texts.append(Text(first, " ".join(sentence)))
            sentence = []
            continue
        if not columns[0] or "\r" in columns[0]:
            raise InputError(f"{path}:{number}: no word in the first column of {line!r}; {_HINT}", "input")
        if columns_before and len(columns) != columns_before:
            there = count(len(columns), "column")
            raise InputError(f"{path}:{number}: {there} in {line!r}, but {columns_before} before; {_HINT}", "input")
        columns_before = len(columns)
        first = first if sentence else number
        sentence.append(columns[0])
    if not texts:
        raise InputError(f"{path}:1: the file has no sentence", "input")
    return texts


# --- the model -----------------------------------------------------------------------------------


def load_tagger(which: ModelOptions, tracking: StoreOptions, device: str) -> tuple[Tagger, str]:
    """The model that is meant, ready to read texts, and its name for people.

    Raises InputError when it is not there, with what there is, or cannot be used.
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
            name = named_models.address(which, store)
            start = stack.enter_context(local_copy(name, store, Path(DataOptions.work_dir)))
        model, tokenizer, _ = starts.load_tagger(start)
    try:
        return Tagger(model, tokenizer, "cuda" if device == "auto" and torch.cuda.is_available() else "cpu"), name
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
