"""Bring published result files into the tracking store as a study, scored anew against the gold corpora.

    mlflow run . -e import_results --env-manager local -P results=NERTransfer -P data=masakhaner -P study=published
    python entrypoints/import_results.py --results NERTransfer --data masakhaner --study published

Importing again adds nothing.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commandline import run
from nertransfer.config import ImportConfig


def main(config: ImportConfig) -> None:
    from nertransfer.importing import import_results
    from nertransfer.store import client, open_study, resolve_uri, study_name

    study = open_study(client(resolve_uri(config.tracking)), study_name(config.data, config.tracking))
    outcome = import_results(config, study)
    for one in outcome.unfit:
        print(f"not imported: {one.path}: {one.reason}", file=sys.stderr)
    print(f"{len(outcome.added)} cells added to study {study.name}, {len(outcome.present)} were there")
    print(f"{len(outcome.disagreements)} reported values differ from what the predictions give")
    for disagreement in outcome.disagreements[:20]:
        print(f"  {disagreement}")


if __name__ == "__main__":
    run(ImportConfig, main, __doc__)
