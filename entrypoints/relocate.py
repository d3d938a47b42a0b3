"""Bring the addresses in a store's database in line with where its files are, after a move or in a copy.

mlflow run . -e relocate --env-manager local -P plan=true
python entrypoints/relocate.py

MLflow keeps whole paths. The old ones are in the database, the new ones are found by the files that lie beside it, or
in the folder that new names. All are changed in one transaction, and counted; the database as it was is kept beside it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import RelocateConfig


def main(config: RelocateConfig) -> None:
    from nertransfer.commands.relocation import relocate
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.store import client

    uri = resolve_uri(config.tracking)
    client(uri, must_exist=True)  # raises where it is no store
    print(relocate(config, uri).text(config.plan))


if __name__ == "__main__":
    run(RelocateConfig, main, __doc__)
