"""Embeds entity words, or plain text, under starts and cells of a study, and tracks a run for each new model."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from tqdm import tqdm

from nertransfer.core import schema
from nertransfer.core.commandline import flat
from nertransfer.core.config import EmbedConfig
from nertransfer.core.console import progress_bar
from nertransfer.core.errors import InputError
from nertransfer.core.grid import BASE, Place
from nertransfer.core.options import PLANTED, DataOptions, Recipe, ScoringOptions
from nertransfer.core.text import count
from nertransfer.corpora import corpus as corpora_of
from nertransfer.corpora.corpus import Corpus
from nertransfer.encoders import starts
from nertransfer.encoders.inference import check_layers, word_vectors
from nertransfer.encoders.subtokens import of_words
from nertransfer.encoders.tokenization import encode
from nertransfer.registry import weights as cell_weights
from nertransfer.scoring import vector_files
from nertransfer.scoring.measurements import Measurements
from nertransfer.scoring.vector_files import EntityWords
from nertransfer.studies.planning import catalogue_names, languages_to_load, pick
from nertransfer.tracking import model_uris, runs, store_files
from nertransfer.tracking.runs import configuration_params, deliver, log, log_values, open_run, provenance_file
from nertransfer.tracking.store import FINISHED, Run, Study, kind_runs
from nertransfer.training.accelerator import make_accelerator
from nertransfer.training.planted_starts import resolve_starts

EMBEDDING_VERSION = 1
"""Raised by hand whenever a change of this code may change vectors; part of every embedding key."""


@dataclass(frozen=True)
class Model:
    """What is embedded.

    ``weights``: digest that changes with them. ``run``: the cell's, None for a start. ``start``: where it is loaded
    from; None: from what ``text`` names on the tracking server.
    """

    name: str
    text: str
    weights: str
    run: Run | None = None
    start: starts.Start | None = None

    @property
    def tags(self) -> dict[str, str]:
        """Which place of the study it is: start, and of a cell also source and seed."""
        if self.run is None:
            return {schema.MODEL: self.name, schema.START: self.name}
        names = (schema.START, schema.SOURCE, schema.SEED, schema.CONFIGURATION, schema.CELL_KEY)
        return {schema.MODEL: self.name} | {n: self.run.data.tags[n] for n in names if n in self.run.data.tags}


@dataclass(frozen=True)
class Work:
    """What all models of a call have in common; ``words`` of the targets, by language."""

    config: EmbedConfig
    study: Study
    accelerator: Accelerator
    targets: Mapping[str, Corpus]
    words: Mapping[str, EntityWords]

    @property
    def work_dir(self) -> Path:
        return Path(self.config.data.work_dir)


@dataclass
class Outcome:
    """Names of the models: ``embedded`` now, ``found`` done already, ``absent`` with the reason."""

    embedded: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """For people: what was done, and what could not be, and how it could."""
        embedded = count(len(self.embedded), "model")
        lines = [f"{embedded} embedded, {len(self.found)} done before, {len(self.absent)} not at hand"]
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.absent.items():
            by_reason.setdefault(reason, []).append(name)
        return "\n".join([*lines, *(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())])


GONE = (
    "weights are neither stored nor in work_dir: only the best seed of a start and source keeps them; a study with "
    "keep_weights=true keeps all, and train with again=true and keep_weights=true makes those of one cell once more"
)


def embed(config: EmbedConfig, study: Study) -> Outcome:
    """Embed every entity word of every target under every model, a run of kind ``embedding`` each.

    What was embedded before with the same weights, layers and words is left alone. Raises InputError on a model that
    was named and is not there, and on layers that a model does not have.
    """
    store_files.check(study)
    corpora = corpora_of.load(languages_to_load(config.data, config.targets))
    targets = {name: corpora[name] for name in pick("targets", config.targets, corpora)}
    words = {name: vector_files.entity_words(corpus.splits[config.split]) for name, corpus in targets.items()}
    if not any(len(one.rows) for one in words.values()):
        raise InputError(f"split={config.split}: no entity in {', '.join(targets)}", "split")
    work, outcome = Work(config, study, make_accelerator(Recipe(), config.run), targets, words), Outcome()
    models = _named(work) if config.models else _all(work, outcome)
    done = {run.data.tags.get(schema.EMBEDDING_KEY) for run in kind_runs(study, schema.KIND_EMBEDDING, FINISHED)}
    number = sum(len(one.rows) for one in words.values())
    with progress_bar(len(models) * number, "embedding", "word") as bar:
        for model in models:
            key = _key(model, work)
            if key in done:
                outcome.found.append(model.name)
                bar.update(number)
            else:
                _embed(model, key, work, bar)
                outcome.embedded.append(model.name)
                done.add(key)
    return outcome


# --- which models ------------------------------------------------------------------------------


def _named(work: Work) -> list[Model]:
    models, client = [], work.study.client
    for text in work.config.models:
        run = model_uris.run_of(text, client)
        if run is not None:
            models.append(_cell(run))
        elif text.startswith("models:/"):
            # it is loaded once more, and the alias may move meanwhile
            address = model_uris.pinned(text, client)
            with model_uris.local_copy(address, client, work.work_dir) as start:
                models.append(Model(text, address, starts.identify(start).digest))
        else:
            models.append(_start(text, work))
    return models


def _cell(run: Run) -> Model:
    return Model(run.info.run_name, f"runs:/{run.info.run_id}", run.data.tags[schema.CELL_KEY], run)


def _start(text: str, work: Work) -> Model:
    start = resolve_starts((text,), work.config.data, lambda: work.accelerator)[0]
    return Model(start.name, text, starts.identify(start).digest, start=start)


def _all(work: Work, outcome: Outcome) -> list[Model]:
    """The starts of the study and its cells; those that are not at hand are told to ``outcome``."""
    study = work.study
    cells = runs.finished_places(study)
    if not cells:
        raise InputError(f"study {study.name!r} has no finished cell: name the models to embed", "models")
    models = []
    for name, text in _starts_of(work.config, cells).items():
        try:
            models.append(_start(text, work))
        except InputError as error:
            outcome.absent[name] = str(error)
    for place in sorted(cells):
        run = cells[place]
        if cell_weights.has_weights(study, run, work.work_dir):
            models.append(_cell(run))
        else:
            outcome.absent[run.info.run_name] = GONE
    return models


def _starts_of(config: EmbedConfig, cells: Mapping[Place, Run]) -> dict[str, str]:
    """What every start of the cells is loaded from, as `starts.resolve` takes it, by name; ``base`` first."""
    found = {}
    for (name, _, _), run in sorted(cells.items(), key=lambda item: (item[0][0] != BASE, item[0])):
        tags = run.data.tags
        location, revision = tags.get(schema.START_LOCATION, name), tags.get(schema.START_REVISION)
        made_here = config.data.data == PLANTED and name in catalogue_names(config.data)
        found[name] = name if made_here else f"{name}={location}{f'@{revision}' if revision else ''}"
    return found


# --- one model -----------------------------------------------------------------------------------


def _key(model: Model, work: Work) -> str:
    config = work.config
    parts = {
        "version": EMBEDDING_VERSION,
        "tags": model.tags,
        "weights": model.weights,
        "window": Recipe.max_length,
        "layers": sorted(config.layers),
        "stored": config.stored_words,
        "words": {name: corpus.splits[config.split].digest for name, corpus in work.targets.items()},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _embed(model: Model, key: str, work: Work, bar: tqdm) -> None:
    config, study, targets, words, accelerator = work.config, work.study, work.targets, work.words, work.accelerator
    began = time.perf_counter()
    tracked = model_uris.local_copy(model.text, study.client, work.work_dir)
    with nullcontext(model.start) if model.start is not None else tracked as start:
        encoder, tokenizer = starts.load_encoder(start), starts.load_tokenizer(start)
    check_layers(encoder, config.layers)
    window = starts.window(encoder, tokenizer)
    encoder = encoder.to(accelerator.device)
    stored, vectors, means = [], {}, {}
    encoded = {
        name: encode([s.words for s in corpus.splits[config.split].sentences], tokenizer, window)
        for name, corpus in targets.items()
    }
    for name, one in words.items():
        found = word_vectors(
            encoder, encoded[name], one.places, config.layers, accelerator.device, config.run.evaluation_tokens, bar
        )
        rows = vector_files.chosen(one, config.stored_words)
        stored.append(vector_files.subset(one, rows))
        vectors[name], means[name] = found[rows], vector_files.centres(one, found)
    fingerprint = starts.fingerprint(encoder)
    layers = ",".join(map(str, sorted(config.layers)))
    tags = model.tags | {
        schema.EMBEDDING_KEY: key,
        schema.WORDS_DIGEST: vector_files.digest(stored),
        schema.LAYERS: layers,
        "split": config.split,
        **schema.packed(schema.CORPUS_DIGESTS, {name: corpus.digest for name, corpus in targets.items()}),
    }
    with open_run(study, schema.KIND_EMBEDDING, f"embed-{model.name}"[:48], tags) as run_id:
        resolved = {"model": model.name, "fingerprint": fingerprint, "window": str(window)}
        log(study.client, run_id, params=configuration_params(flat(config) | resolved))
        files: dict[str, str | bytes] = {
            **vector_files.to_files(stored, vectors, means),
            **provenance_file(flat(config)),
        }
        deliver(study.client, run_id, Measurements(key, [], files=files))
        counts = {"words": sum(len(one.rows) for one in words.values()), "stored": sum(len(s.rows) for s in stored)}
        log_values(study.client, run_id, counts | {"embed_seconds": time.perf_counter() - began})


SENTENCES = 100
"""Of a text that are read. Two hundreds of sentences order the pairs of MasakhaNER's ten languages alike by the cosine
of their centres (MiniLM-L6, Spearman's rho 0.99)."""


class TextEncoder:
    """A start as a reader of texts, on a GPU where there is one.

    ``subtokens`` gives those of a word (`nertransfer.encoders.subtokens`); None where the start's tokenizer has no
    definition.
    """

    def __init__(self, text: str, data: DataOptions) -> None:
        """Load the start that ``text`` names as in a study of ``data``; raises InputError where it cannot be."""
        run = ScoringOptions()
        accelerator = make_accelerator(Recipe(), run)
        start = resolve_starts((text,), data, lambda: accelerator)[0]
        self._encoder = starts.load_encoder(start).to(accelerator.device)
        self._tokenizer = starts.load_tokenizer(start)
        self._device, self._tokens = accelerator.device, run.evaluation_tokens
        depth = self._encoder.config.num_hidden_layers + 1  # the embeddings are one, too
        self._layers = [layer for layer in EmbedConfig.layers if layer <= depth]
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        self.subtokens: Callable[[str], list[str | None]] | None = of_words(backend.to_str()) if backend else None

    def vectors(self, sentences: Sequence[Sequence[str]]) -> np.ndarray:
        """A vector for each of at most `SENTENCES` sentences, float32 [sentences, size].

        They are spread evenly over the text. A sentence's vector is the mean of its words' vectors, which are those of
        `inference.word_vectors`: the sum of the last four layers.
        """
        places = np.linspace(0, len(sentences) - 1, min(SENTENCES, len(sentences))).round().astype(int)
        window = starts.window(self._encoder, self._tokenizer)
        encoded = encode([sentences[i] for i in places], self._tokenizer, window)
        with progress_bar(encoded.number_of_words, "reading", "word") as bar:
            words = np.arange(encoded.number_of_words)
            found = word_vectors(self._encoder, encoded, words, self._layers, self._device, self._tokens, bar)
        begins = encoded.sentence_starts
        return np.add.reduceat(found, begins[:-1], axis=0) / np.diff(begins)[:, None].astype(np.float32)
