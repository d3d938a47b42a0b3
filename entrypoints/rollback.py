"""Point the champion of a language at an earlier version, and pin it: registering leaves it there until told otherwise.

mlflow run . -e rollback --env-manager local -P language=hau
python entrypoints/rollback.py --language hau --version 3
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import RollbackConfig


def main(config: RollbackConfig) -> None:
    from nertransfer.registry.versions import roll_back
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.store import client

    change = roll_back(client(resolve_uri(config.tracking), must_exist=True), config.language, config.version)
    print(f"{change.model}: {change.text}")


if __name__ == "__main__":
    run(RollbackConfig, main, __doc__)
