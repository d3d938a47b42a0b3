"""Bring predictions of any system into a study, as cells beside those that were fine-tuned.

    mlflow run . -e import_predictions --env-manager local -P predictions=llm -P system=llm -P source=none -P study=mine
    python entrypoints/import_predictions.py --predictions gliner --system gliner --source none --study mine

All files are read and scored before anything is written. Importing again adds nothing.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import PredictionsConfig


def main(config: PredictionsConfig) -> None:
    from nertransfer.core.schema import ALL
    from nertransfer.studies.predictions import importing
    from nertransfer.tracking import store_files, study_data
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.store import client, open_study, study_name

    store = client(resolve_uri(config.tracking), must_exist=not config.data.data)
    if config.data.data:
        study = open_study(store, study_name(config.data, config.tracking))
    else:
        config, study = study_data.settled(config, store, must_be_there=True)
    store_files.check(study)
    system = importing.read(config)
    for one in system.unread:
        print(f"not read: {one.path}: {one.reason}", file=sys.stderr)
    print(*system.predictions.told, sep="\n")
    added = importing.import_predictions(system, study)
    for scored in system.predictions.scored:
        total = scored.scores.default[ALL]
        print(f"{scored.split.language} {scored.split.name}: F1 {100 * total.f1:.2f}, {total.support:,} entities")
    print(f"{system.name} " + ("added to" if added else "was there before in") + f" study {study.name}")


if __name__ == "__main__":
    run(PredictionsConfig, main, __doc__)
