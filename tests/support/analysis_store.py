"""Synthetic studies on a real store: what the analyses read, without fine-tuning anything."""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from nertransfer.core import schema

STARTS, LANGUAGES, SEEDS = ("base", "aaa", "bbb"), ("nya", "aaa", "bbb", "zed"), (0, 1, 2)
FAMILIES = {"nya": "north", "aaa": "south", "bbb": "south", "zed": "isolate"}
CATEGORIES = ("LOC", "PER")
Cell = tuple[str, str, int]


def f1(start: str, source: str, seed: int, target: str, split: str = "test", category: str = "ALL") -> float:
    """A fraction that depends on nothing but its name; in-language is higher."""
    noise = random.Random(f"{start} {source} {seed} {target} {split} {category}").uniform(-0.02, 0.02)
    place = random.Random(f"{start} {source} {target} {category}").uniform(0.2, 0.6)
    return place + noise + (0.25 if source == target else 0.0)


def values(cell: Cell, targets: Iterable[str], categories: Sequence[str] = CATEGORIES) -> dict[str, float]:
    """The score metrics of a cell by key."""
    found = {}
    for target in targets:
        for split in schema.SCORED_SPLITS:
            for category in ("ALL", *categories):
                score = f1(*cell, target, split, category)
                measures = {"f1": score, "precision": score + 0.01, "recall": score - 0.01, "support": 50.0}
                for measure, value in measures.items():
                    found[schema.ScoreName(split, measure, target, category).key] = value
            score = f1(*cell, target, split)
            extra = {"strict_precision": score, "strict_recall": score, "strict_f1": score - 0.015,
                     "span_f1": score + 0.05, "invalid_tag_rate": 0.003}  # fmt: skip
            for measure, value in extra.items():
                found[schema.ScoreName(split, measure, target).key] = value
    return found


def log_cell(
    client: MlflowClient,
    experiment: str,
    cell: Cell,
    targets: Iterable[str],
    *,
    status: str = "FINISHED",
    ended: int = 2_000_000,
    tags: dict[str, str] | None = None,
    metrics: dict[str, float] | None = None,
    families: dict[str, str] | None = None,
) -> str:
    """One cell run as a study leaves it; ``ended`` in milliseconds. Returns the run id."""
    start, source, seed = cell
    every = {
        schema.KIND: schema.KIND_CELL, schema.START: start, schema.SOURCE: source, schema.SEED: str(seed),
        schema.CELL_KEY: f"key {start} {source} {seed}", schema.START_FINGERPRINT: f"weights of {start}",
        schema.RECIPE_DIGEST: "one recipe",
    } | {"corpus_digest/" + t: f"digest of {t}" for t in targets}  # fmt: skip
    every |= {"family/" + t: f for t, f in (FAMILIES if families is None else families).items()}
    every |= tags or {}
    scores = metrics if metrics is not None else values(cell, targets) if status == "FINISHED" else {}
    run = client.create_run(experiment, start_time=1_000_000, run_name=f"{start}-{source}-s{seed}")
    logged = [Metric(key, value, 1, 0) for key, value in scores.items()] + [Metric("train_loss", 0.5, 1, 7)]
    for first in range(0, len(logged), 1000):
        client.log_batch(run.info.run_id, logged[first : first + 1000])
    client.log_batch(run.info.run_id, tags=[RunTag(k, v) for k, v in every.items()])
    if status != "RUNNING":
        client.set_terminated(run.info.run_id, status, end_time=ended)
    return run.info.run_id


def log_plan(client: MlflowClient, experiment: str, **grid: Sequence) -> str:
    """A study run with the planned ``starts``, ``sources``, ``targets`` and ``seeds``."""
    run = client.create_run(experiment, tags={schema.KIND: schema.KIND_STUDY}, run_name="study")
    params = [Param(schema.CONFIG + name, ",".join(map(str, listed))) for name, listed in grid.items()]
    client.log_batch(run.info.run_id, params=params)
    client.set_terminated(run.info.run_id)
    return run.info.run_id


def log_grid(client: MlflowClient, experiment: str, cells: Iterable[Cell], targets: Sequence[str]) -> None:
    for cell in cells:
        log_cell(client, experiment, cell, targets)


def every_cell() -> list[Cell]:
    return [(start, source, seed) for start in STARTS for source in LANGUAGES for seed in SEEDS]


FAILED, NEVER_RUN, REPEATED = ("aaa", "bbb", 1), ("bbb", "zed", 2), ("base", "nya", 0)


def log_flawed_study(client: MlflowClient, name: str, artifacts: Path) -> str:
    """3 starts x 4 languages x 3 seeds: one cell failed, one never ran, one ran twice (scores of the later count)."""
    experiment = client.create_experiment(name, artifact_location=artifacts.as_uri())
    log_plan(client, experiment, starts=STARTS, sources=LANGUAGES, targets=LANGUAGES, seeds=SEEDS)
    old = {key: 0.001 for key in values(REPEATED, LANGUAGES)}
    log_cell(client, experiment, REPEATED, LANGUAGES, ended=1_500_000, metrics=old, tags={schema.CELL_KEY: "older"})
    log_grid(client, experiment, [c for c in every_cell() if c not in (FAILED, NEVER_RUN)], LANGUAGES)
    log_cell(client, experiment, FAILED, LANGUAGES, status="FAILED")
    return experiment
