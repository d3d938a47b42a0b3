"""List every version of every registered model: scores, aliases, study, and why a version is stale.

mlflow run . -e models --env-manager local
python entrypoints/models.py --data masakhaner
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commandline import run
from nertransfer.config import ModelsConfig


def main(config: ModelsConfig) -> None:
    from nertransfer.card_facts import corpora_at_hand
    from nertransfer.store import client, resolve_uri, study_name
    from nertransfer.versions import read, table

    store = client(resolve_uri(config.tracking), must_exist=True)
    digests = {name: corpus.digest for name, corpus in corpora_at_hand(config.data).items()}
    sources = config.sources or config.data.languages
    rows = read(store, sources, {study_name(config.data, config.tracking): digests})
    whose = f" of {', '.join(sources)}" if sources else ""
    print(table(rows) if rows else f"no model{whose} is registered in this store; the study entry point registers them")


if __name__ == "__main__":
    run(ModelsConfig, main, __doc__)
