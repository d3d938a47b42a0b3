"""Names of everything written to and read from the tracking server.

Writers (`nertransfer.tracking.runs`, `nertransfer.registry.register`) and readers (`analysis.reading.read`)
agree on these names and on nothing else.
"""

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from nertransfer.core.grid import SEPARATOR

ALL = "ALL"
"""Stands for "all categories together" in keys and result tables; no category may be called so."""

MOST_CHARACTERS = 5000
"""Of one tag's value; MLflow takes 8,000, and 5,000 on some stores."""

# --- tags of a run -----------------------------------------------------------------------
KIND = "kind"
"""What the run is: one of the KIND_ values."""
KIND_CELL = "cell"
KIND_STUDY = "study"
KIND_EVALUATION = "evaluation"
KIND_ANALYSIS = "analysis"
KIND_ADAPTATION = "adaptation"
KIND_EMBEDDING = "embedding"
KIND_COMMAND = "command"
"""Not a result: the run that ``mlflow run`` opened for a command whose results are elsewhere, if it has any."""
KIND_CLAIMS = "claims"
"""Not a result: the run that holds who works on what (`nertransfer.tracking.claims`)."""

START, SOURCE, SEED = "start", "source", "seed"
SOURCE_LANGUAGES = "source_languages"
"""The languages of the source, comma-separated: one, several, or none."""
FEW_SHOT_LANGUAGE, FEW_SHOT_SENTENCES, FEW_SHOT_MODE = "few_shot_language", "few_shot_sentences", "few_shot_mode"
"""On a cell that also had a few sentences of a target: which, how many, and how (`nertransfer.core.grid.FewShot`)."""
CONFIGURATION = "configuration"
"""``<start>-<source>``: group by it in the UI to average over seeds."""
CELL_KEY = "cell_key"
START_FINGERPRINT = "start_fingerprint"
RECIPE_DIGEST = "recipe_digest"
PARENT_VARIABLE = "NERTRANSFER_STUDY_RUN"
"""Environment variable that tells the processes of a study its run's id: MLflow shows their runs below it."""
ASKED_AT = "asked_at"
"""When a study or a training last found this finished cell, in milliseconds since 1970."""
PROCESS = "process"
"""The process that opened the run: what `nertransfer.tracking.claims.Owner` knows of it, as JSON."""
OWNER = "owner"
"""The process that opened the run, by the token it has in the claims."""
REQUEST = "request"
"""The one call that made the run: if its answer is lost, the run is found by it instead of being made again."""
SLURM_JOB = "slurm_job"
"""``<array>_<index>``: the Slurm task that works on the run."""
HEARTBEAT = "heartbeat/"
"""Prefix, on the claims run: ``heartbeat/<owner>`` is when that process last lived, in seconds since 1970."""
ATTEMPTS = "attempts"
"""How often the run of a cell or an adaptation was begun: more than once where it was cut short and went on."""
NOTE = "mlflow.note.content"
"""MLflow's own tag for the Markdown it shows on a run's page."""
PAIRS = "pairs"
"""Packed, on a study run whose axes do not tell its pairs: the sources of every start, comma-separated."""
FAMILIES = "families"
"""Packed: the family of every language where it is known."""
CORPUS_DIGESTS = "corpus_digests"
"""Packed: the digest of every language's corpus."""
CORPUS_DIGEST_OF = "corpus_digest/"
"""Prefix, on a version of a model: ``corpus_digest/<language>`` for each of its source."""
TRAIN_DIGEST = "train_digest"
"""Digest of the source's train split."""
TRAIN_DIGESTS = "train_digests"
"""Packed, where the source is of several languages: that of each language's."""
PREDICTIONS_DIGESTS = "predictions_digests"
"""Packed, by ``<target>.<split>``: equal where the predicted tags are."""
IMPORTED = "imported"
"""On cells, and on the study run, that were not run here but read from published result files."""
ADAPTATION_KEY = "adaptation_key"
"""On adaptations: digest of all that can change the new start's weights: start, text, recipe, masking, seed."""
OUTPUT = "output"
"""On adaptations: the new start's folder, absolute."""
LANGUAGE_MODELLING_HEAD = "language_modelling_head"
"""On adaptations: ``of the start``, or ``drawn anew`` where its weights lack some of it."""
SYSTEM = "system"
"""On cells whose predictions were imported (`nertransfer.studies.predictions`): the name of the system, their start."""
WITHOUT_SEED = "without_seed"
"""On such a cell: ``true`` where the system has no seed. The tag `SEED` is 0 then."""
MODEL_URI = "model_id"
"""The LoggedModel of a cell."""
PYTHON_TOKENIZER = "python_tokenizer"
"""On a cell whose weights are stored: the class of its tokenizer, where that is written in Python."""
MODEL = "model"
"""On evaluations and embeddings: the model's name, or how it was asked for."""
EMBEDDING_KEY = "embedding_key"
"""Digest of all that can change an embedding: weights, layers, window, words."""
WORDS_DIGEST = "words_digest"
"""Digest of an embedding's words: equal where two embeddings have the same words in the same rows."""
LAYERS = "layers"
"""The hidden layers that an embedding sums, comma-separated; 1 is the last."""
START_LOCATION, START_REVISION = "start_location", "start_revision"
"""Folder or hub id of the start; the commit, where it came from the hub."""
DEVICE = "device"
"""What a cell was fine-tuned on: the GPU's name, or ``cpu``."""


_A_TAG_EACH = {FAMILIES: "family/", CORPUS_DIGESTS: "corpus_digest/", TRAIN_DIGESTS: "train_digest/",
               PREDICTIONS_DIGESTS: "predictions_digest/"}  # fmt: skip
"""What the tags of older runs begin with, which had one for each value."""


def packed(name: str, values: Mapping[str, str]) -> dict[str, str]:
    """``values``, such as one for each language, as one tag in JSON. No values are no tag; if they are too many for one
    tag of MLflow, the others stand in ``<name>/2`` and so on."""
    parts: list[dict[str, str]] = []
    length = MOST_CHARACTERS
    for key, value in values.items():
        own = len(_as_json({key: value}))
        if length + own > MOST_CHARACTERS:
            parts.append({})
            length = 0
        parts[-1][key] = value
        length += own
    names = [name, *(f"{name}/{number}" for number in range(2, len(parts) + 1))]
    return {name: _as_json(part) for name, part in zip(names, parts, strict=False)}


def _as_json(values: Mapping[str, str]) -> str:
    return json.dumps(values, ensure_ascii=False)


def unpacked(tags: Mapping[str, str], name: str) -> dict[str, str]:
    """The inverse of `packed`; also reads older runs, which have a tag for each value."""
    old = _A_TAG_EACH.get(name)
    found = {key.removeprefix(old): value for key, value in tags.items() if key.startswith(old)} if old else {}
    own: dict[str, str] = {}
    further = (f"{name}/{number}" for number in itertools.count(2))
    for tag in itertools.takewhile(tags.__contains__, itertools.chain([name], further)):
        try:
            part = json.loads(tags[tag])
        except ValueError:  # people edit tags in MLflow
            part = None
        if isinstance(part, dict):
            own = {str(key): str(value) for key, value in part.items()} | own
    return found | own


# --- params: the resolved configuration, apart from what `mlflow run` logs itself ----------
CONFIG = "cfg/"

SPEED = "tokens_per_second"
"""Metric: real sub-tokens a second of fine-tuning, one value an epoch; the step is the epoch."""

ENERGY = "energy_joules"
"""Metric: of fine-tuning and scoring, where the machine counts it (`nertransfer.training.energy`)."""
JOULES_PER_KILOWATT_HOUR = 3.6e6


UNKNOWN_WORDS = "unknown_words/"
"""Prefix of a metric, ``unknown_words/<target>.<split>``: the share of words with letters that the start's vocabulary
lacks, where it is `LEAST_UNKNOWN` or more."""
LEAST_UNKNOWN = 0.01


UNALIGNED = "unaligned/"
"""Prefix of a metric, ``unaligned/<target>.<split>``: how many predicted strings stand nowhere in their sentence. They
count as wrong entities."""


def f1_per_kwh(f1: float, joules: float) -> float:
    """Points of F1, which is given as a fraction, for a kilowatt-hour; NaN where that is unknown."""
    return 100 * f1 / (joules / JOULES_PER_KILOWATT_HOUR) if joules > 0 else math.nan


# --- metrics -------------------------------------------------------------------------------
SPLITS = ("train", "dev", "test")
SCORED_SPLITS = ("dev", "test")

PRECISION, RECALL, F1, SUPPORT = "precision", "recall", "f1", "support"
CATEGORY_MEASURES = (PRECISION, RECALL, F1, SUPPORT)
STRICT_MEASURES = ("strict_precision", "strict_recall", "strict_f1")
OVERALL_MEASURES = (*CATEGORY_MEASURES, *STRICT_MEASURES, "span_f1", "invalid_tag_rate")


def source_f1(split: str) -> str:
    """Metric of a cell: F1 on its own source."""
    return f"source_{split}_f1"


def stored(language: str) -> str:
    """A language, or several of a source, as part of the name of a metric, tag or file: MLflow takes no ``+`` there."""
    return language.replace(SEPARATOR, ".")


def restored(name: str) -> str:
    """The inverse of `stored`; no code of a language has a point in it."""
    return name.replace(".", SEPARATOR)


@dataclass(frozen=True)
class ScoreName:
    """What one score metric measures; ``key`` is its name on the tracking server."""

    split: str
    measure: str
    target: str
    category: str = ALL

    @property
    def key(self) -> str:
        """``test_f1/hau`` for all categories together, ``test_f1/hau/PER`` for one; ``test_f1/hau.swa`` of two."""
        name = f"{self.split}_{self.measure}/{stored(self.target)}"
        return name if self.category == ALL else f"{name}/{self.category}"


def parse_score_key(key: str) -> ScoreName | None:
    """The inverse of `ScoreName.key`; None for any other metric."""
    head, *rest = key.split("/")
    split, _, measure = head.partition("_")
    if split not in SCORED_SPLITS or measure not in OVERALL_MEASURES or len(rest) not in (1, 2):
        return None
    return ScoreName(split, measure, restored(rest[0]), *rest[1:])


REPORTED = "reported/"
"""Prefix of an overall score's name: the value that was published, where the score was counted anew."""

# --- artifacts -------------------------------------------------------------------------------
PROVENANCE = "provenance.json"
"""How a run was made, as far as it does not change what it says: all of the configuration, the process, the packages
(`nertransfer.tracking.provenance`)."""
PREDICTIONS = "predictions"
"""Folder; one file ``<target>.<split>.txt`` each: word, gold tag, predicted tag."""
SCORES_FILE = "scores.csv"
SENTENCE_COUNTS = "sentence_counts.parquet"
"""Entities by target, split, sentence and category: gold, predicted, correct (`scoring.sentence_counts`)."""
PREDICTED_ENTITIES = "predicted_entities.parquet"
"""Every predicted entity by target and split: category and place (`nertransfer.scoring.predicted_entities`)."""
REPORTED_FILE = "import/reported.csv"
"""The scores of an imported cell as they were published, categories included."""
UNALIGNED_FILE = "import/unaligned.csv"
"""The predicted strings of a cell that stand nowhere in their sentence."""
UNFIT_FILE, DISAGREEMENTS_FILE = "import/unfit.csv", "import/disagreements.csv"
"""What an import could not read, and where reported and counted values differ."""

VECTORS_FILE = "embeddings/vectors.safetensors"
WORDS_FILE = "embeddings/words.parquet"
CENTRES_FILE = "embeddings/centres.parquet"
"""Of an embedding: the stored vectors, which word each row is, and the means by language and category
(`nertransfer.scoring.vector_files`)."""

# --- registry ----------------------------------------------------------------------------------
REGISTRY_EXPERIMENT = "nertransfer registry"
"""The experiment with the claims on registered models, which all studies of a store have in common."""
CHAMPION = "champion"
STUDY = "study"
"""Tag of a version: the study that registered it. Its lineage stands in tags with the names that a cell's run has."""
SEEDS_COMPARED, SELECTION_SPLIT = "seeds_compared", "selection_split"
TARGETS = "targets"
"""Tag of a version: the languages that its card has scores of, comma-separated."""
CARD_FORMAT = "card_format"
"""Tag of a version, written last: which form of card its description has."""
CHAMPION_HISTORY = "champion_history"
"""Tag of a registered model: the versions that were champion, oldest first (`nertransfer.registry.aliases`)."""
CHAMPION_PINNED = "champion_pinned"
"""Tag of a registered model: why registering leaves the champion where it is."""
MODEL_CARD = "model_card/README.md"
"""Artifact of a cell's run: the whole card of the version made of it."""


def f1_tag(split: str) -> str:
    """The tag of a version that holds its source F1 on a split, as a fraction at full precision."""
    return f"{split}_f1"


def model_name(language: str) -> str:
    """Name of the registered model of a source language."""
    return f"ner-{language}"


def start_alias(start: str) -> str:
    """Alias of the best version that began from ``start``."""
    return f"from-{start}"
