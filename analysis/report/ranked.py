"""Writes rankings of sources, and ranks by a prior without a store: it loads no MLflow."""

import os
from collections.abc import Mapping
from pathlib import Path

from analysis.ranking import from_prior
from analysis.ranking.prior import Prior
from analysis.statistics import tables
from nertransfer.core.config import RankConfig
from nertransfer.core.files import make_folder, safe_name


def by_prior(config: RankConfig, prior: Prior) -> Path:
    """Rank sources for a target by a prior: print the table, write it to ``<output>/prior-<name>/recommended/``.

    Two files, as of `analysis.report.report.recommend`; returns the path of the first. Raises InputError as
    `analysis.ranking.from_prior.compute` does; nothing is written then.
    """
    done = from_prior.compute(prior, config)
    folder = Path(config.output).absolute() / safe_name(f"prior-{prior.name}") / "recommended"
    path = folder / f"{safe_name(f'{config.target}-{done.start}')}.csv"
    judged = from_prior.regrets(done.judged)
    write({path: tables.csv_text(done.table), path.with_suffix(".judged.csv"): tables.csv_text(judged)})
    print(from_prior.text(done, config), f"Written: {path}", sep="\n\n")
    return path


def write(texts: Mapping[Path, str]) -> None:
    """Write files whole, and their folders. Raises InputError where a folder cannot be made."""
    for path, text in texts.items():
        make_folder(path.parent, "output")
        new = path.with_name(f".{path.name}.{os.getpid()}")
        new.write_text(text, encoding="utf-8")
        new.replace(path)
