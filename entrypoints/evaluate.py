"""Score a model that exists on any targets: a finished cell, a registered model, a folder or a hub id.

mlflow run . -e evaluate --env-manager local -P model=models:/ner-hau@champion
python entrypoints/evaluate.py models:/ner-hau@champion --targets swa,wol
python entrypoints/evaluate.py --model models:/ner-hau@champion --data path/to/masakhaner    # other corpora, or a copy

A model that was made here is scored on what its study was scored on, and tracked in that study. Other corpora may be
given, and must be for a model from elsewhere.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import EvaluateConfig


def main(config: EvaluateConfig) -> None:
    from nertransfer.scoring.measurements import scores_table
    from nertransfer.studies.rescoring import evaluate, settled
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.store import client

    print(scores_table(evaluate(*settled(config, client(resolve_uri(config.tracking))))))


if __name__ == "__main__":
    run(EvaluateConfig, main, __doc__)
