"""Read a study from the tracking server and write its report: tables, figures, one page.

    mlflow run . -e analyse --env-manager local -P study=planted
    python entrypoints/analyse.py --study planted

Writes <output>/<study>/index.html with its CSV tables and figures, and logs them as artifacts.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import AnalyseConfig


def main(config: AnalyseConfig) -> None:
    from analysis.report import background

    background.prepare()  # other processes import meanwhile
    from analysis.report import report
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.store import client
    from nertransfer.tracking.study_data import settled

    config, _ = settled(config, client(resolve_uri(config.tracking), must_exist=True))
    report.write(config)


if __name__ == "__main__":
    run(AnalyseConfig, main, __doc__)
