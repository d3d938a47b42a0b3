"""List every version of every registered model: scores, aliases, study, and why a version is stale.

mlflow run . -e models --env-manager local
python entrypoints/models.py --data masakhaner     # corpora to compare with, of the study of that name

The corpora of each study, as they are now, are compared with those that its models were made from.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import ModelsConfig


def main(config: ModelsConfig) -> None:
    from nertransfer.registry.versions import read, table
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.store import client
    from nertransfer.tracking.study_data import at_hand

    store = client(resolve_uri(config.tracking), must_exist=True)
    sources = config.sources or config.data.languages
    rows = read(store, sources, at_hand(config, store))
    whose = f" of {', '.join(sources)}" if sources else ""
    print(table(rows) if rows else f"no model{whose} is registered in this store; the study entry point registers them")


if __name__ == "__main__":
    run(ModelsConfig, main, __doc__)
