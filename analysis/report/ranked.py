"""Writes rankings of sources, and ranks by a prior without a store: it loads no MLflow."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from analysis.ranking import from_prior, words
from analysis.ranking.configurations import Adapting
from analysis.ranking.prior import Prior
from analysis.statistics import tables
from nertransfer.core.config import RankConfig
from nertransfer.core.files import make_folder, safe_name


def by_prior(config: RankConfig, prior: Prior, unused: pd.DataFrame | None = None) -> Path:
    """Rank sources for a target by a prior: print the table, write it to ``<output>/prior-<name>/recommended/``.

    Files as of `analysis.report.ranked_study.recommend`; ``unused``: what of a study was not used, if the prior is of
    the store. Returns the path of the first. Raises InputError as `analysis.ranking.from_prior.compute` does; nothing
    is written then.
    """
    with threadpool_limits(1):  # the matrices are small: threads would wait for one another
        done = from_prior.compute(prior, config)
    folder = Path(config.output).absolute() / safe_name(f"prior-{prior.name}") / "recommended"
    path = folder / f"{safe_name(f'{config.target}-{done.start}')}.csv"
    files = texts(path, done.table, from_prior.regrets(done.judged), done.adapting)
    told = ""
    if unused is not None:
        files[path.with_suffix(".unused.csv")] = tables.csv_text(unused)
        told = words.unused(unused)
    write(files)
    print(from_prior.text(done, config, told), where([path]), sep="\n\n")
    return path


def texts(path: Path, table: pd.DataFrame, judged: pd.DataFrame, adapting: Adapting | None) -> dict[Path, str]:
    """The files of a ranking. Its last row, without a place, is the pair that adapting a start to the target gives."""
    found = {path.with_suffix(".judged.csv"): tables.csv_text(judged)}
    if adapting is not None:
        new = pd.DataFrame([adapting.row(table)], columns=table.columns)
        table = pd.concat([table.astype({"place": "Int64"}), new.astype({"place": "Int64"})], ignore_index=True)
        found[path.with_suffix(".adapting.csv")] = tables.csv_text(adapting.gains)
    return {path: tables.csv_text(table)} | found


def where(written: Sequence[Path]) -> str:
    return f"Written: {', '.join(map(str, written))}"


def write(texts: Mapping[Path, str]) -> None:
    """Write files whole, and their folders. Raises InputError where a folder cannot be made, before any is written."""
    for path in texts:
        make_folder(path.parent, "output")
    for path, text in texts.items():
        new = path.with_name(f".{path.name}.{os.getpid()}")
        new.write_text(text, encoding="utf-8")
        new.replace(path)
