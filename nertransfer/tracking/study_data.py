"""Which study a command is about, and which corpora, where it is not told: what the store knows of a study or a model.

A folder is tracked by its whole path. Older studies may have a relative one: it is looked for here, and beside the
store's database.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, cast

from nertransfer.core import schema
from nertransfer.core.config import (
    AnalyseConfig,
    EmbedConfig,
    ModelsConfig,
    PredictionsConfig,
    RankConfig,
    RegisterConfig,
)
from nertransfer.core.errors import InputError
from nertransfer.core.options import CORPUS_NAMES, PLANTED, DataOptions, TrackingOptions
from nertransfer.core.text import did_you_mean
from nertransfer.corpora import corpus
from nertransfer.tracking import store_files
from nertransfer.tracking.addresses import database_of
from nertransfer.tracking.current_cells import current_cells, current_few_shot_cells
from nertransfer.tracking.store import FINISHED, MlflowClient, Run, Study, find_study, kind_runs

logger = logging.getLogger("nertransfer")
OfStudy = TypeVar("OfStudy", AnalyseConfig, EmbedConfig, PredictionsConfig, RankConfig, RegisterConfig)


@dataclass(frozen=True)
class Recorded:
    """What a run tells of its corpora: ``data`` and ``work_dir`` as they were tracked."""

    data: str
    work_dir: str
    languages: tuple[str, ...]
    allow_empty_words: bool


# --- which study -------------------------------------------------------------------------------------------------


def names(client: MlflowClient) -> list[str]:
    """The studies of a store, sorted: its experiments with a cell or a study in them; other people may share it."""
    kinds = [f"tags.{schema.KIND} = '{kind}'" for kind in (schema.KIND_CELL, schema.KIND_STUDY)]
    return sorted(
        one.name
        for one in client.search_experiments()
        if any(client.search_runs([one.experiment_id], kind, max_results=1) for kind in kinds)
    )


def chosen(client: MlflowClient, data: DataOptions, tracking: TrackingOptions) -> Study:
    """The study that is named, else the one called like the data, else the only one of the store.

    Raises InputError that lists the studies where it is not there, or where it could be several.
    """
    if tracking.study and (found := find_study(client, tracking.study)):
        return found
    existing = names(client)
    listed = ", ".join(existing) or "none"
    if tracking.study:
        near = did_you_mean(tracking.study, existing)
        raise InputError(f"study {tracking.study!r} does not exist in this store; it has {listed}{near}", "study")
    if not existing:
        raise InputError("this store has no study yet: run one first, or name its store with tracking_uri", "study")
    name = data.name if data.name in existing else existing[0]
    if name != data.name and len(existing) > 1:
        raise InputError(f"this store has several studies; choose one with study=: {listed}", "study")
    return cast(Study, find_study(client, name))


# --- which corpora -----------------------------------------------------------------------------------------------


def recorded(runs: Iterable[Run]) -> Recorded | None:
    """What the newest of the runs that tells it says of its corpora."""
    for run in sorted(runs, key=lambda run: run.info.start_time, reverse=True):
        params = run.data.params
        if data := params.get(f"{schema.CONFIG}data", ""):
            languages = [one for one in params.get(f"{schema.CONFIG}languages", "").split(",") if one]
            empty = params.get(f"{schema.CONFIG}allow_empty_words") == "true"
            return Recorded(data, params.get(f"{schema.CONFIG}work_dir", ""), tuple(languages), empty)
    return None


def of_study(study: Study) -> Recorded | None:
    """What a study was run on: by its latest run of the whole, else by its latest cell."""
    return recorded(kind_runs(study, schema.KIND_STUDY)) or recorded(kind_runs(study, schema.KIND_CELL))


def places(data: str, uri: str) -> list[Path]:
    """Where a tracked folder may be: there, if it is a whole path; else here, and beside the store's database."""
    database = database_of(uri)
    folders = [Path.cwd(), *([database.resolve().parent] if database else [])]
    return list(dict.fromkeys(folder / data for folder in folders))  # of a whole path it is the path itself


def options(asked: DataOptions, known: Recorded | None, whose: str, uri: str, told: bool = True) -> DataOptions:
    """The corpora that a run tells, with what is asked for besides: languages, words that may be empty.

    ``whose``: the study or model, in words; ``told``: say which corpora these are. Raises InputError, which says where
    they were looked for, when they are not there, and when nothing is known of them.
    """
    if known is None:
        raise InputError(f"{whose} does not say which corpora it was made on: give data=<folder>", "data")
    data = known.data
    if data not in CORPUS_NAMES:
        found = next((place for place in places(data, uri) if place.is_dir()), None)
        if found is None:
            looked = " and ".join(map(str, places(data, uri)))
            moved = store_files.displaced_folder(uri, Path(data))
            cure = f"; {moved.shortly}, or give data=<folder>" if moved else "; give data=<folder>"
            raise InputError(f"the corpora of {whose} are not there any more: {looked}{cure}", "data")
        data = str(found)
    work_dir = asked.work_dir
    if known.work_dir and work_dir == DataOptions.work_dir:  # not given: that with the generated corpora and weights
        work_dir = str(next((place for place in places(known.work_dir, uri) if place.is_dir()), work_dir))
    if told:
        logger.info("data=%s, that of %s", data, whose)
    return replace(
        asked, data=data, work_dir=work_dir, allow_empty_words=asked.allow_empty_words or known.allow_empty_words
    )


def digests_of(runs: Sequence[Run]) -> dict[str, str]:
    """The digest of every language's corpus that the runs met; the last run wins."""
    return {
        name: digest for run in runs for name, digest in schema.unpacked(run.data.tags, schema.CORPUS_DIGESTS).items()
    }


def changed(there: Mapping[str, str], known: Mapping[str, str]) -> list[str]:
    """The languages of which corpora that are there have another digest than the one known; both by language."""
    return [name for name, digest in known.items() if there.get(name, digest) != digest]


def check(given: DataOptions, known: Mapping[str, str], whose: str) -> None:
    """Raise InputError where corpora that were given are others than those that a study or model was made on.

    ``known``: their digests by language. Of some languages alone they may be.
    """
    there = corpus.digests(given)
    if not known:
        return
    wanted = [name for name in known if not given.languages or name in given.languages]
    shared = [name for name in wanted if name in there]
    other = changed(there, known)
    generated_later = given.data == PLANTED and not there and set(wanted) <= set(corpus.names(given))
    if not shared and not generated_later:
        raise InputError(
            f"data={given.data!r} is not what {whose} was made on: it has none of {', '.join(wanted or known)}; leave "
            "data out, or name those corpora", "data",
        )  # fmt: skip
    if other:
        raise InputError(
            f"data={given.data!r} is not what {whose} was made on: its {', '.join(other)} differ from it; leave data "
            "out, or name those corpora", "data",
        )  # fmt: skip


def known_digests(study: Study) -> dict[str, str]:
    """The digest of every language's corpus that the study's cells met; of several runs of a cell that which counts."""
    finished = kind_runs(study, schema.KIND_CELL, FINISHED)
    studies = kind_runs(study, schema.KIND_STUDY)
    few_shot = current_few_shot_cells(finished, studies).values()
    return digests_of([*few_shot, *current_cells(finished, studies).values()])


def settled(
    config: OfStudy,
    client: MlflowClient,
    must_be_there: bool = False,
    digests: Mapping[str, str] | None = None,
) -> tuple[OfStudy, Study]:
    """A configuration with its study and its corpora, and the study.

    ``must_be_there``: the command reads the corpora of all the study's languages. Else it does what it can without
    corpora: where those of the study are not there, a line says so, and ``data`` stays empty. ``digests``:
    `known_digests`, where the study has been read already. Raises InputError where
    it is not clear which study is meant, where corpora that are given are others than the study's or cannot be read,
    and where they lack a language that is asked for.
    """
    study = chosen(client, config.data, config.tracking)
    if study.name not in (config.tracking.study, config.data.name):
        logger.info("study=%s, the only one of this store", study.name)
    whose, data = f"study {study.name}", config.data
    if data.data:
        check(data, known_digests(study) if digests is None else digests, whose)
    else:
        known = of_study(study)
        try:
            data = options(data, known, whose, study.uri)
            if must_be_there and known is not None:
                data = replace(data, languages=data.languages or known.languages)
        except InputError as error:
            if must_be_there:
                raise
            logger.warning("%s", error)
        if data.data:
            corpus.names(data)  # raises where a language that is asked for is none of theirs
    return replace(config, data=data, tracking=replace(config.tracking, study=study.name)), study


def at_hand(config: ModelsConfig, client: MlflowClient) -> dict[str, dict[str, str]]:
    """The digests of corpora as they are now, by study and language: of the study that is named, with the data that are
    given; else of every study whose corpora are there."""
    if config.data.data or config.tracking.study:
        studies = [chosen(client, config.data, config.tracking)]
    else:
        studies = [cast(Study, find_study(client, name)) for name in names(client)]
    found: dict[str, dict[str, str]] = {}
    read: dict[DataOptions, dict[str, str]] = {}
    for study in studies:
        data, whose = config.data, f"study {study.name}"
        try:
            data = data if data.data else options(data, of_study(study), whose, study.uri, told=False)
            whole = replace(data, languages=())
            if whole not in read:
                read[whole] = corpus.digests(whole)
            found[study.name] = read[whole]
        except InputError as error:
            if config.data.data:
                raise
            logger.warning("%s", error)
    return found
