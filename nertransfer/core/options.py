"""The parameters of the entry points, in groups that several of them have: defaults, limits, help."""

import math
import operator
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NewType

from nertransfer.core.errors import InputError
from nertransfer.core.grid import SEPARATOR, check_code
from nertransfer.core.schema import REGISTRY_EXPERIMENT

HOLDS = {"above": operator.gt, "at_least": operator.ge, "below": operator.lt, "at_most": operator.le}
_RANGES = {
    (): "",
    ("above",): "above {above}",
    ("at_least",): "of at least {at_least}",
    ("above", "below"): "between {above} and {below}",
    ("at_least", "below"): "from {at_least} to below {below}",
    ("at_least", "at_most"): "from {at_least} to {at_most}",
}
"""What is said of the limits that a parameter has."""


def option(default: Any, help: str, repeats: bool = False, **limits: float) -> Any:
    """A dataclass field with its command-line help; the help names the unit where there is one.

    ``limits``: those of `HOLDS`, the lower one first; they are those of each number where there are several. The
    default is allowed also where it is outside. ``repeats``: of several values two may be the same.
    """
    finite = {name: limit for name, limit in limits.items() if limit != math.inf}
    allowed = _RANGES[tuple(finite)].format(**finite)
    if not isinstance(default, tuple) and not _within(default, limits):
        allowed += f", or {default}"
    return field(default=default, metadata={"help": help, "limits": limits, "allowed": allowed, "repeats": repeats})


def _within(value: Any, limits: Mapping[str, float]) -> bool:
    return value == value and all(HOLDS[name](value, limit) for name, limit in limits.items())  # nan is no number


def required(help: str, example: str) -> Any:
    """A field without a default; the ``example`` is a value that is told to whoever leaves it out."""
    return field(metadata={"help": help, "example": example})


def check(condition: bool, parameter: str, value: object, allowed: str) -> None:
    if not condition:
        raise InputError(f"{parameter}={value!r} is not allowed: {allowed}", parameter, str(value))


def check_unique(parameter: str, values: tuple[Any, ...]) -> None:
    repeated = sorted({str(v) for v in values if values.count(v) > 1})
    if repeated:
        shown = ",".join(map(str, values))
        raise InputError(
            f"{parameter}={shown!r} is not allowed: {', '.join(repeated)} is named twice", parameter, repeated[0]
        )


@dataclass(frozen=True)
class Limited:
    """A configuration that is only built with numbers within their limits, and no value named twice."""

    def __post_init__(self) -> None:
        for f in fields(self):
            kind = "a whole number" if f.type in (int, tuple[int, ...]) else "a number"
            allowed = f"{kind} {f.metadata.get('allowed', '')}".rstrip()
            value = getattr(self, f.name)
            for one in value if isinstance(value, tuple) else (value,):
                check(one == f.default or _within(one, f.metadata.get("limits", {})), f.name, one, allowed)
            if isinstance(value, tuple) and not f.metadata.get("repeats"):
                check_unique(f.name, value)


@dataclass(frozen=True)
class Recipe(Limited):
    """How one cell is fine-tuned. Defaults: the published study (Beukman 2021; Adelani et al. 2021)."""

    epochs: int = option(50, "passes over the train split", at_least=1)
    batch_size: int = option(
        32, "rows (sentences, or windows of long ones) per optimiser step, over all processes", at_least=1
    )
    max_length: int = option(200, "window length, in sub-tokens with the special ones", at_least=8)
    learning_rate: float = option(5e-5, "peak learning rate of AdamW", above=0, below=1)
    warmup_ratio: float = option(
        0.0, "fraction of all steps over which the learning rate rises; then linear to 0", at_least=0, below=1
    )
    weight_decay: float = option(0.0, "decoupled weight decay of AdamW", at_least=0, below=1)
    max_grad_norm: float = option(1.0, "gradients are clipped to this norm", above=0)
    precision: Literal["fp32", "bf16", "fp16"] = option("fp32", "arithmetic of forward and backward passes")
    epoch_choice: Literal["last", "best"] = option(
        "last", "keep the last epoch's weights, or those of the best source-dev F1"
    )
    sampling_temperature: float = option(
        1.0,
        "of a source of several languages: sentences in proportion to size^(1/temperature); 1: all of them once",
        at_least=1,
        below=math.inf,
    )

    @property
    def identity(self) -> dict[str, object]:
        """What tells recipes apart. A parameter that came later is only in it where it is not the default, so that
        what was fine-tuned before is found again."""
        values = asdict(self)
        return {k: v for k, v in values.items() if k not in _ADDED_LATER or v != getattr(type(self), k)}


_ADDED_LATER = ("sampling_temperature",)

RECIPES = {
    "published": Recipe(),
    "planted": Recipe(epochs=8, batch_size=16, learning_rate=2e-3, max_length=128, warmup_ratio=0.1),
}
"""Named recipes: parameters that are not given take their value from one of these."""

PLANTED = "planted"
CORPUS_NAMES = (PLANTED, "masakhaner", "masakhaner2", "masakhane_transfer")


def default_recipe(data: str) -> str:
    """Name of the recipe that is used when none is named."""
    return PLANTED if data == PLANTED else "published"


CORPORA_HELP = (
    "a folder <language>/{train,dev,test}.txt, or masakhaner, masakhaner2, masakhane_transfer (forty languages) or "
    "planted (made-up languages)"
)


@dataclass(frozen=True)
class DataOptions(Limited):
    """Which corpora; ``data`` is empty where it was not given, and the study or the model is to say."""

    data: str = required(
        f"corpora: {CORPORA_HELP}",
        example="masakhaner",
    )
    languages: tuple[str, ...] = option((), "languages to use, comma-separated; empty: all")
    allow_empty_words: bool = option(
        False, "accept lines with a tag but no word in a folder of one's own; scored as unknown words"
    )
    work_dir: str = option("work", "folder for checkpoints, generated corpora and weights not yet stored")

    def __post_init__(self) -> None:
        super().__post_init__()
        named = not self.data or bool(self.data.strip())
        check(named, "data", self.data, f"a folder or one of {', '.join(CORPUS_NAMES)}")
        for code in self.languages:
            check_code(code, "languages")

    @property
    def name(self) -> str:
        """Short name of the corpora: the folder's own name, or the known name; none where no data is given."""
        return self.data if self.data in ("", *CORPUS_NAMES) else Path(self.data).resolve().name


@dataclass(frozen=True)
class FormatOptions:
    """How annotation in other formats than our own is read."""

    scheme: Literal["auto", "iob2", "iob1", "bioes", "bilou", "io"] = option(
        "auto", "how tags mark entities; auto: found by the tags, and told"
    )
    columns: str = option(
        "", "columns of word and tag, such as word:2,tag:3, counted from 1, or from the end with -1; empty: those that "
        "the file names, else the first and the last"
    )  # fmt: skip
    categories: tuple[str, ...] = option(
        (), "new names of categories, such as person=PER,DATE=O; O leaves one out, the others stay as they are"
    )
    keep: tuple[str, ...] = option((), "categories to keep, by their new names; empty: all")
    labels: tuple[str, ...] = option((), "names of tags that are numbers, from 0, such as O,B-PER,I-PER")
    overlaps: Literal["refuse", "longest"] = option(
        "refuse", "entities that overlap: an error, or the longest one stays, of equals the first"
    )


UNLESS_GIVEN = (
    "no data given, so this study uses the built-in, made-up (planted) corpora; for real ones give data=<folder>, "
    "masakhaner or masakhaner2"
)
ADAPT_HELP = "corpora that the start is meant for; planted: base and its adaptations are the small built-in ones"


def corpora(data: str, help: str, unless_given: str = "") -> Any:
    """A field for a configuration that need not be given its corpora. ``data``: what is taken then;
    ``help``: that of ``data``; ``unless_given``: what is said where it is taken."""
    metadata = {"help": {"data": help}, "unless_given": {"data": unless_given}}
    return field(default_factory=lambda: DataOptions(data), metadata=metadata)


def corpora_of(what: str) -> Any:
    """A field for a configuration whose corpora are those that a study or a model was made on."""
    return corpora("", f"corpora, as {CORPORA_HELP}; empty: those that {what} was made on")


LONGEST_NAME, LONGEST_PATH = 255, 4095
"""Bytes that file systems take."""
NAME_BYTES = LONGEST_NAME - 5
"""A study's name is that of a folder, beside which temporary ones are made."""
Text = NewType("Text", str)
"""Any text, such as lines of a shell or a sentence: not as short as a name or a path has to be."""


def check_study(name: str, parameter: str = "study") -> str:
    """``name`` itself if a study can be called so; raises InputError, for the ``parameter`` it is from, otherwise."""
    check(
        name == name.strip()
        and "/" not in name
        and not any(unicodedata.category(c) == "Cc" for c in name)
        and name not in (".", "..", REGISTRY_EXPERIMENT)
        and len(name.encode()) <= NAME_BYTES,
        parameter,
        name,
        f"a name without '/', control characters and spaces around it, of at most {NAME_BYTES} bytes, and not '.', "
        f"'..' or {REGISTRY_EXPERIMENT!r}",
    )
    return name


STORED = "mlflow run stores what -P gives, readably and for good"
"""Said of parameters that may hold a secret: it does so before this project begins."""


@dataclass(frozen=True)
class StoreOptions:
    """Which MLflow store."""

    tracking_uri: str = option(
        "",
        "MLflow tracking server or store; empty: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db here; an address with a "
        f"password only in that variable: {STORED}",
    )

    def __post_init__(self) -> None:
        check(
            self.tracking_uri in ("", "databricks")
            or ("://" in self.tracking_uri and not self.tracking_uri.startswith("file:")),
            "tracking_uri",
            "..." if "@" in self.tracking_uri else self.tracking_uri,  # it may hold a password
            "an http(s) address or a database such as sqlite:///mlflow.db; MLflow no longer writes plain folders",
        )


@dataclass(frozen=True)
class TrackingOptions(StoreOptions):
    """Which study, in which store."""

    study: str = option("", "name of the MLflow experiment; empty: the name of the data")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_study(self.study)


def study_of(otherwise: str) -> Any:
    """A field for a configuration whose study need not be called like the data where it is not given."""
    help = f"name of the MLflow experiment; empty: {otherwise}"
    return field(default_factory=TrackingOptions, metadata={"help": {"study": help}})


@dataclass(frozen=True)
class DeviceOptions(Limited):
    """What computes."""

    device: Literal["auto", "cpu"] = option("auto", "auto takes a GPU where there is one")


@dataclass(frozen=True)
class ScoringOptions(DeviceOptions):
    """How a model is run; none of these changes its result beyond float order."""

    evaluation_tokens: int = option(16384, "most sub-tokens, padding included, in a scoring batch", at_least=512)


@dataclass(frozen=True)
class TrainingOptions(DeviceOptions):
    """How a model is trained; none of these changes its result beyond float order."""

    gradient_accumulation: int = option(
        1, "micro-batches per optimiser step; divides the memory needed, not the batch", at_least=1
    )
    checkpoint_minutes: float = option(
        5.0, "least time between two checkpoints, in minutes, at an epoch's end; 0: every epoch; negative: none"
    )


@dataclass(frozen=True)
class RunOptions(TrainingOptions, ScoringOptions):
    """How a fine-tuning runs; none of these changes its result beyond float order."""

    dev_each_epoch: bool = option(False, "track source-dev F1 after every epoch")
    compile: bool = option(
        False,
        "fine-tuning on one GPU: fuse kernels of the encoder's layers (torch.compile, which needs a C compiler); pays "
        "from about ten cells on",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check(
            not (self.compile and (self.device == "cpu" or self.gradient_accumulation > 1)),
            "compile",
            self.compile,
            "false with device=cpu or gradient_accumulation above 1",
        )


@dataclass(frozen=True)
class SlurmOptions(Limited):
    """What a task of the array asks Slurm for; used by executor=slurm and executor=script alone."""

    slurm_partition: str = option("", "partition of the tasks; empty: the cluster's default")
    slurm_minutes: int = option(
        60, "time limit of a task, in minutes; a task that reaches it is requeued and goes on", at_least=1
    )
    slurm_gpus: int = option(1, "GPUs of a task; 0: none", at_least=0)
    slurm_cpus: int = option(4, "processor cores of a task", at_least=1)
    slurm_memory_gb: int = option(16, "main memory of a task, in GB; 0: the partition's default", at_least=0)
    slurm_parallel: int = option(32, "tasks of the study that run at the same time, at most", at_least=1)
    slurm_array_size: int = option(0, "tasks of one array, at most; 0: as many as the cluster takes", at_least=0)
    slurm_signal_seconds: int = option(
        120, "seconds before the time limit at which a task stops and is requeued", at_least=1
    )
    slurm_deadline_minutes: float = option(
        10.0,
        "minutes until a task that gives no sign of life counts as lost: at least 20 where Slurm says that it runs, at "
        "most half a minute where it has left the queue without a result",
        above=0,
    )
    slurm_options: tuple[str, ...] = option(
        (),
        f"further sbatch options, comma-separated: account=abc,qos=long; secrets only in a study file: {STORED}",
        repeats=True,
    )
    slurm_setup: Text = option(  # noqa: RUF009
        "", f"shell lines to run before each task, such as module load; secrets only in a study file: {STORED}"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check(
            self.slurm_signal_seconds < 60 * self.slurm_minutes,
            "slurm_signal_seconds",
            self.slurm_signal_seconds,
            f"less than the time limit of slurm_minutes={self.slurm_minutes}",
        )
        for text in self.slurm_options:
            name, separator, value = text.partition("=")
            named = bool(separator and name.strip() and value.strip()) and not name.startswith("-")
            check(named, "slurm_options", text, "name=value, without the dashes")


def check_source(source: str, parameter: str) -> None:
    for code in source.split(SEPARATOR):
        check_code(code, parameter, source)


@dataclass(frozen=True)
class ModelOptions:
    """Which model: a language's registered one, or an address."""

    language: str = option("", "source language of a registered model ner-<language>; or give model")
    start: str = option("", "start of the language's registered model; empty: the champion of all starts")
    model: str = option(
        "",
        "instead of language: models:/<name>@<alias>, models:/<name>/<version> or runs:/<run id>; predict and serve "
        "also take a folder, or the hub id of a token classifier",
    )

    def __post_init__(self) -> None:
        for parameter in ("language", "start"):
            value = getattr(self, parameter)
            check(not (value and self.model), parameter, value, f"not beside model={self.model!r}, which says it all")
        check(not self.start or bool(self.language), "start", self.start, "only beside language")
        if self.language:
            check_source(self.language, "language")
