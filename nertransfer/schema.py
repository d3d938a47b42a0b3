"""Names of everything written to and read from the tracking server.

Writers (`nertransfer.tracking`, `nertransfer.registry`) and readers (`analysis.results`)
agree on these names and on nothing else.
"""

from dataclasses import dataclass

from nertransfer.labels import ALL

# --- tags of a run -----------------------------------------------------------------------
KIND = "kind"
"""What the run is: one of the KIND_ values."""
KIND_CELL = "cell"
KIND_STUDY = "study"
KIND_EVALUATION = "evaluation"
KIND_ANALYSIS = "analysis"
KIND_ADAPTATION = "adaptation"

START, SOURCE, SEED = "start", "source", "seed"
CONFIGURATION = "configuration"
"""``<start>-<source>``: group by it in the UI to average over seeds."""
CELL_KEY = "cell_key"
START_FINGERPRINT = "start_fingerprint"
RECIPE_DIGEST = "recipe_digest"
ASKED_AT = "asked_at"
"""When a study or a training last found this finished cell, in milliseconds since 1970."""
HOST, PID = "host", "pid"
FAMILY = "family/"
"""Prefix: ``family/<language>`` is the language's family where it is known."""
CORPUS_DIGEST = "corpus_digest/"
"""Prefix: ``corpus_digest/<language>`` is the digest of the language's corpus."""
MODEL_URI = "model_id"
"""The LoggedModel of a cell."""

# --- params: the resolved configuration, apart from what `mlflow run` logs itself ----------
CONFIG = "cfg/"

# --- metrics -------------------------------------------------------------------------------
SPLITS = ("train", "dev", "test")
SCORED_SPLITS = ("dev", "test")

PRECISION, RECALL, F1, SUPPORT = "precision", "recall", "f1", "support"
CATEGORY_MEASURES = (PRECISION, RECALL, F1, SUPPORT)
STRICT_MEASURES = ("strict_precision", "strict_recall", "strict_f1")
OVERALL_MEASURES = (*CATEGORY_MEASURES, *STRICT_MEASURES, "span_f1", "invalid_tag_rate")


@dataclass(frozen=True)
class ScoreName:
    """What one score metric measures; ``key`` is its name on the tracking server."""

    split: str
    measure: str
    target: str
    category: str = ALL

    @property
    def key(self) -> str:
        """``test_f1/hau`` for all categories together, ``test_f1/hau/PER`` for one."""
        name = f"{self.split}_{self.measure}/{self.target}"
        return name if self.category == ALL else f"{name}/{self.category}"


def parse_score_key(key: str) -> ScoreName | None:
    """The inverse of `ScoreName.key`; None for any other metric."""
    head, *rest = key.split("/")
    split, _, measure = head.partition("_")
    if split not in SCORED_SPLITS or measure not in OVERALL_MEASURES or len(rest) not in (1, 2):
        return None
    return ScoreName(split, measure, *rest)


# --- artifacts -------------------------------------------------------------------------------
PREDICTIONS = "predictions"
"""Folder; one file ``<target>.<split>.txt`` each: word, gold tag, predicted tag."""
SCORES_FILE = "scores.csv"

# --- registry ----------------------------------------------------------------------------------
CHAMPION = "champion"


def model_name(language: str) -> str:
    """Name of the registered model of a source language."""
    return f"ner-{language}"


def start_alias(start: str) -> str:
    """Alias of the best version that began from ``start``."""
    return f"from-{start}"
