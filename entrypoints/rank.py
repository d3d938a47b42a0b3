"""Rank starts and sources for a new target: expected F1 and regret, how sure, and why.

    mlflow run . -e rank --env-manager local -P study=masakhaner -P target=zul -P text=zulu.txt
    python entrypoints/rank.py zul --study masakhaner --text zulu.txt
    python entrypoints/rank.py --study masakhaner --target zul     # its code alone, if it is known
    python entrypoints/rank.py zul --prior published --text zulu.txt     # without a study of one's own

Prints the table and how far to trust it, and writes <output>/<study>/recommended/<target>.csv.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import RankConfig


def main(config: RankConfig) -> None:
    from analysis.report.background import collected_rarely

    with collected_rarely():  # also while libraries load
        from analysis.ranking import prior

        if config.prior and prior.is_file(config.prior):  # no store is needed
            from analysis.report import ranked

            ranked.by_prior(config, prior.read(config.prior))
        else:
            from analysis.report import ranked_study

            ranked_study.recommend(config)


if __name__ == "__main__":
    run(RankConfig, main, __doc__)
