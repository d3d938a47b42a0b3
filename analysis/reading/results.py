"""The results of a study as the analyses see them: frames with named columns, and what is around them."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
from mlflow.entities import Run

from nertransfer.core import grid, schema
from nertransfer.core.grid import Place

CELL = ["start", "source", "seed"]
FRAME_COLUMNS = [*CELL, "target", "split", "category", *schema.CATEGORY_MEASURES]
OVERALL_MEASURES = [m for m in schema.OVERALL_MEASURES if m not in schema.CATEGORY_MEASURES]
OVERALL_COLUMNS = [*CELL, "target", "split", *OVERALL_MEASURES]
CELL_COLUMNS = [
    *CELL, "status", "used", "run_id", "run_name", "cell_key", "start_fingerprint", "recipe_digest",
    "ended", "seconds", "train_seconds", "score_seconds",
    schema.ENERGY, "source_f1_per_kwh",
]  # fmt: skip
FEW_SHOT = [schema.FEW_SHOT_LANGUAGE, schema.FEW_SHOT_SENTENCES, schema.FEW_SHOT_MODE]
"""Columns that tell cells with a few sentences of a target apart."""
DUPLICATE_COLUMNS = [*CELL, "run_id", "kept_run_id", "reason"]
DIGEST_COLUMNS = [*CELL, "target", "split", "digest"]
UNKNOWN_COLUMNS = [*CELL, "target", "split", "share"]
UNALIGNED_COLUMNS = [*CELL, "target", "split", "strings"]


@dataclass(frozen=True)
class FewShotResults:
    """The cells that also had a few sentences of a target, apart from all others: they belong to no transfer matrix.

    ``frame``, ``overall``, ``cells``, ``duplicates`` and ``digests`` as of `StudyResults`, with the columns `FEW_SHOT`
    behind. ``plan``: the planned configurations; what exists where no study was planned. ``epochs_on_target``: whether
    used cells without a source chose their epoch on the target's dev split, all of it labelled.
    """

    frame: pd.DataFrame
    overall: pd.DataFrame
    cells: pd.DataFrame
    duplicates: pd.DataFrame
    digests: pd.DataFrame
    plan: list[grid.Configuration]
    epochs_on_target: bool


@dataclass(frozen=True)
class StudyResults:
    """All that a study has on the tracking server.

    ``frame``: a row per (start, source, seed, target, split, category), category ``ALL`` for all
    together; precision, recall and F1 as fractions, support in entities. ``overall``: a row per
    (start, source, seed, target, split) with strict and span scores and the rate of invalid tags.
    ``cells``: a row per run, ``used`` where its scores are in the frames, seconds of wall time,
    ``ended`` in UTC. ``duplicates``: finished runs of the planned recipe that are not used. ``digests``: a row per
    (start, source, seed, target, split) of the used runs, ``digest`` equal where the predicted tags are. ``plan``: the
    planned grid, lists by ``starts``, ``sources``, ``pivots``, ``targets``, ``seeds`` and ``pairs`` of (start,
    source); the product of what exists where no study was planned. ``languages``: all of them in the order of
    every table. ``families`` and ``corpora`` (digest): by language, where known. ``locations``: hub id of the
    starts that are from the hub. ``artifacts``: address by (start, source, seed) of the used runs. ``imported``:
    address of the artifacts of the last import, or nothing. ``warnings``: what else is odd, in words. ``unions``: rows
    as of ``frame`` whose target is a source of several languages, on which its best seed is chosen. ``few_shot``: cells
    with a few sentences of a target. ``unknown_words``: a row per (start, source, seed, target, split) of whose words a
    ``share`` of `schema.LEAST_UNKNOWN` or more has letters that the start lacks; older runs did not count them.
    ``systems``: the (start, source) whose predictions were imported; ``without_seed``: those of them that have none.
    ``unaligned``: a row per (start, source, seed, target, split) of whose predicted strings a number ``strings`` stands
    nowhere in its sentence.
    """

    study: str
    experiment_id: str
    frame: pd.DataFrame
    overall: pd.DataFrame
    cells: pd.DataFrame
    duplicates: pd.DataFrame
    digests: pd.DataFrame
    plan: dict[str, list]
    planned: bool
    languages: list[str]
    families: dict[str, str]
    corpora: dict[str, str]
    locations: dict[str, str]
    artifacts: dict[Place, str]
    imported: str
    warnings: list[str]
    unions: pd.DataFrame
    few_shot: FewShotResults
    unknown_words: pd.DataFrame
    systems: frozenset[tuple[str, str]]
    without_seed: frozenset[tuple[str, str]]
    unaligned: pd.DataFrame


def packed_values(runs: Iterable[Run], name: str) -> dict[str, str]:
    """What the runs say in a tag that is `nertransfer.core.schema.packed`; the last run wins."""
    return {key: value for run in runs for key, value in schema.unpacked(run.data.tags, name).items() if value}
