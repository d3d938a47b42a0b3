"""Bring published result files, or a table of scores, into the tracking store as a study.

    mlflow run . -e import_results --env-manager local -P results=NERTransfer -P data=masakhaner -P study=published
    python entrypoints/import_results.py --results NERTransfer --data masakhaner --study published
    python entrypoints/import_results.py --results reports/masakhaner/results.csv --study theirs

Predictions are scored anew against the corpora. Importing again adds nothing.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import ImportConfig


def main(config: ImportConfig) -> None:
    from nertransfer.core import schema
    from nertransfer.core.text import count
    from nertransfer.studies.published import importing
    from nertransfer.tracking import store_files
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.store import client, open_study, study_name

    study = open_study(client(resolve_uri(config.tracking)), study_name(config.data, config.tracking))
    store_files.check(study)  # before thousands of files are read
    found = importing.read(config)
    outcome = importing.import_results(found, study)
    for one in outcome.unfit:
        print(f"not imported: {one.path!r}: {one.reason}", file=sys.stderr)
    print(f"{count(len(outcome.added), 'cell')} added to study {study.name}, {len(outcome.present)} there before")
    remarks = [one for one in outcome.disagreements if not one.measure]
    values = [one for one in outcome.disagreements if one.measure]
    if found.cells:
        print(f"{count(len(values), 'reported value')} that the predictions do not give")
    for one in [*remarks, *values][:20]:
        place = " ".join(part for part in (one.cell, one.target, one.split, one.category) if part)
        difference = f"{one.measure} reported {one.reported}, counted {one.rescored}" if one.measure else ""
        print(f"  {place}: {', '.join(part for part in (difference, one.remark) if part)}")
    if len(outcome.disagreements) > 20:
        print(f"  and {len(outcome.disagreements) - 20} more, in the artifact {schema.DISAGREEMENTS_FILE}")
    if not outcome.added and not outcome.present:
        raise SystemExit(1)


if __name__ == "__main__":
    run(ImportConfig, main, __doc__)
