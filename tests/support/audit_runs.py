"""Runs of a made-up study, finished and otherwise, for audits and frames."""

from collections.abc import Iterable, Mapping, Sequence

import analysis_store as made
from mlflow.entities import Metric, Param, Run, RunData, RunInfo, RunTag

from analysis.reading import read
from analysis.reading.results import StudyResults
from nertransfer.core import schema

Cell = tuple[str, str, int]
Metrics = dict[str, float]

STARTS, LANGUAGES, SEEDS = ("base", "aaa"), ("nya", "aaa", "zed"), (0, 1, 2)
CELLS = [(start, source, seed) for start in STARTS for source in LANGUAGES for seed in SEEDS]
PLAN: dict[str, Sequence] = {"starts": STARTS, "sources": LANGUAGES, "targets": LANGUAGES, "seeds": SEEDS}


# --- studies without a store ---------------------------------------------------------------------------------


def valid(cell: Cell, targets: Iterable[str] = LANGUAGES) -> Metrics:
    """The scores of a cell whose tags are all IOB2."""
    return made.values(cell, targets) | {
        schema.ScoreName(split, "invalid_tag_rate", target).key: 0.0
        for target in targets
        for split in schema.SCORED_SPLITS
    }


def digests(cell: Cell, targets: Iterable[str] = LANGUAGES, said: str = "") -> dict[str, str]:
    """Tags with a digest of the predictions on every target; cells with the same ``said`` predict the same."""
    said = said or " ".join(map(str, cell))
    return {
        f"predictions_digest/{target}.{split}": f"{said} {target} {split}"
        for target in targets
        for split in schema.SCORED_SPLITS
    }


def run(
    run_id: str, tags: Mapping[str, str], metrics: Metrics, params: Mapping[str, str], status: str, ended: int
) -> Run:
    info = RunInfo(run_id, "1", "someone", status, 1_000_000, ended, "active", f"artifacts/{run_id}")
    return Run(
        info,
        RunData(
            [Metric(key, value, 1, 0) for key, value in metrics.items()],
            [Param(key, value) for key, value in params.items()],
            [RunTag(key, value) for key, value in tags.items()],
        ),
    )


def cell_run(
    cell: Cell,
    metrics: Metrics | None = None,
    tags: Mapping[str, str] | None = None,
    status: str = "FINISHED",
    ended: int = 2_000_000,
) -> Run:
    """One cell as a study leaves it, with digests of its predictions unless ``tags`` has other ones."""
    start, source, seed = cell
    named = {
        schema.KIND: schema.KIND_CELL, schema.START: start, schema.SOURCE: source, schema.SEED: str(seed),
        schema.CELL_KEY: f"key {cell}", schema.START_FINGERPRINT: f"weights of {start}",
        schema.RECIPE_DIGEST: "one recipe",
    }  # fmt: skip
    scores = valid(cell) if metrics is None else metrics
    tags = named | digests(cell) | dict(tags or {})
    return run(f"{start} {source} {seed} {tags[schema.CELL_KEY]}", tags, scores, {}, status, ended)


def plan_run(imported: bool = False, **axes: Sequence) -> Run:
    """A study run with the planned grid; ``imported``: of published results."""
    params = {schema.CONFIG + name: ",".join(map(str, values)) for name, values in (PLAN | axes).items()}
    tags = {schema.KIND: schema.KIND_STUDY} | ({schema.IMPORTED: "digest"} if imported else {})
    return run("plan", tags, {}, params, "FINISHED", 2_000_000)


def study(runs: Iterable[Run]) -> StudyResults:
    return read.from_runs("study", "1", list(runs))
