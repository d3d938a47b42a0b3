"""Typed configurations of the entry points: every parameter, its default, its limits.

Each entry point has one frozen dataclass. The fields that are dataclasses themselves group
parameters that several entry points share; on the command line all are flat. ``POSITIONAL`` names the
parameter that a value without a name is given to, where people can mean no other. A default is
written here and nowhere else (MLproject repeats some, and a test compares). Values that
contradict each other or are out of range raise `InputError` when the object is built.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from nertransfer.core.grid import ADDED, AFTER, NONE, OWN, START_NAME, check_code, is_zero_shot, languages_of
from nertransfer.core.options import (
    ADAPT_HELP,
    CORPORA_HELP,
    PLANTED,
    UNLESS_GIVEN,
    DataOptions,
    DeviceOptions,
    FormatOptions,
    Limited,
    ModelOptions,
    Recipe,
    RunOptions,
    ScoringOptions,
    SlurmOptions,
    StoreOptions,
    Text,
    TrackingOptions,
    TrainingOptions,
    check,
    check_source,
    check_unique,
    corpora,
    corpora_of,
    option,
    required,
    study_of,
)
from nertransfer.core.schema import SCORED_SPLITS


def _check_recipe_and_run(recipe: Recipe, run: RunOptions, num_processes: int) -> None:
    check(
        recipe.batch_size % run.gradient_accumulation == 0,
        "gradient_accumulation",
        run.gradient_accumulation,
        f"a divisor of batch_size={recipe.batch_size}",
    )
    check(
        not (recipe.precision == "fp16" and run.device == "cpu"),
        "precision",
        recipe.precision,
        "fp32 or bf16 with device=cpu",
    )
    check(
        not (run.compile and (recipe.precision == "fp16" or num_processes > 1)), "compile", run.compile,
        "false with precision=fp16 or num_processes above 1",
    )  # fmt: skip


SEEDS: Any = {"at_least": 0, "at_most": 2**31 - 1}
PORTS: Any = {"at_least": 0, "at_most": 65535}
"""Limits of several parameters."""
HOST_NAME = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]", re.IGNORECASE)
"""As in the header Host: an IPv6 address in brackets."""
KEEP_HELP = "keep the weights of every cell in work_dir, not only of the best seed of its start and source so far"
SELECTION_HELP = "split whose source F1 picks the best seed; test only to reproduce the published cards"
TARGETS_HELP = "languages to score, comma-separated; empty: all of the data"
FEW_SHOT_HELP = "added: in one training with the source's sentences; after: in a second training, after the source's"
SEVERAL_HELP = "several joined by '+' are one source, such as hau+swa"
START_HELP = "base, a language code of the catalogue, a hub id, a folder, or name=any of these"
NUM_PROCESSES_HELP = "processes that share the batch: one per GPU, or gloo processes on CPU"


@dataclass(frozen=True)
class StudyConfig(Limited):
    """A grid of starts x sources x seeds, scored on targets, registered and analysed."""

    POSITIONAL: ClassVar[str] = "study_file"

    study_file: str = option("", "YAML file that gives any of these parameters; what is given beside it goes first")
    plan: bool = option(False, "print the grid, what of it is done, and what the rest would take here; run none of it")
    data: DataOptions = corpora(PLANTED, f"corpora: {CORPORA_HELP}", UNLESS_GIVEN)
    starts: tuple[str, ...] = option(
        ("base",),
        "starts, comma-separated: base, own (the one adapted to the source), a language code of the catalogue, "
        "a hub id, a folder, or name=any of these",
    )
    pivots: tuple[str, ...] = option((), "sources on which every source's own start is fine-tuned too")
    adapted: tuple[str, ...] = option(
        (), "what 'own' means for a language: language=start, comma-separated; else the catalogue's"
    )
    sources: tuple[str, ...] = option(
        (), f"languages to fine-tune on, comma-separated; {SEVERAL_HELP}; empty: all of the data"
    )
    targets: tuple[str, ...] = option((), TARGETS_HELP)
    few_shot_languages: tuple[str, ...] = option(
        (), "targets of which every source is also given a few labelled sentences, comma-separated"
    )
    few_shot_sentences: tuple[int, ...] = option(
        (), "how many, comma-separated: 10,50,100,500; 0: the source alone", at_least=0
    )
    few_shot_mode: Literal[ADDED, AFTER] = option(ADDED, FEW_SHOT_HELP)  # type: ignore[valid-type]
    seeds: tuple[int, ...] = option((0, 1, 2), "seeds, comma-separated; one fine-tuning each", **SEEDS)
    recipe: Recipe = field(default_factory=Recipe)
    run: RunOptions = field(default_factory=RunOptions)
    executor: Literal["local", "slurm", "script"] = option(
        "local", "where cells run: on this machine, as a Slurm array, or as sbatch files to submit by hand"
    )
    workers: int = option(
        0, "cells at the same time on this machine; 0: one for every GPU, one without a GPU", at_least=0
    )
    num_processes: int = option(1, NUM_PROCESSES_HELP, at_least=1)
    slurm: SlurmOptions = field(default_factory=SlurmOptions)
    keep_weights: bool = option(False, KEEP_HELP)
    tracking: TrackingOptions = field(default_factory=TrackingOptions)
    selection_split: Literal["dev", "test"] = option("dev", SELECTION_HELP)
    replace: bool = option(
        False,
        "move aliases of registered models also where the corpus or the start's weights have changed, where they "
        "belong to another study, and where the champion is pinned",
    )
    output: str = option("reports", "folder of the report; the study's name is appended")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_recipe_and_run(self.recipe, self.run, self.num_processes)
        for parameter in ("seeds", "starts"):
            check(bool(getattr(self, parameter)), parameter, "", "at least one")
        for text in self.adapted:
            language, separator, start = text.partition("=")
            check(bool(separator and start.strip()), "adapted", text, "language=start")
            check_code(language, "adapted", text)
        check_unique("adapted", tuple(text.partition("=")[0] for text in self.adapted))
        self._check_few_shot()

    def _check_few_shot(self) -> None:
        languages, sentences = self.few_shot_languages, self.few_shot_sentences
        shown = ",".join(map(str, sentences))
        needed = f"with few_shot_languages={','.join(languages)} at least one number above 0, such as 10,50,100,500"
        check(not languages or any(sentences), "few_shot_sentences", shown, needed)
        check(bool(languages) or not sentences, "few_shot_sentences", shown, "few_shot_languages says of which targets")
        for language in languages:
            check(
                not self.targets or language in self.targets, "few_shot_languages", language,
                f"some of targets={','.join(self.targets)}",
            )  # fmt: skip


@dataclass(frozen=True)
class TrainConfig(Limited):
    """One cell: fine-tune a start on a source, score every target, track."""

    source: str = required(
        f"language whose train split is fine-tuned on, several as hau+swa, or {NONE}: only few_shot_sentences",
        example="hau",
    )
    few_shot_language: str = option("", "target of which a few labelled sentences are used, too")
    few_shot_sentences: int = option(0, "how many sentences of few_shot_language; 0: none", at_least=0)
    few_shot_mode: Literal[ADDED, AFTER] = option(ADDED, FEW_SHOT_HELP)  # type: ignore[valid-type]
    start: str = option("base", START_HELP)
    seed: int = option(0, "seed of the new head, of the batch order and of dropout", **SEEDS)
    targets: tuple[str, ...] = option((), TARGETS_HELP)
    num_processes: int = option(1, NUM_PROCESSES_HELP, at_least=1)
    again: bool = option(False, "run the cell although it is finished, for its weights")
    data: DataOptions = field(kw_only=True)
    recipe: Recipe = field(default_factory=Recipe)
    run: RunOptions = field(default_factory=RunOptions)
    tracking: TrackingOptions = field(default_factory=TrackingOptions)
    selection_split: Literal["dev", "test"] = option("dev", SELECTION_HELP)
    keep_weights: bool = option(False, KEEP_HELP)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_recipe_and_run(self.recipe, self.run, self.num_processes)
        language, number = self.few_shot_language, self.few_shot_sentences
        check(not number or bool(language), "few_shot_sentences", number, "few_shot_language says of which language")
        check(number > 0 or not language, "few_shot_language", language, "few_shot_sentences says how many of it")
        check(number > 0 or self.source != NONE, "source", NONE, "few_shot_sentences says how many to fine-tune on")
        check(
            self.source != NONE or self.few_shot_mode == ADDED, "few_shot_mode", self.few_shot_mode,
            f"there is nothing before the sentences with source={NONE}",
        )  # fmt: skip
        if number:
            check(
                is_zero_shot(self.source, language), "few_shot_language", language,
                f"another one than those of the source, {', '.join(languages_of(self.source))}",
            )  # fmt: skip
            check(
                not self.targets or language in self.targets, "few_shot_language", language,
                f"one of targets={','.join(self.targets)}",
            )  # fmt: skip


@dataclass(frozen=True)
class EvaluateConfig(Limited):
    """Score a model that exists on targets."""

    POSITIONAL: ClassVar[str] = "model"

    model: str = required(
        "runs:/<run id> of a cell, models:/<name>@<alias>, a folder, or a hub id of a token classifier",
        example="models:/ner-hau@champion",
    )
    targets: tuple[str, ...] = option((), TARGETS_HELP)
    splits: tuple[str, ...] = option(SCORED_SPLITS, "splits to score, comma-separated")
    max_length: int = option(
        0, "window length, in sub-tokens with the special ones; 0: the one the model was fine-tuned with", at_least=8
    )
    data: DataOptions = corpora_of("the model")
    run: ScoringOptions = field(default_factory=ScoringOptions)
    tracking: TrackingOptions = study_of("the one that the model is from, else the name of the data")

    def __post_init__(self) -> None:
        super().__post_init__()
        check(
            bool(self.splits) and set(self.splits) <= set(SCORED_SPLITS),
            "splits",
            ",".join(self.splits),
            f"some of {', '.join(SCORED_SPLITS)}",
        )


@dataclass(frozen=True)
class EmbedConfig(Limited):
    """Store the contextual vectors of entity words under starts and fine-tuned cells."""

    POSITIONAL: ClassVar[str] = "study"

    models: tuple[str, ...] = option(
        (),
        "start names, runs:/<run id> of cells, models:/<name>@<alias>, folders or hub ids, comma-separated; empty: all "
        "starts of the study, and all its cells whose weights are at hand",
    )
    targets: tuple[str, ...] = option((), "languages whose words are embedded, comma-separated; empty: all of the data")
    split: Literal["train", "dev", "test"] = option("test", "split whose entity words are embedded")
    layers: tuple[int, ...] = option(
        (1, 2, 3, 4), "hidden layers that are summed, comma-separated, counted from the last, which is 1", at_least=1
    )
    stored_words: int = option(
        200,
        "most words of a language and category whose vectors are stored, drawn with a fixed seed; 0: all",
        at_least=0,
    )
    data: DataOptions = corpora_of("the study")
    run: ScoringOptions = field(default_factory=ScoringOptions)
    tracking: TrackingOptions = study_of("the study called like the data, or the only one there is")

    def __post_init__(self) -> None:
        super().__post_init__()
        check(bool(self.layers), "layers", "", "at least one")


@dataclass(frozen=True)
class AdaptConfig(Limited):
    """Continue masked-language modelling of a start on one language's plain text."""

    language: str = required("language of the text; the new start's name", example="hau")
    start: str = option("base", START_HELP)
    text: str = option("", "UTF-8 text file, one sentence per line; needed unless data=planted, which has its own text")
    output: str = option("", "folder of the new start; empty: <work_dir>/starts/<language>")
    epochs: int = option(3, "passes over the text", at_least=1)
    batch_size: int = option(32, "lines per step", at_least=1)
    max_length: int = option(256, "sub-tokens per line with the special ones; longer lines are split", at_least=8)
    learning_rate: float = option(5e-5, "peak learning rate of AdamW, linear to 0", above=0, below=1)
    masking: float = option(0.15, "fraction of sub-tokens that are masked", above=0, below=1)
    seed: int = option(0, "seed of masking, order and dropout", **SEEDS)
    data: DataOptions = corpora("", ADAPT_HELP)
    run: TrainingOptions = field(default_factory=TrainingOptions)
    tracking: TrackingOptions = study_of("the name of the data, or adaptations where none is given")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_code(self.language, "language")

    @property
    def recipe(self) -> Recipe:
        return Recipe(
            epochs=self.epochs, batch_size=self.batch_size, max_length=self.max_length,
            learning_rate=self.learning_rate,
        )  # fmt: skip


@dataclass(frozen=True)
class RegisterConfig(Limited):
    """Put the best seed of every (start, source) of a study into the model registry."""

    POSITIONAL: ClassVar[str] = "study"

    sources: tuple[str, ...] = option(
        (), f"sources to register, comma-separated; {SEVERAL_HELP}; empty: languages, or all of the study"
    )
    data: DataOptions = corpora_of("the study")
    tracking: TrackingOptions = study_of("the study called like the data, or the only one there is")
    selection_split: Literal["dev", "test"] = option("dev", SELECTION_HELP)
    replace: bool = option(
        False,
        "move aliases also where recipe, corpus or the start's weights differ from what their version was made from, "
        "where they belong to another study, and where the champion is pinned",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for source in self.sources:
            check_source(source, "sources")


@dataclass(frozen=True)
class ModelsConfig(Limited):
    """List every version of every registered model, and which are stale."""

    sources: tuple[str, ...] = option(
        (), f"sources whose models are listed, comma-separated; {SEVERAL_HELP}; empty: languages, or all"
    )
    data: DataOptions = corpora_of("each study")
    tracking: TrackingOptions = study_of("the one called like the data; without data all")

    def __post_init__(self) -> None:
        super().__post_init__()
        for source in self.sources:
            check_source(source, "sources")


@dataclass(frozen=True)
class RollbackConfig(Limited):
    """Point the champion of a language at an earlier version, and pin it there."""

    POSITIONAL: ClassVar[str] = "language"

    language: str = required("source language of the registered model", example="hau")
    version: int = option(0, "version to make champion; 0: the champion before the present one", at_least=0)
    tracking: StoreOptions = field(default_factory=StoreOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_source(self.language, "language")


@dataclass(frozen=True)
class RelocateConfig:
    """Bring the addresses in a store's database in line with where its files are, after a move or in a copy."""

    old: str = option(
        "", "folder that the store's files were in, as its database names it; empty: found by the files beside it"
    )
    new: str = option("", "folder that has them now; empty: that of the database file")
    plan: bool = option(False, "count what would be changed, and change nothing")
    tracking: StoreOptions = field(default_factory=StoreOptions)

    def __post_init__(self) -> None:
        check(Path(self.old).is_absolute() or not self.old, "old", self.old, "a whole path, as the database has it")
        check(Path(self.old) != Path("/"), "old", self.old, "a folder below /")


VARIANTS = ("torch", "onnx", "onnx-int8")
"""Forms of an exported model."""


@dataclass(frozen=True)
class ExportConfig:
    """Write a registered model, or a cell's, to a folder that transformers loads and a model hub shows."""

    which: ModelOptions = field(default_factory=ModelOptions)
    variant: Literal[*VARIANTS] = option(  # type: ignore[valid-type]
        "torch", "onnx and onnx-int8 (weights in 8 bits, for a CPU) add a graph for ONNX Runtime beside the weights"
    )
    output: str = option("exports", "folder; <registered name>-<alias, version or run> is appended")
    push_to: str = option("", "owner/name on the Hugging Face hub to upload it to; the token is that in HF_TOKEN")
    data: DataOptions = corpora_of("the model")
    tracking: TrackingOptions = study_of("the one that the model is from")

    def __post_init__(self) -> None:
        model = self.which.model
        check(
            model.startswith(("models:/", "runs:/")) or not model, "model", model,
            "models:/<name>@<alias>, models:/<name>/<version> or runs:/<run id>",
        )  # fmt: skip
        check(bool(self.output.strip()), "output", self.output, "a folder")
        check(not self.push_to or self.push_to.count("/") == 1, "push_to", self.push_to, "owner/name on the hub")


@dataclass(frozen=True)
class PredictConfig(Limited):
    """Find the entities of a text with a registered model."""

    POSITIONAL: ClassVar[str] = "input"

    input: Text = option(  # noqa: RUF009
        "", "a sentence, a UTF-8 file (one text a line, or CoNLL columns with the word first), or - for standard "
        "input; empty: standard input, where something is piped in",
    )  # fmt: skip
    which: ModelOptions = field(default_factory=ModelOptions)
    input_format: Literal["text", "conll"] = option(
        "text", "text: one a line, split into words here; conll: a word a line, an empty line after each sentence"
    )
    format: Literal["conll", "jsonl", "html", "marked"] = option(
        "", "conll: word and tag; jsonl: a JSON object a text; html: a page with coloured entities; marked: the text "
        "with its entities marked, and a list of them; empty: jsonl for a file, else marked",
    )  # fmt: skip
    output: str = option(
        "", "file to write; empty: for a file beside it, <its name>.entities.<format>; else it is printed"
    )
    threshold: float = option(0.0, "entities with a lower score are left out", at_least=0, at_most=1)
    run: DeviceOptions = field(default_factory=DeviceOptions)
    tracking: StoreOptions = field(default_factory=StoreOptions)


@dataclass(frozen=True)
class ServeConfig(Limited):
    """Answer requests over HTTP with a registered model."""

    which: ModelOptions = field(default_factory=ModelOptions)
    host: str = option("127.0.0.1", "address to listen at; 127.0.0.1: this machine alone")
    port: int = option(5001, "port to listen at; 0: any that is free", **PORTS)
    allowed_hosts: tuple[str, ...] = option(
        (), "names by which the server is asked besides localhost, 127.0.0.1, [::1] and host, comma-separated"
    )
    run: DeviceOptions = field(default_factory=DeviceOptions)
    tracking: StoreOptions = field(default_factory=StoreOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        check(bool(self.host.strip()), "host", self.host, "an address of this machine")
        for name in self.allowed_hosts:
            allowed = "names or addresses without http://, port and path, such as ner.example.org or 192.0.2.7"
            check(HOST_NAME.fullmatch(name) is not None, "allowed_hosts", name, allowed)


@dataclass(frozen=True)
class UiConfig(Limited):
    """Browse a store in MLflow, on this machine alone."""

    port: int = option(5000, "port to listen at, on 127.0.0.1; 0: any that is free", **PORTS)
    tracking: StoreOptions = field(default_factory=StoreOptions)


@dataclass(frozen=True)
class DataConfig:
    """Read corpora strictly and describe them."""

    POSITIONAL: ClassVar[str] = "data"

    data: DataOptions
    output: str = option("reports", "folder of the table; <name of the data>/data.csv is appended")


@dataclass(frozen=True)
class ConvertConfig:
    """Convert corpora in other formats, tag schemes and categories to a folder that every command reads."""

    POSITIONAL: ClassVar[str] = "input"

    input: str = required(
        "folder or file with train, dev or test in the names of its files: columns (CoNLL, CoNLL-U, UNER, WikiANN, "
        "MultiCoNER), JSON or JSON Lines (doccano, Label Studio, spaCy, Prodigy, GLiNER, tokens and tags), Parquet or "
        "Arrow files of a Hugging Face dataset",
        example="theirs",
    )
    output: str = option("converted", "new folder: <language>/{train,dev,test}.txt")
    reading: FormatOptions = field(default_factory=FormatOptions)
    language: str = option("", "code of the language of files that name none")
    rename: tuple[str, ...] = option((), "codes of languages by the names that files have, such as en_ewt-ud=eng")

    def __post_init__(self) -> None:
        check(bool(self.output.strip()), "output", self.output, "a new folder")
        if self.language:
            check_code(self.language, "language")


@dataclass(frozen=True)
class ImportConfig:
    """Bring published result files, or a table of scores, into a study."""

    results: str = required(
        "folder of the published results: a checkout of the repository, or its models folder; or a CSV file of scores, "
        "such as the results.csv of a report",
        example="NERTransfer",
    )
    data: DataOptions = corpora(
        "", f"corpora that predictions are scored against, as {CORPORA_HELP}; empty: none, for scores alone"
    )
    tracking: TrackingOptions = field(default_factory=TrackingOptions)


WITHOUT_SEED = -1


@dataclass(frozen=True)
class PredictionsConfig(Limited):
    """Bring predictions of any system on known corpora into a study, as cells."""

    predictions: tuple[str, ...] = required(
        "a folder with <target>.txt, <target>.jsonl or <target>/<file>, with dev or test in the name where it is not "
        "split; or <target>:<file>, comma-separated",
        example="predictions",
    )
    system: str = required("the system's name, which stands where a start's does", example="gliner")
    source: str = required(
        f"language that the system was trained on for this task, {SEVERAL_HELP}, or {NONE}: on none of them in "
        "particular, as a prompted model", example="none",
    )  # fmt: skip
    seed: int = option(
        WITHOUT_SEED, f"seed of these predictions; {WITHOUT_SEED}: it has none, and intervals are over sentences alone",
        at_least=WITHOUT_SEED, at_most=SEEDS["at_most"],
    )  # fmt: skip
    split: Literal[SCORED_SPLITS] = option("test", "split of files that name none")  # type: ignore[valid-type]
    format: Literal["auto", "conll", "spans", "strings"] = option(
        "auto", "conll: a word and its tag a line; spans: JSON with tokens or a text and spans in it; strings: JSON "
        "with the entities' own text; auto: found by the file, and told"
    )  # fmt: skip
    half_words: Literal["refuse", "widen"] = option(
        "refuse", "spans that cover a part of a word: an error, or the whole word is taken"
    )
    ignore_case: bool = option(False, "strings are looked for in any case")
    reading: FormatOptions = field(default_factory=FormatOptions)
    data: DataOptions = corpora_of("the study")
    tracking: TrackingOptions = study_of("the study called like the data, or the only one there is")

    def __post_init__(self) -> None:
        super().__post_init__()
        check(any(one.strip() for one in self.predictions), "predictions", "", "a folder, or <target>:<file>")
        allowed = f"a letter, then at most 47 letters, digits, '_' or '-', and not {OWN}"
        check(bool(START_NAME.fullmatch(self.system)) and self.system != OWN, "system", self.system, allowed)
        if self.source != NONE:
            check_source(self.source, "source")
            check_unique("source", languages_of(self.source))


RANKERS = (
    "average", "train_size", "word_overlap", "names", "relatives", "geography", "hidden_states", "linear", "lambdarank",
    "model",
)  # fmt: skip
"""Ways to rank sources, the simplest first; `analysis.ranking.rankers` has them."""


@dataclass(frozen=True)
class RankConfig:
    """Rank starts and sources, of a study or of what another one tells, for a target without labelled train data."""

    POSITIONAL: ClassVar[str] = "target"

    target: str = required(
        "code of the language to find a source for; one of the study's is treated as if it were new", example="zul"
    )
    start: str = option("", "start whose sources are ranked; empty: all starts of the study together; of a prior, base")
    prior: str = option(
        "",
        "rank by what another study tells, without one of your own: published (shipped: the first study's scores), a "
        "file that save_prior wrote, or a study of the store",
    )
    sources: tuple[str, ...] = option(
        (), "with prior: languages to choose among, comma-separated; empty: those of the prior"
    )
    save_prior: str = option("", "file to write what the study tells as a prior for others; it has no texts")
    cite: str = option("", "with save_prior: where the scores are from, in words")
    text: str = option(
        "", "unlabelled text of the target: a UTF-8 file with one sentence a line, or a folder of such *.txt files"
    )
    labelled: str = option("", "a few labelled sentences of the target in CoNLL columns, such as its dev.txt")
    tokenizer: str = option("", "folder with a tokenizer.json: sub-tokens are compared, too; empty: that of encoder")
    encoder: str = option(
        "", "start whose hidden states of some sentences of every text are compared: a name, a folder or a hub id"
    )
    uriel: bool = option(
        False, "distances of languages by URIEL (ISO 639-3 codes; needs the extra uriel), not by this project's table"
    )
    ranker: Literal["best", *RANKERS] = option(  # type: ignore[valid-type]
        "best",
        "way to rank; best: the mixed model, unless a plain way has less regret for certain when every target of the "
        "study is left out in turn; with too few targets for that the simplest",
    )
    data: DataOptions = corpora_of("the study")
    tracking: TrackingOptions = study_of("the study called like the data, or the only one there is")
    output: str = option("reports", "folder of the tables; <study>/recommended is appended")

    def __post_init__(self) -> None:
        check_code(self.target, "target")
        for code in self.sources:
            check_code(code, "sources", code)
        check_unique("sources", self.sources)
        known = bool(self.prior) or not self.sources
        check(known, "sources", ",".join(self.sources), "prior says what is known of them")
        for name in ("tokenizer", "encoder", "save_prior", "cite") if self.prior else ():
            check(not getattr(self, name), name, getattr(self, name), "not with prior, which has no texts")
        check(not (self.prior and self.uriel), "uriel", self.uriel, "false with prior")
        check(not self.prior or self.ranker in ("best", "model"), "ranker", self.ranker, "best or model with prior")


@dataclass(frozen=True)
class AnalyseConfig:
    """Read a study from the tracking server and write its report."""

    POSITIONAL: ClassVar[str] = "study"

    data: DataOptions = corpora_of("the study")
    tracking: TrackingOptions = study_of("the study called like the data, or the only one there is")
    output: str = option("reports", "folder of the report; the study's name is appended")
    style: Literal["default", "published"] = option(
        "default", "published: tables as the first study printed them (sd with ddof=0, its tests, colours and rounding)"
    )
    order: Literal["auto", "given", "family", "region", "clustering"] = option(
        "auto",
        "languages in tables and figures: as the study names them (given), by family, by region, or by similar scores; "
        "auto: given with style=published, else family",
    )
    selection_split: Literal["dev", "test"] = option("dev", SELECTION_HELP)
    starts: tuple[str, ...] = option((), "starts to report alone, comma-separated, in <study>-part; empty: all")
    sources: tuple[str, ...] = option((), "sources to report alone; empty: all")
    targets: tuple[str, ...] = option((), "targets to report alone; empty: all")
