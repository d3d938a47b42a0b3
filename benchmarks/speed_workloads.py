"""What is raced: the work, who does it, and whether all of them come to the same result."""

import functools
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import speed_references as references
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from speed_measures import Prepare, peak_memory, training_operations
from transformers import (
    AutoModelForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from nertransfer.core.options import RECIPES, DataOptions, Recipe, RunOptions
from nertransfer.core.schema import ALL
from nertransfer.corpora import corpus
from nertransfer.corpora.conll import Sentence
from nertransfer.corpora.corpus import Corpus
from nertransfer.corpora.labels import label_list
from nertransfer.corpora.words import OUTSIDE
from nertransfer.encoders import starts
from nertransfer.encoders.inference import predict
from nertransfer.encoders.tokenization import IGNORED, Encoded, Window, collate, encode, epoch_batches, joined
from nertransfer.scoring.reference import score
from nertransfer.training import finetune
from nertransfer.training.accelerator import make_accelerator

Device = Literal["auto", "cpu"]
"""As of `RunOptions`."""
SEED = 0
SCORING_BATCH = 8
CHECK_STEPS = 6
LOSS_LIMIT = 1e-5

XLM_ROBERTA_BASE = XLMRobertaConfig(
    vocab_size=250002, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5,
    pad_token_id=1, bos_token_id=0, eos_token_id=2,
)  # fmt: skip
"""The architecture of xlm-roberta-base; what is not named is the same as in the class."""
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
WORKLOADS = ("training", "training-xlmr", "trimming", "scoring", "tokenising", "memory", "memory-full", "quality")
QUALITY = {"epochs": 3, "learning_rate": 5e-4}
"""Enough for the small encoder to find entities on a thousand sentences."""


@dataclass(frozen=True)
class Config:
    """``batches`` bounds training (of ``recipe.batch_size`` sentences) and scoring (of 8, of each test set), 0: all.

    ``steps``: batches of the xlm-roberta-base workloads. ``bf16``: ours trains in bf16, too, in ``training`` and
    ``quality``; everything else computes in fp32. ``device``: as of `RunOptions`, of scoring; the others
    are workloads of a CPU. ``start``: folder of the small encoder, tokenizer included;
    ``xlm_roberta``: folder of the big one, whose weights may be random.
    """

    data: Path
    start: Path
    xlm_roberta: Path
    source: str = "hau"
    recipe: Recipe = field(default_factory=lambda: replace(RECIPES["published"], epochs=1))
    threads: int = 1
    rounds: int = 5
    batches: int = 0
    steps: int = 4
    bf16: bool = False
    workloads: tuple[str, ...] = WORKLOADS
    device: Device = "cpu"


@dataclass(frozen=True)
class Workload:
    """``contenders`` in the order of the table; ``facts`` say how much work it is; ``compare`` judges their outputs.

    ``operations``: what one pass asks of the processor (`training_operations`), 0 where nobody counts.
    """

    contenders: dict[str, Prepare]
    facts: dict[str, Any]
    compare: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    operations: float = 0.0


class Setting:
    """Corpora, tokenizer and labels of a configuration, read once."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.start = starts.Start("small", str(config.start))
        self.xlm_roberta = starts.Start("xlmr", str(config.xlm_roberta))

    @functools.cached_property
    def corpora(self) -> dict[str, Corpus]:
        return corpus.load(DataOptions(data=str(self.config.data)))

    @functools.cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return starts.load_tokenizer(self.start)

    @functools.cached_property
    def labels(self) -> tuple[str, ...]:
        return label_list(self.corpora[self.config.source].categories)

    @functools.cached_property
    def tagger(self) -> PreTrainedModel:
        """The small encoder under a new head, moved so that it says every label of the source's words."""
        model = starts.load_for_tagging(self.start, self.labels, SEED).eval()
        some = self.encoded(self.train(1))
        batch = collate(some, range(len(some.windows)))
        with torch.no_grad():
            logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
            model.classifier.bias -= logits[batch.rows, batch.columns].mean(0)
        return model

    def train(self, batches: int) -> list[Sentence]:
        """The sentences of so many batches out of the source's train split, drawn at random; 0: all of them."""
        return _sample(self.corpora[self.config.source].train.sentences, batches * self.config.recipe.batch_size)

    def encoded(self, sentences: Sequence[Sentence]) -> Encoded:
        ids = {label: i for i, label in enumerate(self.labels)}
        words, tags = [s.words for s in sentences], [s.tags for s in sentences]
        return encode(words, self.tokenizer, self.config.recipe.max_length, tags, ids)

    @functools.cached_property
    def read(self) -> tuple[Encoded, Encoded]:
        """All that a cell of the source lets its model see before scoring, however little of it is trained on here."""
        source = self.corpora[self.config.source]
        return self.encoded(source.train.sentences), self.encoded(source.dev.sentences)

    def stand_in(self, encoded: Encoded) -> Encoded:
        """The same split in the vocabulary of XLM-R: each id has become another one, always the same, at random."""
        special = {"pad_token_id": 1, "cls_token_id": 0, "sep_token_id": 2, "unk_token_id": 3}
        table = np.random.default_rng(SEED).permutation(np.arange(4, XLM_ROBERTA_BASE.vocab_size))
        for name, number in special.items():
            table[getattr(self.tokenizer, name)] = number
        windows = tuple(replace(w, ids=tuple(table[list(w.ids)].tolist())) for w in encoded.windows)
        return replace(encoded, windows=windows, pad_id=1)


def run_options(device: Device) -> RunOptions:
    return RunOptions(device=device, checkpoint_minutes=-1)


def _sample(items: Sequence[Any], count: int) -> list[Any]:
    if not 0 < count < len(items):
        return list(items)
    return random.Random(SEED).sample(list(items), count)


def save_xlm_roberta(folder: Path, **sizes: int) -> Path:
    """An encoder of xlm-roberta-base's architecture, or smaller, with random weights, as a start."""
    torch.manual_seed(SEED)
    given = {key: value for key, value in XLM_ROBERTA_BASE.to_dict().items() if key != "architectures"}
    with starts.quiet():
        XLMRobertaModel(XLMRobertaConfig(**given | sizes), add_pooling_layer=False).save_pretrained(folder)
    return folder


# --- training -------------------------------------------------------------------------------


def plain_model(start: starts.Start, labels: Sequence[str], seed: int = SEED) -> PreTrainedModel:
    """What `starts.load_for_tagging` gives, from transformers alone."""
    torch.manual_seed(seed)
    with starts.quiet():
        return AutoModelForTokenClassification.from_pretrained(
            start.location, num_labels=len(labels), dtype=torch.float32, attn_implementation="sdpa"
        )


def rows_of(encoded: Encoded) -> list[references.Row]:
    """The windows as rows with a label for each sub-token."""
    assert encoded.labels is not None
    rows = []
    for window in encoded.windows:
        labels = [IGNORED] * len(window.ids)
        for position, word in zip(window.positions, window.words, strict=True):
            labels[position] = int(encoded.labels[word])
        rows.append(references.Row(window.ids, labels))
    return rows


def published_training(
    model: PreTrainedModel, train: Encoded, batches: Sequence[Sequence[int]], recipe: Recipe
) -> list[float]:
    """Losses of one step for each batch of window indices, the published way."""
    optimiser = references.published_optimiser(model, recipe.learning_rate)
    rows = rows_of(train)
    return references.train(model, rows, batches, optimiser, train.pad_id, recipe.max_length, recipe.max_grad_norm)


def example_training(
    model: PreTrainedModel, train: Encoded, batches: Sequence[Sequence[int]], recipe: Recipe
) -> list[float]:
    """Losses of one step for each batch of window indices, as in transformers' example."""
    optimiser = references.example_optimiser(model, recipe.learning_rate)
    return references.train(model, rows_of(train), batches, optimiser, train.pad_id, None, recipe.max_grad_norm)


def our_training(
    model: PreTrainedModel,
    train: Encoded,
    read: Sequence[Encoded],
    recipe: Recipe,
    device: Device = "cpu",
) -> list[float]:
    """Losses of one epoch of nertransfer's own loop, called as `nertransfer.training.cell` calls it."""
    run = run_options(device)
    machine = finetune.Machine(run, fresh_accelerator(recipe, run))
    _, history = finetune.fit(model, finetune.Training(train, recipe, SEED, read=read), machine)
    return history.losses


def fresh_accelerator(recipe: Recipe, run: RunOptions) -> Accelerator:
    """An accelerator of the recipe's precision, whatever this process computed in before: it knows one only."""
    AcceleratorState._reset_state()
    return make_accelerator(recipe, run)


def our_recipes(recipe: Recipe, bf16: bool) -> dict[str, Recipe]:
    """Our contenders with what they do."""
    return {"ours": recipe} | ({"ours in bf16": replace(recipe, precision="bf16")} if bf16 else {})


REFERENCES = {"published": published_training, "example": example_training}


def training_contenders(
    start: starts.Start,
    labels: Sequence[str],
    train: Encoded,
    read: Sequence[Encoded],
    recipe: Recipe,
    bf16: bool = False,
) -> dict[str, Prepare]:
    """One epoch each, from the same weights; loading them is not measured, making the optimiser is."""
    batches = references.random_batches(len(train.windows), recipe.batch_size, SEED)

    def reference(name: str) -> Callable[[], list[float]]:
        return functools.partial(REFERENCES[name], plain_model(start, labels), train, batches, recipe)

    def ours(recipe: Recipe) -> Callable[[], list[float]]:
        return functools.partial(our_training, starts.load_for_tagging(start, labels, SEED), train, read, recipe)

    return {name: functools.partial(reference, name) for name in REFERENCES} | {
        name: functools.partial(ours, one) for name, one in our_recipes(recipe, bf16).items()
    }


def training(setting: Setting, start: starts.Start, train: Encoded, read: Sequence[Encoded]) -> Workload:
    recipe = setting.config.recipe
    lengths = [len(window.ids) for window in train.windows]
    facts = {
        "windows": len(lengths),
        "steps": -(-len(lengths) // recipe.batch_size),
        "sub_tokens": sum(lengths),
        "distinct_sub_tokens": _distinct(read),
    }
    operations = training_operations(plain_model(start, setting.labels), lengths)
    contenders = training_contenders(start, setting.labels, train, read, recipe, setting.config.bf16)
    return Workload(contenders, facts | {"operations": operations}, None, operations)


def trimming(setting: Setting) -> Workload:
    """A few steps of the big encoder with all word embeddings, with those of all languages, and with the source's."""
    config = setting.config
    train, read = big_train(setting, full=False)
    splits = [split for c in setting.corpora.values() for split in c.splits.values()]
    studied = [setting.stand_in(setting.encoded(split.sentences)) for split in splits]
    seen: dict[str, Sequence[Encoded]] = {"whole": (), "all languages": studied, "ours": read}

    def contender(name: str) -> Callable[[], list[float]]:
        model = starts.load_for_tagging(setting.xlm_roberta, setting.labels, SEED)
        return functools.partial(our_training, model, train, seen[name], config.recipe)

    model = plain_model(setting.xlm_roberta, setting.labels)
    table = model.get_input_embeddings().weight
    others = sum(p.numel() for p in model.parameters()) - table.numel()
    rows = {name: _distinct(several) if several else len(table) for name, several in seen.items()}
    parameters = {name: others + count * table.shape[1] for name, count in rows.items()}
    # AdamW keeps two float32 numbers a parameter
    optimiser_bytes = {name: 8 * count for name, count in parameters.items()}
    facts = {"steps": config.steps, "rows": rows, "parameters": parameters, "optimiser_bytes": optimiser_bytes}
    return Workload({name: functools.partial(contender, name) for name in seen}, facts, compare_outputs)


def _distinct(several: Sequence[Encoded]) -> int:
    """Number of different ids, that of padding included, as `finetune.fit` keeps them."""
    return len({i for encoded in several for window in encoded.windows for i in window.ids} | {several[0].pad_id})


def compare_outputs(outputs: Mapping[str, list[float]]) -> dict[str, Any]:
    """How many losses are not bit for bit those of ours."""
    return {
        "compared_losses": len(outputs["ours"]),
        "differing": {
            name: sum(a != b for a, b in zip(found, outputs["ours"], strict=True))
            for name, found in outputs.items()
            if name != "ours"
        },
    }


# --- quality --------------------------------------------------------------------------------


def quality(setting: Setting) -> Workload:
    """F1 on the source's test set after a short fine-tuning of the small encoder; every round is another seed."""
    config, labels = setting.config, setting.labels
    recipe = replace(config.recipe, **QUALITY)
    train, test = setting.encoded(setting.train(config.batches)), setting.corpora[config.source].test
    sentences, gold = [s.words for s in test.sentences], [s.tags for s in test.sentences]
    encoded = encode(sentences, setting.tokenizer, recipe.max_length)

    def published(seed: int) -> dict[str, float]:
        model = plain_model(setting.start, labels, seed)
        batches = [
            batch
            for epoch in range(recipe.epochs)
            for batch in references.random_batches(len(train.windows), recipe.batch_size, recipe.epochs * seed + epoch)
        ]
        published_training(model, train, batches, recipe)
        features = references.published_features(sentences, setting.tokenizer, recipe.max_length)
        found = references.tag(model, features, labels, train.pad_id, recipe.max_length, SCORING_BATCH)
        return _f1(gold, [[tag or OUTSIDE for tag in tags] for tags in found])

    def ours(recipe: Recipe, seed: int) -> dict[str, float]:
        run = run_options("cpu")
        accelerator = fresh_accelerator(recipe, run)
        model = starts.load_for_tagging(setting.start, labels, seed)
        training = finetune.Training(train, recipe, seed, read=setting.read)
        trained, _ = finetune.fit(model, training, finetune.Machine(run, accelerator))
        return _f1(gold, predict(trained, encoded, labels, accelerator))

    made: dict[str, Callable[[int], dict[str, float]]] = {"published": published} | {
        name: functools.partial(ours, one) for name, one in our_recipes(recipe, config.bf16).items()
    }
    seeds = {name: itertools.count() for name in made}
    contenders: dict[str, Prepare] = {
        name: lambda name=name: functools.partial(made[name], next(seeds[name])) for name in made
    }
    facts = {"windows": len(train.windows), "sentences": len(sentences), **QUALITY}
    return Workload(contenders, facts)


def _f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    return {"test_f1": score(gold, predicted).default[ALL].f1}


# --- memory ---------------------------------------------------------------------------------


def full_windows(train: Encoded, count: int, length: int) -> Encoded:
    """``count`` windows without room left: the words of the split one after another, over and over, cut at ``length``.

    Every window has one special token before and one after its words.
    """

    def stream() -> Iterator[tuple[int, int | None]]:
        while True:
            for window in train.windows:
                words = dict(zip(window.positions, window.words, strict=True))
                for position in range(1, len(window.ids) - 1):
                    yield window.ids[position], words.get(position)

    pieces = stream()
    first, last = train.windows[0].ids[0], train.windows[0].ids[-1]
    windows = []
    for _ in range(count):
        inner = [next(pieces) for _ in range(length - 2)]
        words = [(place, word) for place, (_, word) in enumerate(inner, start=1) if word is not None]
        ids = (first, *(i for i, _ in inner), last)
        places = tuple(place for place, _ in words)
        windows.append(Window(ids, places, tuple(place + 1 for place in places), tuple(word for _, word in words)))
    return replace(train, windows=tuple(windows))


def big_train(setting: Setting, full: bool) -> tuple[Encoded, list[Encoded]]:
    """The split of the xlm-roberta-base workloads and all that the model sees.

    The split is ``steps`` batches, of sentences or of full windows.
    """
    config = setting.config
    read = [setting.stand_in(encoded) for encoded in setting.read]
    if full:
        return full_windows(read[0], config.steps * config.recipe.batch_size, config.recipe.max_length), read
    return setting.stand_in(setting.encoded(setting.train(config.steps))), read


def memory(setting: Setting, name: str, script: Path) -> Workload:
    """Each contender trains in a process of its own, which says how much memory it had at most."""
    config = setting.config
    train, read = big_train(setting, full=name == "memory-full")
    command = [
        sys.executable, str(script), "--workloads", name, "--data", str(config.data), "--start", str(config.start),
        "--source", config.source, "--steps", str(config.steps), "--threads", str(config.threads),
        "--xlm-roberta", str(config.xlm_roberta), "--peak-of",
    ]  # fmt: skip

    def child(contender: str) -> dict[str, float]:
        environment = os.environ | {"OMP_NUM_THREADS": str(config.threads)}
        done = subprocess.run([*command, contender], capture_output=True, text=True, env=environment)
        if done.returncode:
            raise RuntimeError(f"{contender} failed in {name}: {done.stderr[-3000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    contenders: dict[str, Prepare] = {
        contender: functools.partial(functools.partial, child, contender) for contender in (*REFERENCES, "ours")
    }
    facts = training(setting, setting.xlm_roberta, train, read).facts
    return Workload(contenders, facts)


def peak_of(setting: Setting, contender: str, name: str) -> dict[str, int]:
    """Peak memory of this process before and after the contender has trained."""
    train, read = big_train(setting, full=name == "memory-full")
    contenders = training_contenders(setting.xlm_roberta, setting.labels, train, read, setting.config.recipe)
    work = contenders[contender]()
    before = peak_memory()
    work()
    return {"peak_bytes": peak_memory(), "loaded_bytes": before}


# --- scoring --------------------------------------------------------------------------------


def scoring(setting: Setting) -> Workload:
    """Tag every test set, sentences to tags, with the same tagger."""
    config = setting.config
    tests = [
        [s.words for s in _sample(c.test.sentences, config.batches * SCORING_BATCH)] for c in setting.corpora.values()
    ]
    run = run_options(config.device)
    accelerator = fresh_accelerator(config.recipe, run)
    tagger, plain = (m.to(accelerator.device) for m in (setting.tagger, plain_model(setting.start, setting.labels)))
    plain.load_state_dict(tagger.state_dict())
    plain.config.id2label = dict(enumerate(setting.labels))
    tokenizer, labels, length = setting.tokenizer, setting.labels, config.recipe.max_length
    pad_id = tokenizer.pad_token_id

    def reference(make_features: Callable[..., list[references.Features]], padded: int | None) -> references.Tags:
        """Rows are padded to ``padded``, None: to the longest of a batch."""
        found: references.Tags = []
        for sentences in tests:
            features = make_features(sentences, tokenizer, length)
            found += references.tag(plain, features, labels, pad_id, padded, SCORING_BATCH)
        return found

    def one_by_one() -> references.Tags:
        return [tags for sentences in tests for tags in references.pipeline_tags(plain, tokenizer, sentences)]

    def ours() -> list[list[str]]:
        encoded = joined([encode(sentences, tokenizer, length) for sentences in tests])
        return predict(tagger, encoded, labels, accelerator, run.evaluation_tokens)

    named: dict[str, Callable[[], Any]] = {
        "published": functools.partial(reference, references.published_features, length),
        "example": functools.partial(reference, references.example_features, None),
        "pipeline": one_by_one,
        "ours": ours,
    }
    facts = {
        "test_sets": len(tests),
        "sentences": sum(map(len, tests)),
        "words": sum(len(words) for sentences in tests for words in sentences),
    }
    return Workload({name: _unprepared(work) for name, work in named.items()}, facts, compare_tags)


def _unprepared(work: Callable[[], Any]) -> Prepare:
    return lambda: work


def compare_tags(outputs: Mapping[str, Sequence[Sequence[str | None]]]) -> dict[str, Any]:
    """Words that a contender tags unlike ours does.

    Sentences with a word that some contender leaves untagged, because it gives it no sub-token or cuts it off, are
    not compared: the others read another sentence there.
    """
    whole = [all(None not in tags for tags in several) for several in zip(*outputs.values(), strict=True)]
    compared = {
        name: [tag for tags, all_there in zip(found, whole, strict=True) if all_there for tag in tags]
        for name, found in outputs.items()
    }
    ours = compared["ours"]
    return {
        "compared_words": len(ours),
        "entity_words": sum(tag != OUTSIDE for tag in ours),
        "sentences_left_out": whole.count(False),
        "untagged_words": {name: sum(tags.count(None) for tags in found) for name, found in outputs.items()},
        "differing": {
            name: sum(a != b for a, b in zip(found, ours, strict=True))
            for name, found in compared.items()
            if name != "ours"
        },
    }


# --- tokenising -----------------------------------------------------------------------------


def tokenising(setting: Setting) -> Workload:
    """Words of the source's train split to ids."""
    sentences = setting.train(setting.config.batches)
    words = [s.words for s in sentences]
    length = setting.config.recipe.max_length
    named = {
        "published": functools.partial(references.published_features, words, setting.tokenizer, length),
        "example": functools.partial(references.example_features, words, setting.tokenizer, length),
        "ours": functools.partial(setting.encoded, sentences),
    }
    facts = {"sentences": len(words), "words": sum(map(len, words))}
    return Workload({name: _unprepared(work) for name, work in named.items()}, facts, compare_ids)


def compare_ids(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Sentences that a contender turns into other ids than ours does; those of several windows are not compared."""
    encoded: Encoded = outputs["ours"]
    starts_of = {int(start): number for number, start in enumerate(encoded.sentence_starts[:-1])}
    ends = encoded.sentence_starts[1:]
    ours = {}
    for window in encoded.windows:
        number = starts_of.get(window.words[0])
        if number is not None and window.words[-1] + 1 == ends[number]:
            ours[number] = list(window.ids)
    differing = {
        name: sum(found[number].ids != ids for number, ids in ours.items())
        for name, found in outputs.items()
        if name != "ours"
    }
    return {"compared_sentences": len(ours), "differing": differing}


# --- the same result ------------------------------------------------------------------------


def own_batches(train: Encoded, recipe: Recipe) -> list[list[int]]:
    """The batches of `finetune.fit`'s first epoch."""
    order = torch.Generator().manual_seed(finetune.mixed(SEED, finetune._ORDER, 0))
    return epoch_batches(train, recipe.batch_size, order)


def _without_dropout(model: PreTrainedModel) -> PreTrainedModel:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
        if hasattr(model.config, name):
            setattr(model.config, name, 0.0)
    return model


def compare_losses(
    start: starts.Start,
    labels: Sequence[str],
    train: Encoded,
    read: Sequence[Encoded],
    recipe: Recipe,
    device: Device = "cpu",
) -> dict[str, Any]:
    """Greatest difference to our loss at any step, without dropout, of each reference on our batches."""
    ours = our_training(_without_dropout(starts.load_for_tagging(start, labels, SEED)), train, read, recipe, device)
    batches, on = own_batches(train, recipe), make_accelerator(recipe, run_options(device)).device
    losses = {
        name: reference(_without_dropout(plain_model(start, labels)).to(on), train, batches, recipe)
        for name, reference in REFERENCES.items()
    }
    differences = {name: float(np.max(np.abs(np.subtract(found, ours)))) for name, found in losses.items()}
    return {"steps": len(ours), "losses": {"ours": ours, **losses}, "differences": differences}


def check(setting: Setting, folder: Path) -> dict[str, Any]:
    """Losses on both kinds of encoder, labels and ids; ``right`` when all contenders agree. Writes into ``folder``."""
    config = setting.config
    train = setting.encoded(setting.train(config.batches or CHECK_STEPS))
    xlmr = starts.Start("small-xlmr", str(save_xlm_roberta(folder / "small-xlmr", **SMALL)))
    found: dict[str, Any] = {
        "training": compare_losses(setting.start, setting.labels, train, setting.read, config.recipe),
        "training-xlmr-small": compare_losses(
            xlmr, setting.labels, setting.stand_in(train), list(map(setting.stand_in, setting.read)), config.recipe
        ),
    }
    for name, workload in (("scoring", scoring(setting)), ("tokenising", tokenising(setting))):
        assert workload.compare is not None
        outputs = {contender: prepare()() for contender, prepare in workload.contenders.items()}
        found[name] = workload.compare(outputs)
    return found | {"right": is_right(found)}


def is_right(found: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether all losses agree within LOSS_LIMIT and nothing differs."""
    losses = [d for one in found.values() for d in one.get("differences", {}).values()]
    counts = [count for one in found.values() for count in one.get("differing", {}).values()]
    return max(losses, default=0.0) < LOSS_LIMIT and not any(counts)
