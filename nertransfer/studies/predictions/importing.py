"""Predictions of any system -> a cell of a study in the tracking store, as if it had been fine-tuned here."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace

from nertransfer.core import schema
from nertransfer.core.commandline import to_text
from nertransfer.core.config import WITHOUT_SEED, PredictionsConfig
from nertransfer.core.errors import InputError
from nertransfer.core.grid import NONE, languages_of
from nertransfer.core.schema import ALL
from nertransfer.core.text import count
from nertransfer.corpora import corpus as corpora_of
from nertransfer.corpora.corpus import Corpus
from nertransfer.corpora.languages import LANGUAGES
from nertransfer.scoring.measurements import (
    Measurements,
    Point,
    milliseconds,
    of_scores,
    predictions_digest,
    scores_table,
    unscored,
)
from nertransfer.scoring.scores import Scored
from nertransfer.studies.predictions import files, reading
from nertransfer.studies.predictions.files import Unread
from nertransfer.studies.predictions.reading import Predictions
from nertransfer.tracking import store_files
from nertransfer.tracking.runs import (
    cell_runs,
    configuration_params,
    deliver,
    log,
    mark_dead_runs_killed,
    open_run,
)
from nertransfer.tracking.store import Run, Study
from nertransfer.tracking.study_data import changed, digests_of

FORMAT = 1
"""Part of every key: raised when the measurements of an import change."""
NOWHERE_COLUMNS = ("target", "split", "sentence", "string", "category")


@dataclass(frozen=True)
class System:
    """What was predicted by which system: read and scored, not yet in a study."""

    config: PredictionsConfig
    corpora: Mapping[str, Corpus]
    predictions: Predictions
    unread: Sequence[Unread]

    @property
    def seed(self) -> int:
        """The seed of its place in the grid: 0 where it has none."""
        return max(self.config.seed, 0)

    @property
    def name(self) -> str:
        """The name of its run, as of cells of our own."""
        return f"{self.config.system}-{self.config.source}-s{self.seed}"

    @property
    def digests(self) -> dict[str, str]:
        """What stands for the predictions on every split, as in the tag of a run."""
        return {
            f"{schema.stored(one.split.language)}.{one.split.name}": predictions_digest(one.predicted, one.unaligned)
            for one in self.predictions.scored
        }


def read(config: PredictionsConfig) -> System:
    """Read and score all files; writes nothing. ``config`` says which corpora.

    Raises InputError on whatever does not fit.
    """
    targets = corpora_of.names(config.data)
    parts, unread = files.find(config.predictions, config.split, targets)
    used = {part.target for part in parts} | (set(languages_of(config.source)) & set(targets))
    wanted = tuple(name for name in targets if name in used)
    corpora = corpora_of.load(replace(config.data, languages=wanted))
    return System(config, corpora, reading.read_all(parts, corpora, config), unread)


def import_predictions(system: System, study: Study) -> bool:
    """Bring a system into the study as a cell; False where it was there already.

    Raises InputError, and changes nothing, where the study has other predictions in its place, or other corpora.
    """
    store_files.check(study)
    mark_dead_runs_killed(study)
    finished = cell_runs(study, "FINISHED")
    if not _is_new(system, finished):
        return False
    measured = _measurements(system)
    config = system.config
    own = {schema.START: config.system, schema.SOURCE: config.source, schema.SEED: str(system.seed)}
    data = {name: to_text(getattr(config.data, name)) for name in ("data", "work_dir", "allow_empty_words")}
    with open_run(study, schema.KIND_CELL, system.name, _tags(system, measured.key)) as run_id:
        log(study.client, run_id, params=configuration_params(own | data))
        deliver(study.client, run_id, measured, data=config.data.data)
    return True


def _is_new(system: System, finished: Sequence[Run]) -> bool:
    """Whether the predictions are not in the study yet; raises InputError where they contradict what is."""
    config, ours = system.config, system.digests
    where = f"system {config.system}, source {config.source}"
    named = [run for run in finished if run.data.tags.get(schema.START) == config.system]
    if any(schema.SYSTEM not in run.data.tags for run in named):
        raise InputError(
            f"{config.system} is a start of this study, whose cells are no predictions of a system; give the system "
            "another name", "system",
        )  # fmt: skip
    known = digests_of(finished)
    corpora = {one.split.language: system.corpora[one.split.language].digest for one in system.predictions.scored}
    if other := changed(corpora, known):
        raise InputError(
            f"data={config.data.data!r}: the corpus of {', '.join(other)} is not the one that this study was scored "
            "on; give data=<those corpora>, or another study", "data",
        )  # fmt: skip
    siblings = [run for run in named if run.data.tags.get(schema.SOURCE) == config.source]
    without = [schema.WITHOUT_SEED in run.data.tags for run in siblings]
    if any(one != (config.seed == WITHOUT_SEED) for one in without):
        there = "without a seed" if any(without) else "with seeds"
        raise InputError(
            f"{where} is in this study {there}; all results of a system have a seed, or the only one has none", "seed"
        )
    new = True
    for run in siblings:
        if run.data.tags.get(schema.SEED) != str(system.seed):
            continue
        theirs = schema.unpacked(run.data.tags, schema.PREDICTIONS_DIGESTS)
        cure = "give another seed" if config.seed != WITHOUT_SEED else "give each its seed, or another name"
        if differing := [name for name, digest in ours.items() if theirs.get(name, digest) != digest]:
            raise InputError(
                f"{where}, seed {system.seed} is in this study with other predictions on {', '.join(differing)} (run "
                f"{run.info.run_id}); {cure}, or delete that run", "predictions",
            )  # fmt: skip
        if lacking := sorted(set(theirs) - set(ours)):
            if set(ours) <= set(theirs):
                new = False
                continue
            raise InputError(
                f"{where}, seed {system.seed} is in this study with predictions on {', '.join(lacking)}, too (run "
                f"{run.info.run_id}); give all of them at once", "predictions",
            )  # fmt: skip
        new = new and set(ours) != set(theirs)
    return new


def _tags(system: System, key: str) -> dict[str, str]:
    config, corpora = system.config, system.corpora
    families = {name: LANGUAGES[name].family for name in corpora if name in LANGUAGES}
    trained = [name for name in languages_of(config.source) if name in corpora]
    tags = {
        schema.START: config.system,
        schema.SOURCE: config.source,
        schema.SOURCE_LANGUAGES: ",".join(languages_of(config.source)),
        schema.SEED: str(system.seed),
        schema.CONFIGURATION: f"{config.system}-{config.source}",
        schema.CELL_KEY: key,
        schema.IMPORTED: "true",
        schema.SYSTEM: config.system,
    }
    if config.seed == WITHOUT_SEED:
        tags |= {schema.WITHOUT_SEED: "true"}
    if trained == [config.source]:
        tags |= {schema.TRAIN_DIGEST: corpora[config.source].train.digest}
    tags |= schema.packed(schema.CORPUS_DIGESTS, {name: corpus.digest for name, corpus in corpora.items()})
    return tags | schema.packed(schema.FAMILIES, families)


def _key(system: System) -> str:
    """Digest of all that the scores say: whose predictions, on which corpora."""
    config = system.config
    found = hashlib.sha256(f"predictions {FORMAT} {config.system} {config.source} {config.seed}".encode())
    for one in sorted(system.predictions.scored, key=lambda one: (one.split.language, one.split.name)):
        name = f"{one.split.language} {one.split.name} {one.split.digest}"
        found.update(f"\n{name} {predictions_digest(one.predicted, one.unaligned)}".encode())
    return found.hexdigest()[:32]


def _measurements(system: System) -> Measurements:
    config, scored = system.config, system.predictions.scored
    found = of_scores(scored, _key(system))
    found.points += [
        Point(schema.source_f1(one.split.name), one.scores.default[ALL].f1, milliseconds())
        for one in scored
        if one.split.language == config.source
    ]
    found.datasets += [
        unscored(system.corpora[name].train)
        for name in languages_of(config.source)
        if name in system.corpora and system.corpora[name].train.sentences
    ]
    if system.predictions.nowhere:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerows([NOWHERE_COLUMNS, *map(astuple, system.predictions.nowhere)])
        found.files[schema.UNALIGNED_FILE] = stream.getvalue()
    found.tags |= {schema.NOTE: _note(system)}
    return found


def _note(system: System) -> str:
    """The run's note: whose predictions these are, their scores, and how they were read."""
    config = system.config
    trained = "on no source" if config.source == NONE else f"on **{config.source}**"
    seed = "without a seed" if config.seed == WITHOUT_SEED else f"seed {config.seed}"
    scored: Sequence[Scored] = system.predictions.scored
    return (
        f"Predictions of the system **{config.system}**, trained {trained}, {seed}, imported on "
        f"{count(len(scored), 'split')}. Entity-level micro scores, percent (seqeval, default mode).\n\n"
        f"{scores_table(scored, config.source)}"
    )
