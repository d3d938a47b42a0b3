"""Ranks starts and sources by a study of the store: the entry point ``rank`` but for priors. Reads the store."""

from dataclasses import replace
from pathlib import Path

from threadpoolctl import threadpool_limits

from analysis.ranking import prior, recommendation, words
from analysis.ranking.recommendation import SPLIT
from analysis.reading import read, scored_corpora
from analysis.report import ranked
from analysis.statistics import tables
from analysis.transfer import verdicts
from nertransfer.core.config import RankConfig
from nertransfer.core.errors import InputError
from nertransfer.core.files import make_folder, safe_name
from nertransfer.tracking.addresses import resolve_uri
from nertransfer.tracking.store import client
from nertransfer.tracking.study_data import chosen, settled


def _prior_path(given: str) -> Path:
    """Where a prior is written. Raises InputError where that cannot be."""
    path = Path(given).absolute()
    if path.is_dir():
        raise InputError(f"save_prior={given!r} is a folder; give the name of a file", "save_prior")
    make_folder(path.parent, "save_prior")
    return path


def recommend(config: RankConfig) -> Path:
    """Rank the sources of a study for a target: print the table, write it to ``<output>/<study>/recommended/``.

    ``<target>-<start>.csv`` is the ranking, without the start in its name where all starts are ranked; beside it,
    ``.judged.csv`` has the ways to rank, ``.unused.csv`` what of the study was not used and why, and
    ``.adapting.csv`` (where the study has adapted starts) what adapting added on other targets. ``config.save_prior``
    is one more. Returns the path of the first. Raises InputError where study, start or target do not allow it; nothing
    is written then.
    """
    uri = resolve_uri(config.tracking)
    server = client(uri, must_exist=True)
    if config.prior:
        config = replace(config, tracking=replace(config.tracking, study=config.prior))
    whole = read.read(uri, chosen(server, config.data, config.tracking).name)
    config, study = settled(config, server, digests=whole.corpora)
    judged = verdicts.verdicts(whole.frame, SPLIT)
    found, unused = verdicts.without(whole, judged), recommendation.not_used(judged)
    corpora, without = scored_corpora.corpora_of(config.data, found)
    if config.prior:
        return ranked.by_prior(config, recommendation.prior_of(found, corpora), unused)
    encoder = None
    if config.encoder and corpora:  # without the sources' texts it had nothing to compare
        from nertransfer.studies.embeddings import TextEncoder  # only where it is asked for: it takes seconds to import

        encoder = TextEncoder(config.encoder, config.data)
    with threadpool_limits(1):  # the matrices are small: threads would wait for one another
        done = recommendation.compute(found, config, corpora, without, encoder)
        told = prior.text(recommendation.prior_of(found, corpora, config.cite)) if config.save_prior else ""
    name = f"{safe_name(f'{config.target}-{done.start}' if done.start else config.target)}.csv"
    path = Path(config.output).absolute() / safe_name(study.name) / "recommended" / name
    texts = ranked.texts(path, done.table, done.judged.table, done.adapting)
    texts[path.with_suffix(".unused.csv")] = tables.csv_text(unused)
    written = [path]
    if config.save_prior:
        written.append(_prior_path(config.save_prior))
        texts[written[-1]] = told
    ranked.write(texts)
    print(recommendation.text(done, config, words.unused(unused)), ranked.where(written), sep="\n\n")
    return path
