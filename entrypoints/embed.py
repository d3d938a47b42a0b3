"""Store the contextual vectors of entity words under starts and fine-tuned cells, for the report to compare them.

    mlflow run . -e embed --env-manager local -P study=planted
    python entrypoints/embed.py --study masakhaner
    python entrypoints/embed.py --study masakhaner --data path/to/masakhaner --models base,swa,models:/ner-hau@champion

A run of kind embedding for each model; what is there already is not made again. analyse then has a section on them.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import EmbedConfig


def main(config: EmbedConfig) -> None:
    from nertransfer.studies.embeddings import embed
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.store import client
    from nertransfer.tracking.study_data import settled

    store = client(resolve_uri(config.tracking), must_exist=True)
    print(embed(*settled(config, store, must_be_there=True)).text())


if __name__ == "__main__":
    run(EmbedConfig, main, __doc__)
