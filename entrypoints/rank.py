"""Rank the sources of a finished study for a new target: expected F1 and regret, and why.

    mlflow run . -e rank --env-manager local -P study=masakhaner -P target=zul -P text=zulu.txt
    python entrypoints/rank.py zul --study masakhaner --text zulu.txt
    python entrypoints/rank.py --study masakhaner --target zul     # its code alone, if it is known

Prints the table and how far to trust it, and writes <output>/<study>/recommended/<target>-<start>.csv.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import RankConfig


def main(config: RankConfig) -> None:
    from analysis.report import report
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.store import client
    from nertransfer.tracking.study_data import settled

    config, _ = settled(config, client(resolve_uri(config.tracking), must_exist=True))
    report.recommend(config)


if __name__ == "__main__":
    run(RankConfig, main, __doc__)
