"""Register the best seed of every (start, source) of a study; explains every move of an alias.

mlflow run . -e register --env-manager local -P study=planted
python entrypoints/register.py --study planted
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commandline import run
from nertransfer.config import RegisterConfig


def main(config: RegisterConfig) -> None:
    from nertransfer.registry import finished_places, register
    from nertransfer.store import client, open_study, resolve_uri, study_name

    study = open_study(client(resolve_uri(config.tracking), must_exist=True), study_name(config.data, config.tracking))
    changes = register(study, finished_places(study), Path(config.data.work_dir), config.selection_split)
    for change in changes:
        print(f"{change.model}: {change.text}")
    if not changes:
        print("nothing to change: the registry is in line with the study")


if __name__ == "__main__":
    run(RegisterConfig, main, __doc__)
