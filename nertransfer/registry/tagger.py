"""What a registered model does with text: the code that travels with it.

MLflow loads this file from a model's folder (models from code), where nertransfer need not be installed: it imports
mlflow, torch, transformers and pandas, and `words.py` from beside itself. In this project
`nertransfer.serving.prediction` uses the same `Tagger`, so a served model and the predict entry point cannot differ.
"""

import importlib.util
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from transformers import AutoModelForTokenClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

WINDOW = "nertransfer_window"
"""Entry of a model's configuration: the window it was fine-tuned with, in sub-tokens."""

WORDS = "nertransfer_words"
"""Entry of a model's configuration: the rule by which raw text is cut into words, and the share of its train split's
words that are found in running text that way."""

DEFAULT_WINDOW = 200
LONGEST_TEXT = 100_000
"""Characters that one text of a request may have; a book goes paragraph by paragraph."""

BATCH_TOKENS = 2048
"""Sub-tokens, padding included, in a batch."""

COLUMNS = {"input": "int64", "category": "str", "text": "str", "start": "int64", "end": "int64", "score": "float64"}
"""Names and types of the columns of `entity_table`, also where there is no row."""

PARAMETERS = {"threshold": 0.0, "words": False}
"""What a request may ask for, with the defaults."""


def _words() -> ModuleType:
    """`nertransfer.corpora.words`: in a model's folder a copy of it lies beside this file."""
    path = Path(__file__).with_name("words.py")
    if not path.is_file():
        return importlib.import_module("nertransfer.corpora.words")
    spec = importlib.util.spec_from_file_location(f"{__name__}_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


words = _words()


@dataclass(frozen=True)
class Entity:
    """An entity of a text: words ``first`` to ``end_word`` (exclusive), characters ``start`` to ``end`` (exclusive).

    ``score``: mean over its words of the probability of their labels, as transformers' pipelines give it.
    """

    category: str
    first: int
    end_word: int
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Tagged:
    """A text, where its words stand in it, and its entities in order."""

    text: str
    places: tuple[tuple[int, int], ...]
    entities: tuple[Entity, ...]

    def tags(self) -> list[str]:
        """One IOB2 tag a word."""
        found = [words.OUTSIDE] * len(self.places)
        for entity in self.entities:
            found[entity.first : entity.end_word] = [f"I-{entity.category}"] * (entity.end_word - entity.first)
            found[entity.first] = f"B-{entity.category}"
        return found


class Tagger:
    """A fine-tuned token classifier that reads texts of any length."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, device: str | torch.device = "cpu"
    ) -> None:
        """Raises ValueError when the window leaves no room for words, or the tokenizer cannot read them."""
        self.model, self.tokenizer = model.to(device).eval(), tokenizer
        self.labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
        cut = getattr(model.config, WORDS, None) or {"rule": next(iter(words.RULES)), "found": None}
        self.rule, self.found = cut["rule"], cut["found"]
        self._lock = threading.Lock()  # a fast tokenizer is changed by being called; servers call from threads
        window = getattr(model.config, WINDOW, None) or min(DEFAULT_WINDOW, tokenizer.model_max_length)
        self._prefix, self._suffix = words.ids_around_words(tokenizer)
        self._room = window - len(self._prefix) - len(self._suffix)
        if self._room < 1:
            raise ValueError(f"a window of {window} sub-tokens leaves no room for words")

    def read(
        self,
        texts: Sequence[str],
        split: Callable[[str], list[tuple[int, int]]] | None = None,
        threshold: float = 0.0,
    ) -> list[Tagged]:
        """The entities of each text whose score is at least ``threshold``; ``split`` says where its words are, by
        default as in the corpus that the model was fine-tuned on (``rule``)."""
        places = [(split or words.RULES[self.rule])(text) for text in texts]
        tagged = self.tag([[text[a:b] for a, b in where] for text, where in zip(texts, places, strict=True)])
        found = []
        for text, where, (labels, probabilities) in zip(texts, places, tagged, strict=True):
            entities = []
            for first, end, category in words.spans(labels):
                score = sum(probabilities[first:end]) / (end - first)
                if score >= threshold:
                    entities.append(Entity(category, first, end, where[first][0], where[end - 1][1], score))
            found.append(Tagged(text, tuple(where), tuple(entities)))
        return found

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[tuple[list[str], list[float]]]:
        """The most probable label of every word of each sentence and its probability; a word's first sub-token has it.

        A sentence that is longer than the window is read in overlapping ones. A word that tokenises to nothing
        becomes one unknown token.
        """
        pieces = self._pieces(sentences)
        windows: list[tuple[int, int, list[int], list[int]]] = []  # sentence, first word of its own, places, ids
        for number, sentence in enumerate(sentences):
            for begin, end, own_begin, own_end in words.window_bounds([len(pieces[w]) for w in sentence], self._room):
                ids, places = list(self._prefix), []
                for i in range(begin, end):
                    if own_begin <= i < own_end:
                        places.append(len(ids))
                    ids += pieces[sentence[i]]
                windows.append((number, own_begin, places, [*ids, *self._suffix]))
        found = [([""] * len(sentence), [0.0] * len(sentence)) for sentence in sentences]
        one_length = self.model.config.model_type in words.SEES_PADDING
        for indices in words.window_batches([len(window[3]) for window in windows], BATCH_TOKENS, one_length):
            batch = [windows[i] for i in indices]
            best, probability = self._forward([window[3] for window in batch], [window[2] for window in batch])
            at = 0
            for number, own_begin, places, _ in batch:
                labels, probabilities = found[number]
                labels[own_begin : own_begin + len(places)] = [self.labels[i] for i in best[at : at + len(places)]]
                probabilities[own_begin : own_begin + len(places)] = probability[at : at + len(places)]
                at += len(places)
        return found

    def _forward(self, rows: Sequence[list[int]], places: Sequence[list[int]]) -> tuple[list[int], list[float]]:
        length = max(map(len, rows))
        pad = self.tokenizer.pad_token_id or 0
        device = self.model.device
        ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows], device=device)
        which = torch.tensor([i for i, columns in enumerate(places) for _ in columns], dtype=torch.long, device=device)
        where = torch.tensor([c for columns in places for c in columns], dtype=torch.long, device=device)
        with torch.inference_mode():
            logits = self.model(input_ids=ids, attention_mask=mask).logits[which, where].float()
            probability, best = logits.softmax(-1).max(-1)
        return best.tolist(), probability.tolist()

    def _pieces(self, sentences: Sequence[Sequence[str]]) -> dict[str, list[int]]:
        """Sub-tokens of each distinct word, at least one, at most a window full."""
        distinct = list(dict.fromkeys(word for sentence in sentences for word in sentence))
        known = [word for word in distinct if word]  # some tokenizers refuse the empty string
        with self._lock:
            ids = dict(zip(known, words.word_pieces(self.tokenizer, known) if known else [], strict=True))
        unknown = self.tokenizer.unk_token_id
        if unknown is None and not all(ids.get(word) for word in distinct):
            raise ValueError("some words tokenise to nothing, and the tokenizer has no unknown token")
        return {word: ids.get(word, [])[: self._room] or [unknown] for word in distinct}


# --- as an MLflow model ----------------------------------------------------------------------------


class Refused(ValueError):
    """A request that cannot be answered; the message says what is wrong and what is allowed."""


def entity_table(tagger: Tagger, texts: Any, params: Mapping[str, Any]) -> pd.DataFrame:
    """One row an entity: ``input`` (which text, from 0), category, text, start, end (code points), score.

    ``params``: ``threshold``, the least score; ``words``, whether the texts are split into words by white space
    already. Raises Refused for what is not a list of texts, unknown or out of range.
    """
    if unknown := sorted(set(params) - set(PARAMETERS)):
        raise Refused(f"parameter {unknown[0]!r} is not allowed: one of {', '.join(PARAMETERS)}")
    threshold, split = (params.get(name, default) for name, default in PARAMETERS.items())
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise Refused(f"threshold={threshold!r} is not allowed: a number from 0 to 1")
    if not isinstance(split, bool):
        raise Refused(f"words={split!r} is not allowed: true or false")
    if not isinstance(texts, list) or not texts:
        raise Refused("no text is given: inputs is a list of at least one string")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            way_out = ": join its words by spaces, with the parameter words=true" if isinstance(text, list) else ""
            raise Refused(f"text {number} is not a string{way_out}")
        if len(text) > LONGEST_TEXT:
            raise Refused(f"text {number} has {len(text)} characters, more than {LONGEST_TEXT}: send it in paragraphs")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise Refused(f"text {number} holds half of a surrogate pair and is no valid Unicode")
    try:
        tagged = tagger.read(texts, words.split_words if split else None, threshold)
    except ValueError as error:
        raise Refused(str(error)) from error
    rows = [
        (number, entity.category, one.text[entity.start : entity.end], entity.start, entity.end, entity.score)
        for number, one in enumerate(tagged)
        for entity in one.entities
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


class SpanModel(mlflow.pyfunc.PythonModel):
    """Texts in, a table of entities out: the ``python_function`` flavor of a registered model."""

    def load_context(self, context: Any) -> None:
        local = {"local_files_only": True, "trust_remote_code": False}
        model = AutoModelForTokenClassification.from_pretrained(
            context.artifacts["model"], use_safetensors=True, dtype=torch.float32, **local
        )
        tokenizer = AutoTokenizer.from_pretrained(context.artifacts["tokenizer"], **local)
        self._tagger = Tagger(model, tokenizer, "cuda" if torch.cuda.is_available() else "cpu")

    def predict(self, context: Any, model_input: list[str], params: dict[str, Any] | None = None) -> pd.DataFrame:
        """`entity_table`. Raises MlflowException, which a server answers with 400, where that raises Refused."""
        try:
            return entity_table(self._tagger, model_input, params or {})
        except Refused as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


mlflow.models.set_model(SpanModel())
