"""Adapt a start to a language: continue masked-language modelling on plain text; save a new start.

mlflow run . -e adapt --env-manager local -P language=hau -P text=hausa.txt -P start=base -P data=masakhaner
python entrypoints/adapt.py --language hau --text hausa.txt --start base --data masakhaner --output starts/hau
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import AdaptConfig


def main(config: AdaptConfig) -> None:
    from nertransfer.studies.adaptation import adapt
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.store import client, open_study, study_name

    study = open_study(client(resolve_uri(config.tracking)), study_name(config.data, config.tracking, "adaptations"))
    folder = adapt(config, study)
    print(f"the new start is in {folder}; use it as {config.language}={folder}")


if __name__ == "__main__":
    run(AdaptConfig, main, __doc__)
